# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The client that users have: the openai package, unchanged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openai
import pytest
from accounts import User
from api import Api
from catalog import Catalog
from running_lab import Lab
from wire import Wire

testinfra_hosts = ["local://"]

OpenClient = Callable[[str, str], openai.OpenAI]


@pytest.fixture
def client(
    lab: Lab, model: str, new_user: Callable[[str], User], openai_client: OpenClient
) -> openai.OpenAI:
    return openai_client(f"{lab.url}/{model}/v1", new_user("premium").token)


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


def test_a_users_whole_way(
    lab: Lab, wire: Wire, catalog: Catalog, openai_client: OpenClient
) -> None:
    """Log in, mint, ask which models there are, call one, stream one, revoke, be refused."""
    api, login = Api(lab, wire), lab.identity("dave")
    token = api.mint(login).json()["token"]

    with openai_client(f"{lab.url}/maas-api/v1", token) as client:
        listed = {f"{model.owned_by}/{model.id}" for model in client.models.list()}
    assert listed == set(catalog.tiers["premium"].models)

    with openai_client(f"{lab.url}/{min(listed)}/v1", token) as client:
        asked = client.with_options(timeout=60).chat.completions
        message: Any = {"role": "user", "content": "Hi"}
        name = min(listed).split("/")[-1]
        answer = asked.create(model=name, messages=[message], max_tokens=2)
        assert answer.usage is not None
        parts = list(asked.create(model=name, messages=[message], max_tokens=2, stream=True))
        assert len(parts) > 1

        assert api("DELETE", "/v1/tokens", token=login).status == 204

        # 403 while the API server still takes the token for good.
        with pytest.raises(openai.PermissionDeniedError):
            client.models.list()
