# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Minting and revoking."""

from __future__ import annotations

import time

import anyio
import pytest
from conftest import PREFIX, Platform, bearer, wait_until
from fake_kubernetes import AUDIENCE

pytestmark = pytest.mark.anyio


async def test_mint(platform: Platform, alice: str) -> None:
    before = int(time.time())
    answer = await platform.client.post(
        "/v1/tokens", json={"expiration": "4h"}, headers=bearer(alice)
    )
    body = answer.json()
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    issued = platform.kubernetes.tokens[body.pop("token")]
    assert issued.audiences == [AUDIENCE]
    assert issued.username.startswith(f"system:serviceaccount:{PREFIX}free:alice-")
    assert before + 14400 <= body.pop("expiresAt") <= time.time() + 14400
    assert body.pop("models") == [
        {
            "id": "gemma-3-270m",
            "created": 1767323045,
            "owned_by": "llm",
            "url": "https://maas.example.test:8443/llm/gemma",
            "ready": True,
            "object": "model",
        }
    ]
    assert body == {
        "expiration": "4h0m0s",
        "user": "alice",
        "tier": "free",
        "displayName": "Free",
        "limits": {
            "requests": [{"limit": 5, "windowSeconds": 120}],
            "tokens": [{"limit": 100, "windowSeconds": 60}],
        },
    }


async def test_the_account_says_whose_it_is(platform: Platform, alice: str) -> None:
    await platform.mint(alice)
    (namespace, name) = platform.kubernetes.accounts()[0]
    account = platform.kubernetes.objects["serviceaccounts", namespace, name]
    assert account["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "maas.platform",
        "app.kubernetes.io/part-of": "maas",
        "maas.platform/tier": "free",
        "maas.platform/account": "true",
    }
    assert account["metadata"]["annotations"]["maas.platform/user"] == "alice"
    assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize("content", [b"", b"{}", b'{"expiration": null}', b'{"name": "ci"}'])
async def test_without_wishes_the_tier_decides(
    platform: Platform, alice: str, content: bytes
) -> None:
    answer = await platform.client.post("/v1/tokens", content=content, headers=bearer(alice))
    assert answer.status_code == 201
    assert answer.json()["expiration"] == "4h0m0s"


@pytest.mark.parametrize(
    ("expiration", "written"),
    [(600, "10m0s"), (7200.0, "2h0m0s"), ("24h", "24h0m0s"), ("1h30m", "1h30m0s")],
)
async def test_lifetimes_within_bounds(
    platform: Platform, alice: str, expiration: object, written: str
) -> None:
    body = await platform.mint(alice, {"expiration": expiration})
    assert body["expiration"] == written


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"expiration": 599}', "tier free allows 10m0s to 24h0m0s"),
        (b'{"expiration": "25h"}', "tier free allows 10m0s to 24h0m0s"),
        (b'{"expiration": ""}', "expiration must be positive"),
        (b'{"expiration": "30"}', "missing unit"),
        (b'{"expiration": true}', "Expected"),
        (b'{"expiration": ["4h"]}', "Expected"),
        (b"[]", "Expected"),
        (b"{", "truncated"),
        (b"\xff", "utf-8"),
        (b'{"expiration": "\xff"}', "utf-8"),
        (b'{"\xc3": 1}', "utf-8"),
    ],
)
async def test_bad_wishes_are_refused(
    platform: Platform, alice: str, content: bytes, words: str
) -> None:
    answer = await platform.client.post("/v1/tokens", content=content, headers=bearer(alice))
    assert answer.status_code == 400
    assert answer.json()["error"] == "bad_request"
    assert words in answer.json()["message"]
    assert platform.kubernetes.accounts() == []


async def test_the_highest_level_wins(platform: Platform, carol: str) -> None:
    body = await platform.mint(carol)
    assert body["tier"] == "premium"
    assert body["limits"]["tokens"] == "unlimited"
    assert [(model["id"], model["ready"]) for model in body["models"]] == [
        ("gemma-3-270m", True),
        ("gemma-large", False),
    ]


async def test_everybody_may_have_a_tier(platform: Platform) -> None:
    body = await platform.mint(platform.kubernetes.log_in("stranger"))
    assert body["tier"] == "free"


async def test_no_tier_no_token(platform: Platform) -> None:
    mallory = platform.kubernetes.log_in("mallory")
    platform.kubernetes.tokens[mallory].groups = ["somewhere-else"]
    body = await platform.mint(mallory, status=404)
    assert body["error"] == "not_found"
    assert "no tier for this user" in body["message"]
    assert platform.kubernetes.accounts() == []


async def test_a_cluster_may_grant_less(platform: Platform, alice: str) -> None:
    platform.kubernetes.longest_ttl_seconds = 3600
    body = await platform.mint(alice, {"expiration": "8h"})
    assert body["expiration"] == "1h0m0s"
    assert body["expiresAt"] <= time.time() + 3600


async def test_a_second_token_needs_no_second_account(platform: Platform, alice: str) -> None:
    first, second = await platform.mint(alice), await platform.mint(alice)
    assert first["token"] != second["token"]
    assert len(platform.kubernetes.accounts()) == 1


async def test_many_at_once_share_one_account(platform: Platform, alice: str) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(platform.mint, alice)
    assert len(platform.kubernetes.accounts()) == 1
    assert platform.metric("maas_api_tokens_minted_total", tier="free") == 20


async def test_another_users_account_is_not_used(platform: Platform, alice: str) -> None:
    await platform.mint(alice)
    ((namespace, name),) = platform.kubernetes.accounts()
    await platform.kubernetes.remove("serviceaccounts", namespace, name)
    metadata = {
        "labels": {"maas.platform/account": "true"},
        "annotations": {"maas.platform/user": "victim"},
    }
    await platform.kubernetes.put("serviceaccounts", namespace, name, metadata=metadata)
    body = await platform.mint(alice, status=409)
    assert body["error"] == "conflict"
    assert "victim" not in body["message"]
    answer = await platform.client.delete("/v1/tokens", headers=bearer(alice))
    assert answer.status_code == 204
    assert platform.kubernetes.accounts() == [(namespace, name)]


async def test_minting_waits_for_a_deletion_to_end(platform: Platform, alice: str) -> None:
    await platform.mint(alice)
    ((namespace, name),) = platform.kubernetes.accounts()
    old = platform.kubernetes.objects["serviceaccounts", namespace, name]
    terminating = {**old["metadata"], "deletionTimestamp": "2026-01-02T03:04:05Z"}
    await platform.kubernetes.put("serviceaccounts", namespace, name, metadata=terminating)
    async with anyio.create_task_group() as group:
        group.start_soon(platform.mint, alice)
        await anyio.sleep(0.4)
        await platform.kubernetes.remove("serviceaccounts", namespace, name)
    new = platform.kubernetes.objects["serviceaccounts", namespace, name]
    assert new["metadata"]["uid"] != old["metadata"]["uid"]


async def test_a_deletion_that_does_not_end_is_an_error(platform: Platform, alice: str) -> None:
    await platform.mint(alice)
    ((namespace, name),) = platform.kubernetes.accounts()
    old = platform.kubernetes.objects["serviceaccounts", namespace, name]["metadata"]
    metadata = {**old, "deletionTimestamp": "2026-01-02T03:04:05Z"}
    await platform.kubernetes.put("serviceaccounts", namespace, name, metadata=metadata)
    await platform.mint(alice, status=503)


async def test_a_missing_namespace_is_an_error(platform: Platform, alice: str) -> None:
    platform.kubernetes.fail("POST", "/serviceaccounts$", 404)
    body = await platform.mint(alice, status=503)
    assert body["error"] == "unavailable"


async def test_revoked_tokens_are_dead_when_the_answer_comes(
    platform: Platform, carol: str
) -> None:
    platform.kubernetes.remembers_tokens = True
    token = (await platform.mint(carol))["token"]
    account = platform.account_of(token)
    assert (await platform.look_up(**account)).status_code == 200
    begun = time.monotonic()
    answer = await platform.client.delete("/v1/tokens", headers=bearer(carol))
    assert (answer.status_code, answer.content) == (204, b"")
    # The gateway's cache (0.1 s in tests) and how far another replica may be behind.
    assert time.monotonic() - begun >= 0.6
    assert (await platform.look_up(**account)).status_code == 404
    assert (await platform.client.get("/v1/me", headers=bearer(token))).status_code == 401
    assert platform.metric("maas_api_accounts_revoked_total", tier="premium") == 1


async def test_revoking_reaches_every_tier(platform: Platform, carol: str) -> None:
    old = await platform.mint(carol)
    platform.kubernetes.tokens[carol].groups = ["tier-free-users"]
    new = await platform.mint(carol)
    assert (old["tier"], new["tier"]) == ("premium", "free")
    answer = await platform.client.delete("/v1/tokens", headers=bearer(carol))
    assert answer.status_code == 204
    assert platform.kubernetes.accounts() == []


async def test_revoking_leaves_others_alone(platform: Platform, alice: str) -> None:
    bob = platform.kubernetes.log_in("bob", "tier-free-users")
    kept = platform.account_of((await platform.mint(bob))["token"])
    await platform.mint(alice)
    await platform.client.delete("/v1/tokens", headers=bearer(alice))
    assert (await platform.look_up(**kept)).status_code == 200


async def test_nothing_to_revoke_is_done_at_once(platform: Platform, alice: str) -> None:
    begun = time.monotonic()
    answer = await platform.client.delete("/v1/tokens", headers=bearer(alice))
    assert answer.status_code == 204
    assert time.monotonic() - begun < 0.4


async def test_revoking_twice_waits_twice(platform: Platform, alice: str) -> None:
    await platform.mint(alice)
    done: list[float] = []

    async def revoke(delay: float) -> None:
        await anyio.sleep(delay)
        assert (
            await platform.client.delete("/v1/tokens", headers=bearer(alice))
        ).status_code == 204
        done.append(time.monotonic())

    async with anyio.create_task_group() as group:
        group.start_soon(revoke, 0)
        group.start_soon(revoke, 0.2)
    assert done[1] - done[0] < 0.3


async def test_a_revocation_that_fails_says_so(platform: Platform, carol: str) -> None:
    await platform.mint(carol)
    platform.kubernetes.fail("DELETE", f"{PREFIX}premium", 403)
    answer = await platform.client.delete("/v1/tokens", headers=bearer(carol))
    assert answer.status_code == 503


async def test_a_new_token_after_revoking_works(platform: Platform, alice: str) -> None:
    dead = platform.account_of((await platform.mint(alice))["token"])
    await platform.client.delete("/v1/tokens", headers=bearer(alice))
    live = platform.account_of((await platform.mint(alice))["token"])
    assert (await platform.look_up(**live)).status_code == 200
    assert (await platform.look_up(**dead)).status_code == 404


async def test_a_revocation_meets_an_account_made_anew(platform: Platform, alice: str) -> None:
    await platform.mint(alice)
    platform.kubernetes.fail("DELETE", "/serviceaccounts/", 409, times=1)
    answer = await platform.client.delete("/v1/tokens", headers=bearer(alice))
    assert answer.status_code == 204
    assert platform.kubernetes.accounts() == []


async def test_a_deletion_our_watch_does_not_show_is_no_success(
    platform: Platform, alice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maas_api.tokens._SEEN_SECONDS", 0.2)
    account = platform.account_of((await platform.mint(alice))["token"])
    accounts = platform.application.view.accounts
    _, _, namespace, name = account["username"].split(":")

    async def is_known() -> bool:
        return accounts.known(namespace, name, account["uid"]) is not None

    await wait_until(is_known)
    await platform.kubernetes.deliver(False)
    answer = await platform.client.delete("/v1/tokens", headers=bearer(alice))
    assert answer.status_code == 503
    await platform.kubernetes.deliver(True)
    answer = await platform.client.delete("/v1/tokens", headers=bearer(alice))
    assert answer.status_code == 204
