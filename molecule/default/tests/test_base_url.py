# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""One base URL for all models: who gets through, and what is refused how."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import openai
import pytest
from accounts import User
from catalog import Catalog
from running_lab import Lab
from wire import Answer, Wire

testinfra_hosts = ["local://"]

CHAT = "/v1/chat/completions"
OpenClient = Callable[[str, str], openai.OpenAI]
HI: Any = {"role": "user", "content": "Hi"}


@pytest.fixture(scope="module")
def user(new_user: Callable[[str], User]) -> User:
    return new_user("enterprise")


@pytest.fixture
def client(lab: Lab, user: User, openai_client: OpenClient) -> openai.OpenAI:
    return openai_client(f"{lab.url}/v1", user.token)


@pytest.fixture(scope="module")
def name(model: str) -> str:
    return model.split("/")[-1]


def ask(wire: Wire, token: str | None, body: Any, path: str = CHAT, **more: Any) -> Answer:
    return wire.request("POST", path, token=token, body=body, **more)


def small(name: str, **more: Any) -> dict[str, Any]:
    return {"model": name, "messages": [HI], "max_tokens": 1, **more}


# Who gets through


def test_every_listed_model_answers(client: openai.OpenAI, catalog: Catalog) -> None:
    with client:
        ids = [model.id for model in client.models.list()]
        assert {f"llm/{each}" for each in ids} == set(catalog.tiers["enterprise"].models)
        for each in ids:
            assert client.models.retrieve(each).id == each
            answer = client.chat.completions.create(model=each, messages=[HI], max_tokens=1)
            assert answer.usage is not None
            assert answer.usage.completion_tokens == 1


def test_a_stream_without_options_has_a_choice_in_every_event(
    client: openai.OpenAI, name: str
) -> None:
    with client:
        asked = client.chat.completions
        parts = list(asked.create(model=name, messages=[HI], max_tokens=3, stream=True))
    assert len(parts) > 1
    assert all(part.choices for part in parts)


@pytest.mark.parametrize("own", [False, True])
def test_a_stream_without_options_is_counted(
    wire: Wire, new_user: Callable[[str], User], catalog: Catalog, model: str, name: str, own: bool
) -> None:
    limit = catalog.tiers["free"].tokens
    assert limit is not None
    stranger = new_user("free")
    path = f"/{model}{CHAT}" if own else CHAT
    body = small(name, stream=True, ignore_eos=True) | {"max_tokens": limit.limit}
    assert ask(wire, stranger.token, body, path).status == 200
    assert ask(wire, stranger.token, small(name), path).status == 429


def test_who_asks_for_usage_gets_it(client: openai.OpenAI, name: str) -> None:
    with client:
        stream = client.chat.completions.create(
            model=name,
            messages=[HI],
            max_tokens=2,
            stream=True,
            stream_options={"include_usage": True},
        )
        last = list(stream)[-1]
    assert last.usage is not None
    assert last.usage.completion_tokens == 2


def test_tools_are_passed_through(client: openai.OpenAI, name: str) -> None:
    function: Any = {"name": "f", "parameters": {"type": "object", "properties": {}}}
    with client:
        answer = client.chat.completions.create(
            model=name,
            messages=[HI],
            max_tokens=1,
            tools=[{"type": "function", "function": function}],
        )
    assert answer.usage is not None


def test_completions(client: openai.OpenAI, name: str) -> None:
    with client:
        answer = client.completions.create(model=name, prompt="Hi", max_tokens=1)
    assert answer.usage is not None


@pytest.mark.parametrize(
    "path",
    [
        f"{CHAT}?api-version=1",
        "//v1/chat/completions",
        "/v1//chat/completions",
        "/v1/./chat/completions",
        "/x/../v1/chat/completions",
        "/v1%2fchat/completions",
        "/%2e/v1/chat/completions",
    ],
)
def test_odd_spellings_are_the_plain_one(wire: Wire, user: User, name: str, path: str) -> None:
    assert ask(wire, user.token, small(name), path).status == 200
    assert ask(wire, None, small(name), path).status == 401


# Who does not


@pytest.mark.parametrize("token", [None, "garbage"])
def test_without_a_good_token_it_is_401(wire: Wire, name: str, token: str | None) -> None:
    assert ask(wire, token, small(name)).status == 401


def test_a_denied_model_and_none_look_alike(
    wire: Wire, new_user: Callable[[str], User], denied_model: str
) -> None:
    token = new_user("free").token
    denied = ask(wire, token, small(denied_model.split("/")[-1]))
    assert denied.status == 403
    for other in ("nosuch", "../llm/gemma", "llm/gemma", "Gemma", "gemma?x", "-", "", "a" * 64):
        assert ask(wire, token, small(other)).visible == denied.visible


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"model": 1}',
        b'{"model": "a", "model": "b"}',
        b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_names_no_model_is_400(wire: Wire, user: User, body: bytes) -> None:
    answer = ask(wire, user.token, body)
    assert answer.status == 400
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert ask(wire, None, body).status == 401


@pytest.mark.parametrize(
    "more",
    [
        b'"stream": true, "str\\u0065am": false',
        b'"stream": "true"',
        b'"Stream": true',
        b'"stream": true, "stream_options": {"include_usage": true, "include_usage": false}',
    ],
)
@pytest.mark.parametrize("own", [False, True])
def test_no_spelling_hides_a_stream(
    wire: Wire, user: User, model: str, name: str, more: bytes, own: bool
) -> None:
    body = b'{"model": "%s", "messages": [], %s}' % (name.encode(), more)
    assert ask(wire, user.token, body, f"/{model}{CHAT}" if own else CHAT).status == 400


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/V1/chat/completions", 404),
        ("/v1/chat/completions/", 404),
        ("/v1/chat/completions;x", 404),
        ("/v1/chat/completions%3fx", 404),
        ("/v1/responses", 404),
        ("/v1/chat/completions#x", 400),
    ],
)
def test_other_paths_are_none(wire: Wire, user: User, name: str, path: str, status: int) -> None:
    assert ask(wire, user.token, small(name), path).status == status


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_other_methods_are_405(wire: Wire, user: User, method: str) -> None:
    assert wire.request(method, CHAT, token=user.token).status == 405
    assert wire.request(method, CHAT).status == 401


def test_a_compressed_body_is_415(wire: Wire, user: User, name: str) -> None:
    headers = [("Content-Encoding", "gzip")]
    assert ask(wire, user.token, small(name), headers=headers).status == 415


def test_a_body_too_large_is_413(wire: Wire, user: User, name: str) -> None:
    body = json.dumps(small(name, x="a" * 17 * 1024 * 1024)).encode()
    assert ask(wire, user.token, body).status == 413


def test_without_a_token_the_body_is_not_awaited(lab: Lab) -> None:
    """The answer comes although not a byte of the 16 MB that were announced does."""
    tls = ssl.create_default_context(cafile=str(lab.ca))
    raw = socket.create_connection((lab.address, lab.port), timeout=20)
    with tls.wrap_socket(raw, server_hostname=lab.host) as connection:
        connection.sendall(
            f"POST {CHAT} HTTP/1.1\r\nHost: {lab.authority}\r\n"
            "Content-Type: application/json\r\nContent-Length: 16000000\r\n\r\n".encode()
        )
        begun = time.monotonic()
        assert connection.recv(12) == b"HTTP/1.1 401"
    assert time.monotonic() - begun < 10
