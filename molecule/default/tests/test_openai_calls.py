# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What clients of the OpenAI API send to the base URL, and what comes of it; docs/openai.md."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest
from accounts import User
from running_lab import Lab
from wire import Answer, Wire

testinfra_hosts = ["local://"]

OpenClient = Callable[[str, str], openai.OpenAI]
CHAT = "/v1/chat/completions"
HI: Any = {"role": "user", "content": "Hi"}
# One pixel.
PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
FUNCTION: Any = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {}}},
}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOL_TALK: list[Any] = [
    HI,
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "4"},
]


@pytest.fixture(scope="module")
def user(new_user: Callable[[str], User]) -> User:
    return new_user("enterprise")


@pytest.fixture(scope="module")
def name(model: str) -> str:
    return model.split("/")[-1]


def ask(wire: Wire, user: User, body: Any, path: str = CHAT, *headers: tuple[str, str]) -> Answer:
    return wire.request("POST", path, token=user.token, body=body, headers=headers)


def small(name: str, **more: Any) -> dict[str, Any]:
    return {"model": name, "messages": [HI], "max_tokens": 1, **more}


@pytest.mark.parametrize(
    "more",
    [
        {"messages": TOOL_TALK, "tools": [FUNCTION]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]},
        {"user": "\u00e9\u4e2d\U0001f600", "metadata": {"model": "other"}},
    ],
    ids=["tool calls", "parts of text", "other keys"],
)
def test_bodies_reach_the_model_as_they_are(
    wire: Wire, user: User, name: str, more: dict[str, Any]
) -> None:
    answer = ask(wire, user, small(name, **more))
    assert answer.status == 200
    assert answer.json()["usage"]["completion_tokens"] == 1


def test_several_choices(wire: Wire, user: User, name: str) -> None:
    choices = ask(wire, user, small(name, n=2)).json()["choices"]
    assert [choice["index"] for choice in choices] == [0, 1]


@pytest.mark.parametrize(
    ("path", "more", "status"),
    [
        # The lab's model reads no pictures, and its server makes no embeddings: its own words.
        (
            CHAT,
            {
                "messages": [
                    {**HI, "content": [{"type": "image_url", "image_url": {"url": PICTURE}}]}
                ]
            },
            500,
        ),
        ("/v1/embeddings", {"input": "Hi"}, 501),
    ],
    ids=["picture", "embeddings"],
)
def test_what_the_server_refuses_is_in_its_words(
    wire: Wire, user: User, model: str, name: str, path: str, more: dict[str, Any], status: int
) -> None:
    shared = ask(wire, user, small(name, **more), path)
    own = ask(wire, user, small(name, **more), f"/{model}{path}")
    assert shared.status == own.status == status
    assert shared.json() == own.json()


def test_a_picture_as_large_as_a_body_may_be_reaches_the_server(
    wire: Wire, user: User, name: str
) -> None:
    picture = "data:image/png;base64," + "A" * 15 * 1024 * 1024
    parts = [{"type": "image_url", "image_url": {"url": picture}}]
    answer = ask(wire, user, small(name, messages=[{"role": "user", "content": parts}]))
    assert answer.status == 500
    assert "image input is not supported" in answer.json()["error"]["message"]


@pytest.mark.parametrize("wish", [None, False, True])
def test_usage_in_a_stream_is_as_asked(
    wire: Wire, user: User, name: str, wish: bool | None
) -> None:
    options = {} if wish is None else {"stream_options": {"include_usage": wish}}
    events = ask(wire, user, small(name, stream=True, **options)).events()
    assert any(event.get("usage") for event in events) == bool(wish)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ('"{name}"', 200),
        ('"{escaped}"', 200),
        ('"llm/{name}"', 403),
        ('"{name} "', 403),
        ('"\\u0000{name}"', 403),
        ('"../{name}"', 403),
        ('["{name}"]', 400),
        ("null", 400),
        ('"{name}", "model": "{name}"', 400),
        ('"{name}", "\\u006dodel": "{name}"', 400),
        ('"{name}", "MODEL": "{name}"', 400),
    ],
)
def test_names_of_models(wire: Wire, user: User, name: str, said: str, status: int) -> None:
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in name)
    given = said.replace("{name}", name).replace("{escaped}", escaped)
    body = b'{"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, "model": %s}'
    assert ask(wire, user, body % given.encode()).status == status


def test_compressed_bodies_are_415(wire: Wire, user: User, name: str) -> None:
    body = gzip.compress(json.dumps(small(name)).encode())
    answer = ask(wire, user, body, CHAT, ("Content-Encoding", "gzip"))
    assert answer.status == 415
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_nothing_is_said_to_other_sites(wire: Wire) -> None:
    """Tokens are not for browsers of other sites: no CORS."""
    asked = [("Origin", "https://x.example"), ("Access-Control-Request-Method", "POST")]
    answer = wire.request("OPTIONS", CHAT, headers=asked)
    assert answer.status == 401
    assert not [key for key, _value in answer.headers if key.startswith("access-control")]
    assert wire.request("OPTIONS", "/v1/models", headers=asked).status == 405


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PATCH"])
def test_other_methods_are_405(wire: Wire, user: User, method: str) -> None:
    assert wire.request(method, CHAT, token=user.token).status == 405


@pytest.mark.parametrize(
    ("path", "length", "status", "code"),
    [
        (CHAT, 17 * 1024 * 1024, 413, "body_too_large"),
        ("/v1/nothing", 2, 404, "not_found"),
        ("/nothing", 2, 404, "not_found"),
        ("{model}/v1/nothing", 2, 404, "not_found"),
        ("{model}/v1/chat/completions", 17 * 1024 * 1024, 413, "body_too_large"),
    ],
)
def test_what_envoy_says_itself_is_json(
    wire: Wire, user: User, model: str, path: str, length: int, status: int, code: str
) -> None:
    body = b"{" + b" " * (length - 2) + b"}"
    answer = ask(wire, user, body, path.replace("{model}", f"/{model}"))
    assert answer.status == status
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["code"]) == ("invalid_request_error", code)
    assert answer.header("content-type") == "application/json"


def test_every_answer_has_an_id(wire: Wire, user: User, name: str) -> None:
    """Envoy's own, whatever a caller calls his request."""
    mine = ("X-Request-ID", "mine")
    for body in (small(name), b"{", small("nosuch")):
        given = ask(wire, user, body, CHAT, mine).header("x-request-id")
        assert given is not None
        assert len(given) == 36


# Other ways to send


def sent(lab: Lab, user: User, content: Any, *, http2: bool, **headers: str) -> httpx.Response:
    tls = ssl.create_default_context(cafile=str(lab.ca))
    with httpx.Client(http1=not http2, http2=http2, verify=tls, timeout=30) as client:
        # The name is said where it counts; no DNS knows it.
        answer = client.post(
            f"https://{lab.address}:{lab.port}{CHAT}",
            content=content,
            headers={
                "Host": lab.authority,
                "Authorization": f"Bearer {user.token}",
                "Content-Type": "application/json",
                **headers,
            },
            extensions={"sni_hostname": lab.host},
        )
    assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
    return answer


@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize("size", [0, 100_000, 4_000_000])
def test_bodies_in_pieces(lab: Lab, user: User, name: str, http2: bool, size: int) -> None:
    """Without a length: chunked, or frames of HTTP/2."""
    text = json.dumps(small(name, pad="a" * size)).encode()
    pieces = (text[at : at + 65536] for at in range(0, len(text), 65536))
    answer = sent(lab, user, pieces, http2=http2)
    assert answer.status_code == 200
    assert answer.json()["usage"]["completion_tokens"] == 1


@pytest.mark.parametrize("http2", [False, True])
def test_http2_gets_the_same_refusals(lab: Lab, user: User, http2: bool) -> None:
    for content, status in ((b"{}", 400), (json.dumps(small("nosuch")).encode(), 403)):
        answer = sent(lab, user, content, http2=http2)
        assert answer.status_code == status
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_expect_100_continue(lab: Lab, user: User, name: str) -> None:
    content = json.dumps(small(name)).encode()
    assert sent(lab, user, content, http2=False, Expect="100-continue").status_code == 200


def test_the_asynchronous_client(
    lab: Lab, user: User, name: str, openai_client: OpenClient
) -> None:
    # The synchronous one, unused, lets this process find the lab.
    openai_client(lab.url, user.token).close()

    async def use() -> None:
        async with openai.AsyncOpenAI(
            base_url=f"{lab.url}/v1", api_key=user.token, max_retries=0
        ) as client:
            assert name in [model.id async for model in client.models.list()]
            assert (await client.models.retrieve(name)).id == name
            stream = await client.chat.completions.create(
                model=name, messages=[HI], max_tokens=2, stream=True
            )
            assert [part async for part in stream]
            with pytest.raises(openai.PermissionDeniedError) as caught:
                await client.chat.completions.create(model="nosuch", messages=[HI])
            assert caught.value.request_id

    asyncio.run(use())
