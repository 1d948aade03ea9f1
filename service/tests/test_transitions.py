# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Tiers renamed, removed or disabled; users suspended, or with limits of their own."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from conftest import PREFIX, TIERS, Platform, bearer, tier_entry, wait_for, wait_for_revision
from maas_api.shared._accounts import account_name as name_of_account

pytestmark = pytest.mark.anyio

FREE = {"tier": "free", "displayName": "Free"}
PREMIUM = {"tier": "premium", "displayName": "Premium"}
PRO = {"tier": "pro", "displayName": "Pro"}


def in_seconds(seconds: float) -> str:
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def former(name: str, tier: str, state: str, until: str, entry: Any = None) -> dict[str, Any]:
    return {
        "namespace": PREFIX + name,
        "name": name,
        "tier": tier,
        "until": until,
        "state": state,
        "entry": entry,
        "groups": [],
    }


def override(user: str, account: str, **keys: Any) -> dict[str, Any]:
    return {
        "user": user,
        "account": account,
        "suspended": False,
        "reason": "",
        "limits": None,
        **keys,
    }


def changed(index: int, **keys: Any) -> list[dict[str, Any]]:
    tiers = deepcopy(TIERS)
    tiers[index].update(keys)
    return tiers


async def rename(platform: Platform, until: str | None = None, revision: str = "r2") -> None:
    """Rename premium to pro."""
    pro = tier_entry("pro", 10, ["tier-premium-users"], ["gemma", "gemma-large"])
    gone = [former("premium", "pro", "renamed", until or in_seconds(3600))]
    await platform.write_catalog([TIERS[0], pro], revision=revision, former=gone)
    await wait_for_revision(platform, revision)


def account_name(account: dict[str, str]) -> str:
    return account["username"].rpartition(":")[2]


async def test_a_renamed_tiers_accounts_have_the_new_tier(platform: Platform, carol: str) -> None:
    minted = await platform.mint(carol)
    account = platform.account_of(minted["token"])
    await rename(platform)
    assert (await platform.look_up(**account)).json() == PRO
    me = await platform.client.get("/v1/me", headers=bearer(minted["token"]))
    assert (me.status_code, me.json()["tier"]) == (200, "pro")


async def test_each_policy_is_answered_by_its_own_revision(platform: Platform, carol: str) -> None:
    """While the gateway's policy is still the old one, it knows no tier pro."""
    account = platform.account_of((await platform.mint(carol))["token"])
    await rename(platform)
    assert (await platform.look_up(**account, revision="r1")).json() == PREMIUM
    assert (await platform.look_up(**account, revision="r2")).json() == PRO
    assert (await platform.look_up(**account, revision="unheard-of")).json() == PRO


async def test_three_revisions_are_remembered(platform: Platform, carol: str) -> None:
    account = platform.account_of((await platform.mint(carol))["token"])
    for revision in ("r2", "r3"):
        await rename(platform, revision=revision)
    assert (await platform.look_up(**account, revision="r1")).json() == PREMIUM
    await rename(platform, revision="r4")
    assert (await platform.look_up(**account, revision="r1")).json() == PRO


async def test_a_revision_written_again_is_remembered_as_the_newest(
    platform: Platform, carol: str
) -> None:
    account = platform.account_of((await platform.mint(carol))["token"])
    await rename(platform)
    await platform.write_catalog(revision="r1")
    await wait_for_revision(platform, "r1")
    assert (await platform.look_up(**account, revision="r1")).json() == PREMIUM
    assert (await platform.look_up(**account)).json() == PREMIUM


async def test_after_a_rename_tokens_are_made_in_the_new_namespace(
    platform: Platform, carol: str
) -> None:
    await platform.mint(carol)
    await rename(platform)
    assert (await platform.mint(carol))["tier"] == "pro"
    assert {namespace for namespace, _ in platform.kubernetes.accounts()} == {
        PREFIX + "premium",
        PREFIX + "pro",
    }


async def test_revoking_reaches_former_namespaces(platform: Platform, carol: str) -> None:
    account = platform.account_of((await platform.mint(carol))["token"])
    await rename(platform)
    await platform.mint(carol)
    answer = await platform.client.delete("/v1/tokens", headers=bearer(carol))
    assert answer.status_code == 204
    assert platform.kubernetes.accounts() == []
    assert (await platform.look_up(**account, revision="r1")).status_code == 404


async def test_a_deadline_is_kept_to_the_second(platform: Platform, carol: str) -> None:
    token = (await platform.mint(carol))["token"]
    account = platform.account_of(token)
    await rename(platform, until=in_seconds(1.5))
    answers: list[httpx.Response] = [await platform.look_up(**account)]

    while answers[-1].status_code == 200:
        answers.append(await platform.look_up(**account))
    assert (answers[-1].status_code, answers[-1].json()["error"]) == (403, "forbidden")
    assert "ended at" in answers[-1].json()["message"]
    # Also for the policy of before, which knew of no deadline.
    assert (await platform.look_up(**account, revision="r1")).status_code == 403
    assert (await platform.client.get("/v1/me", headers=bearer(token))).status_code == 403
    assert platform.metric("maas_api_tier_lookups_total", result="refused") == 2


async def test_a_draining_tier_keeps_its_rights_and_makes_no_tokens(
    platform: Platform, carol: str
) -> None:
    token = (await platform.mint(carol))["token"]
    account = platform.account_of(token)
    gone = [former("premium", "premium", "draining", in_seconds(3600), TIERS[1])]
    await platform.write_catalog(TIERS[:1], revision="r2", former=gone)
    await wait_for_revision(platform, "r2")
    assert (await platform.look_up(**account)).json() == PREMIUM
    models = (await platform.client.get("/v1/models", headers=bearer(token))).json()["data"]
    assert [model["id"] for model in models] == ["gemma-3-270m", "gemma-large"]
    assert (await platform.mint(carol))["tier"] == "free"


async def test_a_migrated_tiers_users_go_on_in_the_other(platform: Platform, carol: str) -> None:
    account = platform.account_of((await platform.mint(carol))["token"])
    free = changed(0, groups=["tier-free-users", "tier-premium-users"])[:1]
    gone = [former("premium", "free", "migrated", in_seconds(3600))]
    await platform.write_catalog(free, revision="r2", former=gone)
    await wait_for_revision(platform, "r2")
    assert (await platform.look_up(**account)).json() == FREE
    assert (await platform.mint(carol))["tier"] == "free"


async def test_a_pruned_namespace_is_refused_whatever_the_revision(
    platform: Platform, carol: str
) -> None:
    account = platform.account_of((await platform.mint(carol))["token"])
    await platform.write_catalog(TIERS[:1], revision="r2")
    await wait_for_revision(platform, "r2")
    assert (await platform.look_up(**account, revision="r1")).status_code == 404


async def test_a_disabled_tier(platform: Platform, carol: str) -> None:
    token = (await platform.mint(carol))["token"]
    account = platform.account_of(token)
    await platform.write_catalog(changed(1, enabled=False), revision="r2")
    await wait_for_revision(platform, "r2")
    for revision in ("r1", "r2", None):
        answer = await platform.look_up(**account, revision=revision)
        assert answer.status_code == 403
        assert "disabled" in answer.json()["message"]
    body = await platform.mint(carol, status=404)
    assert "Tier premium is disabled" in body["message"]
    me = (await platform.client.get("/v1/me", headers=bearer(carol))).json()
    assert (me["tier"], me["models"]) == ("premium", [])
    assert "disabled" in me["refusal"]
    answer = await platform.client.get("/v1/models", headers=bearer(token))
    assert answer.status_code == 403
    # Back again: the old token works, nothing was deleted.
    await platform.write_catalog(revision="r3")
    await wait_for_revision(platform, "r3")
    assert (await platform.look_up(**account)).json() == PREMIUM
    # The policy of the revision in which it was disabled still says no.
    assert (await platform.look_up(**account, revision="r2")).status_code == 403


async def test_a_suspended_user(platform: Platform, alice: str) -> None:
    bob = platform.kubernetes.log_in("bob", "tier-free-users")
    token = (await platform.mint(alice))["token"]
    account = platform.account_of(token)
    other = platform.account_of((await platform.mint(bob))["token"])
    entry = override("alice", account_name(account), suspended=True, reason="an invoice is open")
    await platform.write_catalog(TIERS, revision="r2", overrides=[entry])
    await wait_for_revision(platform, "r2")
    for revision in ("r1", "r2"):
        answer = await platform.look_up(**account, revision=revision)
        assert answer.status_code == 403
        assert "suspended (an invoice is open)" in answer.json()["message"]
    assert (await platform.look_up(**other)).json() == FREE
    body = await platform.mint(alice, status=403)
    assert "suspended" in body["message"]
    assert (await platform.client.get("/v1/models", headers=bearer(token))).status_code == 403
    me = (await platform.client.get("/v1/me", headers=bearer(alice))).json()
    assert "suspended" in me["refusal"]
    # Whoever is suspended may still take his tokens back.
    answer = await platform.client.delete("/v1/tokens", headers=bearer(alice))
    assert answer.status_code == 204


async def test_a_user_without_a_tier_is_suspended_all_the_same(platform: Platform) -> None:
    mallory = platform.kubernetes.log_in("mallory")
    platform.kubernetes.tokens[mallory].groups = []
    entry = override("mallory", name_of_account("mallory"), suspended=True)
    await platform.write_catalog(TIERS, revision="r2", overrides=[entry])
    await wait_for_revision(platform, "r2")
    body = await platform.mint(mallory, status=403)
    assert body["message"] == "This user is suspended; ask an administrator."


async def test_limits_of_a_user_and_of_models(platform: Platform, alice: str, carol: str) -> None:
    account = account_name(platform.account_of((await platform.mint(alice))["token"]))
    many = [{"limit": 500, "windowSeconds": 60}]
    few = [{"limit": 7, "windowSeconds": 60}]
    gemma = {"namespace": "llm", "name": "gemma"}
    tiers = deepcopy(TIERS)
    for tier in tiers:
        tier["limits"]["models"] = [{**gemma, "requests": few}]
    entry = override("alice", account, limits={"requests": many})
    await platform.write_catalog(tiers, revision="r2", overrides=[entry])
    await wait_for_revision(platform, "r2")
    assert (await platform.mint(alice))["limits"] == {
        "requests": many,
        "tokens": [{"limit": 100, "windowSeconds": 60}],
    }
    me = (await platform.client.get("/v1/me", headers=bearer(carol))).json()
    assert me["limits"] == {
        "requests": [{"limit": 5, "windowSeconds": 120}],
        "tokens": "unlimited",
        "models": {"gemma": {"requests": few}},
    }


async def test_accounts_in_former_namespaces_are_watched(platform: Platform, carol: str) -> None:
    account = platform.account_of((await platform.mint(carol))["token"])
    await rename(platform)
    accounts = platform.application.view.accounts
    await wait_for(
        lambda: accounts.known(PREFIX + "premium", account_name(account), account["uid"])
    )
    platform.kubernetes.calls.clear()
    assert (await platform.look_up(**account)).json() == PRO
    assert platform.kubernetes.calls == []
