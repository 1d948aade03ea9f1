# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Logs and the audit trail: everything that matters, and never a token."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import httpx
import pytest
import structlog
from conftest import Platform, bearer
from fake_kubernetes import make_jwt
from maas_api.logs import audit_logger, configure_logs
from maas_api.objects import TokenRequest
from maas_api.secret import Secret

pytestmark = pytest.mark.anyio


async def test_no_token_anywhere(platform: Platform, alice: str, carol: str) -> None:
    """Use every endpoint well and badly, at the most talkative level, and search the log."""
    tokens = [alice, carol, make_jwt(aud=["x"]), make_jwt(aud=["maas-default-gateway-sa"])]
    tokens += [platform.kubernetes.log_in("ada", "maas-admins")]
    provider = platform.provider
    tokens += [
        provider.token("tier-free-users", "maas-admins"),
        provider.token(aud="others"),
        provider.token(kid="unheard-of"),
        provider.token(sub=""),
        provider.token(exp=1),
    ]
    tokens += [(await platform.mint(login))["token"] for login in (alice, carol)]
    operations = platform.application.operations
    paths = [(op.method, op.path.replace("{user:path}", "bob")) for op in operations]
    for token in tokens:
        for method, path in paths:
            if path == "/openapi.json" or (method == "DELETE" and token == alice):
                continue
            body = {"groups": [token], "username": token, "uid": token, "expiration": token}
            await platform.client.request(method, path, headers=bearer(token), json=body)
            await platform.client.request(
                method, f"{path}/{token}?token={token}", headers={"X-Token": token}
            )
    platform.kubernetes.fail("*", "tokenreviews|serviceaccounts", 500)
    provider.is_up = platform.limitador.is_up = False
    for token in tokens:
        for method, path in paths:
            await platform.client.request(method, path, headers=bearer(token), json={})
    platform.transport.cut()
    for token in tokens:
        await platform.client.get("/v1/me", headers=bearer(token))
    text = platform.logs.getvalue()
    assert text.count('"log": "audit"') >= 10
    # What the API server logs is out of our hands: addresses are.
    assert not any(token in path for token in tokens for _, path in platform.kubernetes.calls)
    for token in tokens:
        assert token not in text
        if token.count(".") == 2:
            assert token.split(".")[1] not in text
            assert token.split(".")[2] not in text


async def test_a_crash_shows_no_variables(
    platform: Platform, alice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def mint(*_: Any, **__: Any) -> None:
        token = make_jwt(aud=["x"])
        raise RuntimeError(f"cannot use {token} as Bearer {alice}")

    monkeypatch.setattr("maas_api.tokens.Tokens.mint", mint)
    answer = await platform.client.post("/v1/tokens", headers=bearer(alice))
    assert answer.status_code == 500
    text = platform.logs.getvalue()
    assert "RuntimeError" in text
    assert "Traceback" in text
    assert alice not in text
    assert "eyJ" not in text


async def test_mint_is_audited(platform: Platform, alice: str) -> None:
    headers = {**bearer(alice), "X-Forwarded-For": "203.0.113.9, 198.51.100.7"}
    answer = await platform.client.post(
        "/v1/tokens", json={"expiration": "1h"}, headers={**headers, "X-Request-Id": "abc-1"}
    )
    (line,) = platform.audit_lines()
    ((namespace, name),) = platform.kubernetes.accounts()
    assert line.pop("timestamp")
    assert line == {
        "log": "audit",
        "event": "audit",
        "level": "info",
        "action": "token.mint",
        "result": "done",
        "user": "alice",
        "owner": "alice",
        "tier": "free",
        "accounts": [f"{namespace}/{name}"],
        "ttl_seconds": 3600,
        "expires_at": answer.json()["expiresAt"],
        "client": "198.51.100.7",
        "peer": "192.0.2.1",
        "via": "api",
        "request_id": "abc-1",
    }


async def test_revoke_is_audited(platform: Platform, alice: str) -> None:
    await platform.mint(alice)
    await platform.client.delete("/v1/tokens", headers=bearer(alice))
    line = platform.audit_lines()[-1]
    assert (line["action"], line["result"], line["user"]) == ("token.revoke", "done", "alice")
    assert len(line["accounts"]) == 1


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_refusals_are_audited(platform: Platform, alice: str, method: str) -> None:
    token = (await platform.mint(alice))["token"]
    await platform.client.request(method, "/v1/tokens")
    await platform.client.request(method, "/v1/tokens", headers=bearer(token))
    nobody, reader = platform.audit_lines()[1:]
    assert (nobody["result"], nobody["user"]) == ("refused", None)
    assert reader["result"] == "refused"
    assert "tier token" in reader["reason"]


async def test_failures_are_audited(platform: Platform, alice: str) -> None:
    platform.kubernetes.fail("POST", "/token$", 500)
    await platform.mint(alice, status=503)
    (line,) = platform.audit_lines()
    assert (line["result"], line["user"], line["tier"]) == ("failed", "alice", "free")


async def test_no_level_silences_the_audit_trail() -> None:
    stream = io.StringIO()
    configure_logs("error", stream)
    structlog.get_logger().info("not said")
    audit_logger().info("audit", action="token.mint")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["audit"]


async def test_libraries_log_in_the_same_form() -> None:
    stream = io.StringIO()
    configure_logs("info", stream)
    logging.getLogger("uvicorn.error").warning("sent %s", "Bearer abcdef")
    logging.getLogger("httpx").info("not said")
    (line,) = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert line["event"] == "sent Bearer **********"
    assert line["level"] == "warning"


@pytest.mark.parametrize("write", [str, repr, "{}".format, lambda value: f"{[value]}"])
def test_secrets_print_as_stars(write: Any) -> None:
    assert "hidden" not in write(Secret("hidden"))
    assert Secret("hidden").reveal() == "hidden"


async def test_a_made_token_prints_as_stars(platform: Platform, alice: str) -> None:
    await platform.mint(alice)
    path = next(path for method, path in platform.kubernetes.calls if path.endswith("/token"))
    body = {"spec": {"audiences": ["x"], "expirationSeconds": 600}}
    made = await platform.application.kubernetes.create(path, body, TokenRequest)
    assert made.status.token
    assert made.status.token not in repr(made)


async def test_request_ids(platform: Platform) -> None:
    async def identify(sent: str) -> httpx.Headers:
        return (await platform.client.get("/health", headers={"X-Request-Id": sent})).headers

    assert (await identify("from-the-gateway-1"))["x-request-id"] == "from-the-gateway-1"
    for bad in ("", "a b", "a\tb", "a" * 65, "<script>"):
        assert len((await identify(bad))["x-request-id"]) == 16
    one, other = (await platform.client.get("/health")), (await platform.client.get("/health"))
    assert one.headers["x-request-id"] != other.headers["x-request-id"]
