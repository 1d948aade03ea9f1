# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What administrators see and do, and everybody's own usage."""

from __future__ import annotations

import itertools
import time
from copy import deepcopy
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from conftest import NAMESPACE, PREFIX, TIERS, Platform, bearer, wait_for_revision
from maas_api.answer import read_answer
from maas_api.audit import Origin
from maas_api.shared._accounts import account_name
from starlette.requests import Request

pytestmark = pytest.mark.anyio

GATEWAY = "maas-gateway"
POLICIES = {
    "AuthPolicy": ("authpolicies", "gateway-auth-policy"),
    "RateLimitPolicy": ("ratelimitpolicies", "gateway-rate-limits"),
    "TokenRateLimitPolicy": ("tokenratelimitpolicies", "gateway-token-rate-limits"),
}


async def get(platform: Platform, path: str, token: str, status: int = 200) -> Any:
    answer = await platform.client.get(path, headers=bearer(token))
    assert answer.status_code == status, answer.text
    return answer.json()


async def write_policies(platform: Platform, revision: str = "r1", **enforced: str) -> None:
    for kind, (resource, name) in POLICIES.items():
        status = enforced.get(kind, "True")
        await platform.kubernetes.put(
            resource,
            GATEWAY,
            name,
            metadata={"annotations": {"maas.platform/revision": revision}, "generation": 2},
            status={
                "observedGeneration": 2,
                "conditions": [
                    {"type": "Accepted", "status": "True", "message": "accepted"},
                    {"type": "Enforced", "status": status, "message": f"it is {status}"},
                ],
            },
        )


async def test_token_holders(platform: Platform, ada: str, alice: str, carol: str) -> None:
    before = int(time.time())
    await platform.mint(alice, {"expiration": "1h"})
    await platform.mint(carol)
    listed = (await get(platform, "/v1/admin/users", ada))["data"]
    assert [(entry["user"], entry["tier"], entry["namespace"]) for entry in listed] == [
        ("alice", "free", PREFIX + "free"),
        ("carol", "premium", PREFIX + "premium"),
    ]
    first = listed[0]
    assert first["account"].startswith("alice-")
    assert first["created"] == 1767323045
    assert before <= first["lastTokenAt"] <= time.time()
    assert before + 3600 <= first["tokensExpireAt"] <= time.time() + 3600
    assert (first["suspended"], first["former"]) == (False, False)


async def test_the_latest_expiry_is_kept(platform: Platform, ada: str, alice: str) -> None:
    long = await platform.mint(alice, {"expiration": "8h"})
    await platform.mint(alice, {"expiration": "10m"})
    (listed,) = (await get(platform, "/v1/admin/users", ada))["data"]
    assert listed["tokensExpireAt"] == long["expiresAt"]


async def test_minting_often_writes_notes_seldom(platform: Platform, alice: str) -> None:
    for _ in range(5):
        await platform.mint(alice)
    patches = [path for method, path in platform.kubernetes.calls if method == "PATCH"]
    assert len(patches) == 1


async def test_a_note_that_fails_fails_nothing(platform: Platform, ada: str, alice: str) -> None:
    platform.kubernetes.fail("PATCH", "/serviceaccounts/", 403)
    await platform.mint(alice)
    await platform.mint(alice)
    (listed,) = (await get(platform, "/v1/admin/users", ada))["data"]
    assert (listed["lastTokenAt"], listed["tokensExpireAt"]) == (None, None)
    warnings = [line for line in platform.log_lines() if line["event"] == "account not annotated"]
    assert len(warnings) == 1


async def test_an_administrator_revokes(platform: Platform, ada: str, alice: str) -> None:
    token = (await platform.mint(alice))["token"]
    account = platform.account_of(token)
    answer = await platform.client.delete("/v1/admin/users/alice/tokens", headers=bearer(ada))
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await platform.look_up(**account)).status_code == 404
    line = platform.audit_lines()[-1]
    assert (line["action"], line["result"], line["user"], line["owner"]) == (
        "token.revoke",
        "done",
        "ada",
        "alice",
    )
    # A second time there is nothing, and a name that is wrong is noticed.
    answer = await platform.client.delete("/v1/admin/users/alice/tokens", headers=bearer(ada))
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


@pytest.mark.parametrize("user", ["idp:alice", "system:node:one", "a/b", "ä b"])
async def test_users_of_all_names(platform: Platform, ada: str, user: str) -> None:
    token = platform.kubernetes.log_in("somebody", "tier-free-users")
    platform.kubernetes.tokens[token].username = user
    await platform.mint(token)
    path = f"/maas-api/v1/admin/users/{quote(user, safe='')}/tokens"
    answer = await platform.client.delete(path, headers=bearer(ada))
    assert answer.status_code == 204
    assert platform.kubernetes.accounts() == []
    route = 'route="/v1/admin/users/{user:path}/tokens",status="204"'
    assert route in (await platform.client.get("/metrics")).text


async def test_no_name_at_all(platform: Platform, ada: str) -> None:
    answer = await platform.client.delete("/v1/admin/users/%20/tokens", headers=bearer(ada))
    assert answer.status_code == 400


async def test_others_do_not_revoke(platform: Platform, alice: str, carol: str) -> None:
    await platform.mint(carol)
    answer = await platform.client.delete("/v1/admin/users/carol/tokens", headers=bearer(alice))
    assert answer.status_code == 403
    assert len(platform.kubernetes.accounts()) == 1
    line = platform.audit_lines()[-1]
    assert (line["result"], line["user"], line["owner"]) == ("refused", "alice", "carol")


async def test_nobody_is_an_administrator_by_a_header(platform: Platform, alice: str) -> None:
    headers = {**bearer(alice), "X-MaaS-Group": "maas-admins", "Impersonate-Group": "maas-admins"}
    answer = await platform.client.get("/v1/admin/users", headers=headers)
    assert answer.status_code == 403


# Usage


async def test_usage_without_a_call_is_zero(platform: Platform, alice: str) -> None:
    body = await get(platform, "/v1/usage", alice)
    assert abs(body.pop("asOf") - time.time()) < 5
    assert body == {
        "user": "alice",
        "tier": "free",
        "limits": [
            {
                "kind": "requests",
                "model": None,
                "limit": 5,
                "windowSeconds": 120,
                "used": 0,
                "remaining": 5,
                "resetsInSeconds": None,
            },
            {
                "kind": "tokens",
                "model": None,
                "limit": 100,
                "windowSeconds": 60,
                "used": 0,
                "remaining": 100,
                "resetsInSeconds": None,
            },
        ],
    }
    assert platform.limitador.calls == ["/counters/maas-gateway%2Fmaas-inference"]


async def test_usage_is_the_counters(platform: Platform, alice: str, carol: str) -> None:
    token = (await platform.mint(alice))["token"]
    own = platform.account_of(token)["username"]
    other = platform.account_of((await platform.mint(carol))["token"])["username"]
    platform.limitador.count(own, "free", 2, expires=77)
    platform.limitador.count(own, "free", 130, limit=100, seconds=60, kind="tokenlimit", expires=9)
    platform.limitador.count(other, "premium", 4)
    # Left from before the account changed tiers, and a limit that is no more.
    platform.limitador.count(own, "other", 3)
    platform.limitador.count(own, "free", 3, seconds=3600)
    for who in (alice, token):
        limits = (await get(platform, "/v1/usage", who))["limits"]
        assert [
            (one["kind"], one["used"], one["remaining"], one["resetsInSeconds"]) for one in limits
        ] == [("requests", 2, 3, 77), ("tokens", 130, 0, 9)]


async def test_usage_without_a_tier(platform: Platform) -> None:
    mallory = platform.kubernetes.log_in("mallory")
    platform.kubernetes.tokens[mallory].groups = []
    body = await get(platform, "/v1/usage", mallory)
    assert (body["tier"], body["limits"]) == (None, [])


async def test_usage_while_limitador_is_down(platform: Platform, alice: str) -> None:
    platform.limitador.is_up = False
    body = await get(platform, "/v1/usage", alice, 503)
    assert "Limitador does not answer" in body["message"]


@pytest.mark.parametrize("strange", [{}, {"limit": {}}, "x"])
async def test_usage_while_limitador_talks_nonsense(
    platform: Platform, alice: str, strange: Any
) -> None:
    platform.limitador.counters = [strange]
    await get(platform, "/v1/usage", alice, 503)


async def test_counters_of_other_purposes_are_passed_over(platform: Platform, alice: str) -> None:
    platform.limitador.counters = [
        {"limit": {"max_value": 1, "seconds": 1}},
        {"limit": {"max_value": 1, "seconds": 1, "name": None}, "set_variables": {"x": "y"}},
    ]
    assert (await get(platform, "/v1/usage", alice))["limits"][0]["used"] == 0


async def test_usage_of_everybody(platform: Platform, ada: str, alice: str, carol: str) -> None:
    for login, tier in ((alice, "free"), (carol, "premium")):
        account = platform.account_of((await platform.mint(login))["token"])["username"]
        platform.limitador.count(account, tier, 3)
    await platform.mint(ada)
    listed = (await get(platform, "/v1/admin/usage", ada))["data"]
    assert [(one["user"], one["tier"], one["limits"][0]["used"]) for one in listed] == [
        ("alice", "free", 3),
        ("carol", "premium", 3),
    ]


# The platform


async def test_the_policies_follow_the_catalog(platform: Platform, ada: str, alice: str) -> None:
    await write_policies(platform)
    await platform.mint(alice)
    body = await get(platform, "/v1/admin/platform", ada)
    assert (body["catalogRevision"], body["drift"]) == ("r1", [])
    assert [
        (one["kind"], one["exists"], one["accepted"], one["enforced"], one["revision"])
        for one in body["policies"]
    ] == [(kind, True, True, True, "r1") for kind in POLICIES]
    assert [(one["tier"]["tier"], one["groups"], one["users"]) for one in body["tiers"]] == [
        ("free", ["tier-free-users", "system:authenticated"], 1),
        ("premium", ["tier-premium-users"], 0),
    ]


async def test_policies_of_another_revision_are_drift(platform: Platform, ada: str) -> None:
    await write_policies(platform)
    await platform.write_catalog(TIERS, revision="r2")
    await wait_for_revision(platform, "r2")
    drift = (await get(platform, "/v1/admin/platform", ada))["drift"]
    assert len(drift) == 3
    assert "AuthPolicy maas-gateway/gateway-auth-policy is of revision r1" in drift[0]


async def test_a_policy_that_is_not_enforced_says_why(platform: Platform, ada: str) -> None:
    await write_policies(platform, RateLimitPolicy="False")
    body = await get(platform, "/v1/admin/platform", ada)
    policy = body["policies"][1]
    assert (policy["enforced"], policy["message"]) == (False, "it is False")
    assert body["drift"] == [
        "RateLimitPolicy maas-gateway/gateway-rate-limits is not enforced: it is False"
    ]


async def test_conditions_of_an_older_generation_are_no_answer(
    platform: Platform, ada: str
) -> None:
    await write_policies(platform)
    resource, name = POLICIES["AuthPolicy"]
    old = platform.kubernetes.objects[resource, GATEWAY, name]
    old["metadata"]["generation"] = 3
    body = await get(platform, "/v1/admin/platform", ada)
    assert (body["policies"][0]["accepted"], body["policies"][0]["enforced"]) == (None, None)


async def test_policies_that_do_not_exist(platform: Platform, ada: str) -> None:
    body = await get(platform, "/v1/admin/platform", ada)
    assert [one["exists"] for one in body["policies"]] == [False] * 3
    assert len(body["drift"]) == 1
    assert "nobody is let in" in body["drift"][0]


# The catalog that cannot be read


async def test_a_refused_catalog_is_an_event(platform: Platform) -> None:
    await platform.write_catalog(revision="bad", tiers="- name: free")
    await platform.write_catalog(revision="r2")
    await wait_for_revision(platform, "r2")
    await platform.application.view._events.close()
    ((_, namespace, _), event) = next(
        entry for entry in platform.kubernetes.objects.items() if entry[0][0] == "events"
    )
    assert namespace == NAMESPACE
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "namespace": NAMESPACE,
        "name": "tier-to-group-mapping",
    }
    assert (event["type"], event["reason"]) == ("Warning", "CatalogRefused")
    assert "the one before stays in force" in event["message"]


async def test_an_event_that_cannot_be_written_is_logged(platform: Platform) -> None:
    platform.kubernetes.fail("POST", "/events", 403)
    await platform.write_catalog(revision="bad", tiers="- name: free")
    await platform.write_catalog(revision="r2")
    await wait_for_revision(platform, "r2")
    await platform.application.view._events.close()
    assert [line for line in platform.log_lines() if line["event"] == "event not written"]


# From where


@pytest.mark.parametrize(
    ("hops", "forwarded", "client"),
    [
        (1, "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        (1, "198.51.100.7", "198.51.100.7"),
        (2, "1.1.1.1, 203.0.113.9, 198.51.100.7", "203.0.113.9"),
        (2, "198.51.100.7", "192.0.2.1"),
        (0, "203.0.113.9", "192.0.2.1"),
        (1, "", "192.0.2.1"),
    ],
)
def test_only_our_own_proxies_are_believed(hops: int, forwarded: str, client: str) -> None:
    scope = {
        "type": "http",
        "client": ("192.0.2.1", 1),
        "headers": [(b"x-forwarded-for", forwarded.encode())] if forwarded else [],
    }
    origin = Origin.of(Request(scope), trusted_hops=hops)
    assert (origin.client, origin.peer) == (client, "192.0.2.1")


async def test_usage_of_models_and_of_users_with_limits_of_their_own(
    platform: Platform, alice: str, carol: str
) -> None:
    account = platform.account_of((await platform.mint(alice))["token"])["username"]
    other = platform.account_of((await platform.mint(carol))["token"])["username"]
    name = account.rpartition(":")[2]
    rate = [{"limit": 9, "windowSeconds": 60}]
    tiers = deepcopy(TIERS)
    for tier in tiers:
        tier["limits"]["models"] = [{"namespace": "llm", "name": "gemma", "tokens": rate}]
    override = {
        "user": "alice",
        "account": name,
        "suspended": False,
        "reason": "",
        "limits": {"requests": rate},
    }
    await platform.write_catalog(tiers, revision="r2", overrides=[override])
    await wait_for_revision(platform, "r2")
    counts: list[tuple[str, str, int, dict[str, Any]]] = [
        # Of the tier's limit, which no longer is hers.
        (account, "free", 1, {"seconds": 60}),
        (account, f"user.{name}", 2, {"limit": 9, "seconds": 60}),
        (account, "free", 3, {"limit": 100, "seconds": 60, "kind": "tokenlimit"}),
        (account, "free.llm.gemma", 4, {"limit": 9, "seconds": 60, "kind": "tokenlimit"}),
        (other, "premium.llm.gemma", 5, {"limit": 9, "seconds": 60, "kind": "tokenlimit"}),
    ]
    for user, limit_name, used, options in counts:
        platform.limitador.count(user, limit_name, used, **options)

    async def used(token: str) -> list[tuple[str, str | None, int]]:
        limits = (await get(platform, "/v1/usage", token))["limits"]
        return [(one["kind"], one["model"], one["used"]) for one in limits]

    assert await used(alice) == [
        ("requests", None, 2),
        ("tokens", None, 3),
        ("tokens", "gemma", 4),
    ]
    assert await used(carol) == [("requests", None, 0), ("tokens", "gemma", 5)]


async def test_a_suspended_administrator_is_none(platform: Platform, ada: str, alice: str) -> None:
    await platform.mint(alice)
    override = {
        "user": "ada",
        "account": account_name("ada"),
        "suspended": True,
        "reason": "",
        "limits": None,
    }
    await platform.write_catalog(TIERS, revision="r2", overrides=[override])
    await wait_for_revision(platform, "r2")
    assert not (await get(platform, "/v1/me", ada))["admin"]
    await get(platform, "/v1/admin/users", ada, 403)
    path = "/v1/admin/users/alice/tokens"
    answer = await platform.client.delete(path, headers=bearer(ada))
    assert answer.status_code == 403
    assert len(platform.kubernetes.accounts()) == 1


#: What the API server calls a user of a provider, if not told otherwise. The gateway makes one
#: slash of two in paths.
SLASHES = "https://login.example.test#1234"


async def test_revoking_a_user_whose_name_no_path_can_hold(platform: Platform, ada: str) -> None:
    login = platform.kubernetes.log_in("somebody", "tier-free-users")
    platform.kubernetes.tokens[login].username = SLASHES
    await platform.mint(login)
    answer = await platform.client.post(
        "/maas-api/v1/admin/revocations", json={"user": SLASHES}, headers=bearer(ada)
    )
    assert (answer.status_code, answer.content) == (204, b"")
    assert platform.kubernetes.accounts() == []
    line = platform.audit_lines()[-1]
    assert (line["action"], line["result"]) == ("token.revoke", "done")
    assert (line["user"], line["owner"]) == ("ada", SLASHES)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"user": 1}', b'{"user": ""}', b"\xff", b"[]"])
async def test_a_revocation_names_somebody(platform: Platform, ada: str, body: bytes) -> None:
    answer = await platform.client.post("/v1/admin/revocations", content=body, headers=bearer(ada))
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")


async def test_revocations_are_for_administrators(platform: Platform, alice: str) -> None:
    answer = await platform.client.post(
        "/v1/admin/revocations", json={"user": "ada"}, headers=bearer(alice)
    )
    assert answer.status_code == 403
    line = platform.audit_lines()[-1]
    assert (line["action"], line["result"], line["owner"]) == ("token.revoke", "refused", "ada")


async def test_looking_at_usage_over_time_is_noted(platform: Platform, ada: str) -> None:
    services = platform.application.services
    caller = await services.authenticator.identify(ada, None)
    await services.desk.usage_over_time(caller, "user", "tokens", 24, Origin("a", "b", "web"))
    line = platform.audit_lines()[-1]
    assert (line["action"], line["result"], line["user"]) == ("usage.read", "done", "ada")


async def test_counters_that_take_long_to_read_are_read_seldom(
    platform: Platform, alice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = 0.0
    real = time.monotonic
    # Taking the answer apart takes half a second, by this clock.
    ticks = itertools.count(0, 0.5)
    monkeypatch.setattr("maas_api.limitador.time.perf_counter", lambda: next(ticks))
    monkeypatch.setattr("maas_api.limitador.time.monotonic", lambda: real() + passed)
    for seconds, reads in ((0, 1), (9, 1), (2, 2)):
        passed += seconds
        await get(platform, "/v1/usage", alice)
        assert len(platform.limitador.calls) == reads


async def test_usage_is_read_a_piece_at_a_time(platform: Platform, alice: str) -> None:
    own = (await platform.mint(alice))["user"]
    assert own == "alice"
    account = platform.kubernetes.accounts()[0]
    for number in range(1200):
        platform.limitador.count(f"system:serviceaccount:{PREFIX}free:user-{number}", "free", 1)
    platform.limitador.count(f"system:serviceaccount:{account[0]}:{account[1]}", "free", 2)
    body = await get(platform, "/v1/usage", alice)
    assert [one["used"] for one in body["limits"] if one["kind"] == "requests"] == [2]


@pytest.mark.parametrize("length", [5, 6])
async def test_answers_of_others_have_an_end(length: int) -> None:
    client = httpx.AsyncClient(
        transport=httpx.MockTransport(lambda _: httpx.Response(200, content=b"x" * length))
    )
    if length == 5:
        assert await read_answer(client, "http://x", 5) == b"xxxxx"
    else:
        with pytest.raises(httpx.DecodingError, match="longer than 5 bytes"):
            await read_answer(client, "http://x", 5)
