# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The client that users have: the openai package, unchanged."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import openai
import pytest
from accounts import User
from running_lab import Lab

testinfra_hosts = ["local://"]


@pytest.fixture
def client(
    lab: Lab, model: str, new_user: Callable[[str], User], monkeypatch: pytest.MonkeyPatch
) -> openai.OpenAI:
    """Return a client whose only peculiarity is to find the lab, which no DNS knows."""
    resolve = socket.getaddrinfo

    def resolve_lab(host: Any, *args: Any, **kwargs: Any) -> Any:
        known = host.decode() if isinstance(host, bytes) else host
        return resolve(lab.address if known == lab.host else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_lab)
    monkeypatch.setenv("SSL_CERT_FILE", str(lab.ca))
    return openai.OpenAI(
        base_url=f"{lab.url}/{model}/v1", api_key=new_user("premium").token, max_retries=0
    )


def test_completion(client: openai.OpenAI, model: str) -> None:
    with client:
        answer = client.chat.completions.create(
            model=model.split("/")[-1],
            messages=[{"role": "user", "content": "Name a colour."}],
            max_tokens=8,
        )
    assert answer.usage is not None
    assert answer.usage.total_tokens > answer.usage.prompt_tokens > 0


def test_stream(client: openai.OpenAI, model: str) -> None:
    with client:
        stream = client.chat.completions.create(
            model=model.split("/")[-1],
            messages=[{"role": "user", "content": "Name a colour."}],
            max_tokens=8,
            stream=True,
            stream_options={"include_usage": True},
        )
        parts = list(stream)
    assert len(parts) > 2
    assert parts[-1].usage is not None
    assert parts[-1].usage.total_tokens > 0


def test_models(client: openai.OpenAI) -> None:
    with client:
        assert len(client.models.list().data) >= 1


def test_refusal_is_the_clients_own_error(client: openai.OpenAI) -> None:
    stranger = client.with_options(api_key="garbage")
    with stranger, pytest.raises(openai.AuthenticationError):
        stranger.models.list()
