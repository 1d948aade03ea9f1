# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The lookup's short way: nobody can tell it from the application's own, but by the time."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator

import pytest
import uvicorn
from conftest import PREFIX, Platform, wait_for, wait_for_revision
from maas_api.lookup import TierLookup
from maas_api.protocol import short_way
from test_transitions import changed

pytestmark = pytest.mark.anyio

FREE = b'{"tier":"free","displayName":"Free"}'


class Wire:
    """A connection on which every byte is the test's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            await asyncio.sleep(0)

    async def receive(self) -> tuple[int, dict[str, str], bytes]:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = head.strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        body = await self._reader.readexactly(int(headers["content-length"]))
        return int(status.split()[1]), headers, body

    async def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        await self.send(request)
        return await self.receive()

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


@pytest.fixture
async def server(platform: Platform) -> AsyncIterator[uvicorn.Server]:
    config = uvicorn.Config(
        platform.application.asgi,
        host="127.0.0.1",
        port=0,
        http=short_way(platform.application),
        lifespan="off",
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    await wait_for(lambda: server.started)
    yield server
    server.should_exit = True
    await task


@pytest.fixture
async def wire(server: uvicorn.Server) -> AsyncIterator[Wire]:
    port = server.servers[0].sockets[0].getsockname()[1]
    wire = Wire(*await asyncio.open_connection("127.0.0.1", port))
    yield wire
    await wire.close()


@pytest.fixture
async def account(platform: Platform, alice: str) -> dict[str, str]:
    """Return an account that the watch shows."""
    found = platform.account_of((await platform.mint(alice))["token"])
    accounts = platform.application.view.accounts
    name = found["username"].rpartition(":")[2]
    await wait_for(lambda: accounts.known(PREFIX + "free", name, found["uid"]))
    return found


@pytest.fixture
def short_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Break the long way."""

    async def break_down(*_: object) -> None:
        raise AssertionError("the long way was taken")

    monkeypatch.setattr(TierLookup, "__call__", break_down)


def post(body: object, *headers: str, path: str = "/v1/tiers/lookup") -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: maas-api", f"Content-Length: {len(content)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


@pytest.mark.usefixtures("short_only")
async def test_a_known_account_goes_the_short_way(
    platform: Platform, wire: Wire, account: dict[str, str]
) -> None:
    status, headers, body = await wire.ask(post(account, "X-Request-Id: abc-1"))
    assert (status, body) == (200, FREE)
    assert headers.pop("date").endswith("gmt")
    assert headers == {
        "content-type": "application/json",
        "content-length": str(len(FREE)),
        "x-request-id": "abc-1",
    }
    labels = {"route": "/v1/tiers/lookup", "method": "POST", "status": "200"}
    assert platform.metric("maas_api_requests_total", **labels) == 1
    assert platform.metric("maas_api_tier_lookups_total", result="found") == 1
    duration = "maas_api_request_duration_seconds_count"
    assert platform.metric(duration, route="/v1/tiers/lookup") == 1


@pytest.mark.usefixtures("short_only")
async def test_an_id_is_made_where_none_came(wire: Wire, account: dict[str, str]) -> None:
    for header in ("X-Other: 1", "X-Request-Id: not harmless!"):
        _, headers, _ = await wire.ask(post(account, header))
        assert re.fullmatch(r"[0-9a-f]{16}", headers["x-request-id"])


@pytest.mark.usefixtures("short_only")
async def test_many_at_once_are_answered_in_order(
    platform: Platform, wire: Wire, account: dict[str, str]
) -> None:
    await wire.send(b"".join(post(account, f"X-Request-Id: {n}") for n in range(50)))
    ids = [(await wire.receive())[1]["x-request-id"] for _ in range(50)]
    assert ids == [str(n) for n in range(50)]
    assert platform.metric("maas_api_tier_lookups_total", result="found") == 50


@pytest.mark.usefixtures("short_only")
async def test_a_request_may_come_byte_by_byte(wire: Wire, account: dict[str, str]) -> None:
    request = post(account)
    await wire.send(*(request[n : n + 1] for n in range(len(request))))
    assert (await wire.receive())[::2] == (200, FREE)


@pytest.mark.usefixtures("short_only")
async def test_a_body_may_come_in_chunks(wire: Wire, account: dict[str, str]) -> None:
    content = json.dumps(account).encode()
    head = b"POST /v1/tiers/lookup HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    middle = len(content) // 2
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in (content[:middle], content[middle:])]
    await wire.send(head, *chunks, b"0\r\n\r\n")
    assert (await wire.receive())[::2] == (200, FREE)


async def test_both_ways_share_a_connection(wire: Wire, account: dict[str, str]) -> None:
    """The answers to what is in between must not overtake one another."""
    other = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
    groups = post({"groups": ["tier-free-users"]})
    await wire.send(post(account) + other + post(account) + groups + other + post(account))
    bodies = [(await wire.receive())[2] for _ in range(6)]
    health = b'{"status":"healthy","revision":"r1"}'
    assert bodies == [FREE, health, FREE, FREE, health, FREE]


async def test_every_no_is_the_applications(
    platform: Platform, wire: Wire, account: dict[str, str]
) -> None:
    questions = [
        b"",
        b"{",
        b"[]",
        b'{"username": "\xff"}',
        {},
        {"groups": ["nobody"]},
        {**account, "uid": "of-an-earlier-account"},
        {**account, "uid": ""},
        {"username": "system:serviceaccount:default:builder", "uid": "7"},
        {"username": account["username"]},
        b"x" * 200_000,
    ]
    for question in questions:
        status, headers, body = await wire.ask(post(question))
        same = await platform.client.post(
            "/v1/tiers/lookup",
            content=question if isinstance(question, bytes) else json.dumps(question),
        )
        assert (status, body) == (same.status_code, same.content)
        assert status in {400, 404, 413}
        assert headers["content-type"] == "application/json"


async def test_a_tier_that_is_disabled_is_refused(
    platform: Platform, wire: Wire, account: dict[str, str]
) -> None:
    assert (await wire.ask(post(account)))[0] == 200
    await platform.write_catalog(changed(0, enabled=False), revision="r2")
    await wait_for_revision(platform, "r2")
    for revision in ("r1", "r2", ""):
        assert (await wire.ask(post({**account, "revision": revision})))[0] == 403


@pytest.mark.parametrize(
    "request_of",
    [
        lambda account: post(account, "Connection: close"),
        lambda account: post(account, "Expect: 100-continue"),
        lambda account: post(account).replace(b"HTTP/1.1", b"HTTP/1.0"),
        lambda account: post(account, path="/maas-api/v1/tiers/lookup"),
        lambda account: post(account, path="/v1/tiers/lookup?x=1"),
        lambda account: post(account, path="/v1/tiers/%6cookup"),
    ],
    ids=["close", "expect", "1.0", "prefix", "query", "escaped"],
)
async def test_what_is_unusual_takes_the_long_way(
    platform: Platform, wire: Wire, account: dict[str, str], request_of: object
) -> None:
    request: bytes = request_of(account)  # type: ignore[operator]
    await wire.send(request)
    status, _, body = await wire.receive() if b"Expect" not in request else await _skip_100(wire)
    assert (status, body) == (200, FREE)


async def _skip_100(wire: Wire) -> tuple[int, dict[str, str], bytes]:
    head = await wire._reader.readuntil(b"\r\n\r\n")
    if b" 100 " not in head:
        raise AssertionError(head)
    return await wire.receive()


async def test_a_stopping_replica_closes_connections(
    platform: Platform, wire: Wire, account: dict[str, str]
) -> None:
    platform.application.view.is_draining = True
    _, headers, body = await wire.ask(post(account))
    assert (headers["connection"], body) == ("close", FREE)


async def test_nonsense_is_refused(wire: Wire) -> None:
    await wire.send(b"POST /v1/tiers/lookup HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n")
    await wire.send(b"\r\n")
    assert (await wire.receive())[0] == 400


async def test_what_breaks_is_the_applications_to_tell(
    platform: Platform, wire: Wire, account: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_: object) -> None:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr(TierLookup, "at_once", break_down)
    assert (await wire.ask(post(account)))[::2] == (200, FREE)
    monkeypatch.setattr("maas_api.accounts.Accounts.live", break_down)
    status, _, body = await wire.ask(post(account))
    assert (status, json.loads(body)["error"]) == (500, "internal_error")
    assert [line for line in platform.log_lines() if line["event"] == "request broke"]
