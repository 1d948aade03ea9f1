# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The tier lookup: groups for those who ask as before, accounts for the gateway."""

from __future__ import annotations

import anyio
import pytest
from conftest import PREFIX, TIERS, Platform, bearer, wait_for

pytestmark = pytest.mark.anyio

FREE = {"tier": "free", "displayName": "Free"}
PREMIUM = {"tier": "premium", "displayName": "Premium"}


@pytest.mark.parametrize(
    ("groups", "tier"),
    [
        (["system:authenticated"], FREE),
        (["tier-premium-users"], PREMIUM),
        (["system:authenticated", "tier-premium-users", "others"], PREMIUM),
    ],
)
async def test_groups(platform: Platform, groups: list[str], tier: dict[str, str]) -> None:
    answer = await platform.look_up(groups=groups)
    assert (answer.status_code, answer.json()) == (200, tier)
    assert answer.headers["content-type"] == "application/json"


async def test_unknown_groups(platform: Platform) -> None:
    answer = await platform.look_up(groups=["strangers"])
    assert answer.status_code == 404
    assert answer.json()["error"] == "not_found"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{invalid json}",
        b"{}",
        b'{"groups": []}',
        b'{"groups": "tier-free-users"}',
        b'{"groups": [1]}',
        b"[]",
        b"null",
        b'{"groups": ["\xff"]}',
        b'{"username": "alice"}',
        b'{"username": "system:serviceaccount:maas-default-gateway-tier-free:a"}',
    ],
)
async def test_malformed(platform: Platform, content: bytes) -> None:
    answer = await platform.client.post("/v1/tiers/lookup", content=content)
    assert answer.status_code == 400
    assert answer.json()["error"] == "bad_request"


async def test_an_account_has_its_namespaces_tier_whatever_its_groups(
    platform: Platform, alice: str
) -> None:
    account = platform.account_of((await platform.mint(alice))["token"])
    answer = await platform.look_up(groups=["tier-premium-users"], **account)
    assert (answer.status_code, answer.json()) == (200, FREE)


async def test_an_account_of_another_namespace_has_none(platform: Platform) -> None:
    account = {"username": "system:serviceaccount:default:builder", "uid": "7"}
    answer = await platform.look_up(groups=["tier-free-users"], **account)
    assert answer.status_code == 404


async def test_a_namespace_that_looks_like_ours_is_not(platform: Platform) -> None:
    username = f"system:serviceaccount:{PREFIX}enterprise:a"
    answer = await platform.look_up(groups=["tier-free-users"], username=username, uid="7")
    assert answer.status_code == 404


async def test_a_user_whose_name_is_no_account_has_groups(platform: Platform) -> None:
    answer = await platform.look_up(groups=["tier-free-users"], username="alice", uid="7")
    assert answer.json() == FREE


@pytest.mark.parametrize(
    "name", ["../../pods/x", "a/b", "A", "a?b", "a%2fb", "-", "", "a" * 64, "a:b"]
)
async def test_strange_names_ask_nobody(platform: Platform, name: str) -> None:
    platform.kubernetes.calls.clear()
    username = f"system:serviceaccount:{PREFIX}free:{name}"
    answer = await platform.look_up(username=username, uid="7")
    assert answer.status_code in {400, 404}
    assert answer.status_code == (400 if name == "" else 404)
    assert platform.kubernetes.calls == []


async def test_a_known_account_costs_no_call(platform: Platform, alice: str) -> None:
    account = platform.account_of((await platform.mint(alice))["token"])
    accounts = platform.application.view.accounts
    _, _, namespace, name = account["username"].split(":")
    await wait_for(lambda: accounts.known(namespace, name, account["uid"]))
    platform.kubernetes.calls.clear()
    for _ in range(50):
        assert (await platform.look_up(**account)).json() == FREE
    assert platform.kubernetes.calls == []
    found = platform.metric("maas_api_tier_lookups_total", result="found")
    assert found is not None
    assert found >= 50


async def test_a_fresh_account_works_before_the_watch_shows_it(
    platform: Platform, alice: str
) -> None:
    await platform.kubernetes.deliver(False)
    account = platform.account_of((await platform.mint(alice))["token"])
    platform.kubernetes.calls.clear()
    answer = await platform.look_up(**account)
    assert (answer.status_code, answer.json()) == (200, FREE)
    assert [method for method, _ in platform.kubernetes.calls] == ["GET"]


async def test_a_burst_for_a_fresh_account_is_one_call(platform: Platform, alice: str) -> None:
    await platform.kubernetes.deliver(False)
    account = platform.account_of((await platform.mint(alice))["token"])
    platform.kubernetes.calls.clear()
    statuses: list[int] = []

    async def look_up() -> None:
        statuses.append((await platform.look_up(**account)).status_code)

    async with anyio.create_task_group() as group:
        for _ in range(30):
            group.start_soon(look_up)
    assert statuses == [200] * 30
    assert len(platform.kubernetes.calls) < 5


async def test_a_dead_uid_is_refused_and_asked_for_once(platform: Platform, alice: str) -> None:
    account = platform.account_of((await platform.mint(alice))["token"])
    platform.kubernetes.calls.clear()
    for _ in range(5):
        answer = await platform.look_up(username=account["username"], uid="of-an-earlier-account")
        assert answer.status_code == 404
    assert len(platform.kubernetes.calls) == 1
    dead = platform.metric("maas_api_tier_lookups_total", result="dead_account")
    assert dead == 5
    assert platform.metric("maas_api_tier_lookups_total", result="no_tier") == 0


async def test_an_account_without_our_label_is_nobody(platform: Platform) -> None:
    made = await platform.kubernetes.put("serviceaccounts", PREFIX + "free", "default")
    username = f"system:serviceaccount:{PREFIX}free:default"
    answer = await platform.look_up(username=username, uid=made["metadata"]["uid"])
    assert answer.status_code == 404


async def test_who_cannot_tell_says_no(platform: Platform) -> None:
    platform.kubernetes.fail("GET", "/serviceaccounts/", 500)
    username = f"system:serviceaccount:{PREFIX}free:alice-522b276a"
    answer = await platform.look_up(username=username, uid="7")
    assert answer.status_code == 503
    assert answer.json()["error"] == "unavailable"
    assert platform.metric("maas_api_tier_lookups_total", result="unavailable") == 1


async def test_a_broken_watch_is_not_believed(platform: Platform, alice: str) -> None:
    account = platform.account_of((await platform.mint(alice))["token"])
    assert (await platform.look_up(**account)).status_code == 200
    platform.transport.cut()
    view = platform.application.view
    await wait_for(lambda: not any(watch.is_synced for _, watch in view.accounts.watches))
    assert (await platform.look_up(**account)).status_code == 503
    platform.transport.mend()
    await wait_for(lambda: all(watch.is_synced for _, watch in view.accounts.watches), 10)
    assert (await platform.look_up(**account)).status_code == 200


async def test_while_a_watch_is_down_accounts_are_read_one_by_one(
    platform: Platform, alice: str
) -> None:
    account = platform.account_of((await platform.mint(alice))["token"])
    platform.kubernetes.fail("WATCH", "/serviceaccounts", 500)
    platform.transport.cut()
    platform.transport.mend()
    view = platform.application.view
    await wait_for(lambda: not any(watch.is_synced for _, watch in view.accounts.watches))
    assert (await platform.look_up(**account)).status_code == 200
    await platform.client.delete("/v1/tokens", headers=bearer(alice))
    assert (await platform.look_up(**account)).status_code == 404


async def test_no_catalog_no_answer(cold: Platform) -> None:
    answer = await cold.look_up(groups=["system:authenticated"])
    assert answer.status_code == 503


async def test_a_tier_that_is_gone_has_no_accounts(platform: Platform, carol: str) -> None:
    account = platform.account_of((await platform.mint(carol))["token"])
    await platform.write_catalog(TIERS[:1], revision="r2")
    await wait_for(lambda: platform.application.view.revision == "r2")
    assert (await platform.look_up(**account)).status_code == 404
