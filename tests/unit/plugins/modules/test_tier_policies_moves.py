# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Every day-2 move on a cluster in memory: what is there during it, after it, and at its end."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError

_FREE = "maas-default-gateway-tier-free"
_PREMIUM = "maas-default-gateway-tier-premium"
_PRO = "maas-default-gateway-tier-pro"


def _quiet(platform):
    """Return whether a second run writes nothing at all."""
    result = platform.run()
    return not result["changed"] and platform.writes() == []


def _owners(platform):
    rules = platform.policy("authpolicies")["spec"]["rules"]
    return rules["authentication"]["tier-token"]["overrides"]["tier"]["expression"]


def _rename(platform):
    platform.run()
    platform.add_account("carol", "premium")
    platform.tier("premium").update(name="pro", renamed_from=["premium"])
    return platform.run()


def test_a_renamed_tier_keeps_the_old_namespace_until_its_tokens_are_dead(platform):
    result = _rename(platform)
    (move,) = result["transitions"]
    assert move == {
        "namespace": _PREMIUM,
        "name": "premium",
        "tier": "pro",
        "state": "renamed",
        "until": "2026-11-24T08:05:00Z",  # 24 h to live, and 5 min for the switch itself
        "accounts": 1,
    }
    assert {_PREMIUM, _PRO} <= set(platform.api.names("namespaces"))
    assert f'"system:serviceaccount:{_PREMIUM}": "pro"' in _owners(platform)
    assert list(platform.policy("ratelimitpolicies")["spec"]["limits"]) == ["free", "pro"]
    assert any("tier premium: is pro now" in line for line in result["summary"])
    assert _quiet(platform)


def test_the_old_namespace_goes_when_the_time_is_over(platform):
    _rename(platform)
    platform.later(hours=24, minutes=4)
    assert _quiet(platform)
    platform.later(minutes=2)
    checked = platform.run(check_mode=True)
    result = platform.run()
    assert result["objects"] == checked["objects"]
    assert [(move["namespace"], move["state"]) for move in result["transitions"]] == [
        (_PREMIUM, "expired")
    ]
    assert [name.split("/")[0] for name in result["pruned_accounts"]] == [_PREMIUM]
    assert _PREMIUM not in platform.api.names("namespaces")
    assert _quiet(platform)


def test_a_migrated_tier_acts_as_another(platform):
    platform.run()
    platform.add_account("carol", "premium")
    platform.tiers[1] = {
        "name": "premium",
        "state": "absent",
        "on_removal": {"migrate_to": "enterprise"},
    }
    result = platform.run()
    assert [(move["tier"], move["state"]) for move in result["transitions"]] == [
        ("enterprise", "migrated")
    ]
    assert f'"system:serviceaccount:{_PREMIUM}": "enterprise"' in _owners(platform)
    bindings = [
        item
        for path, item in platform.api.objects.items()
        if path.endswith("rolebindings/maas-tier-enterprise")
    ]
    groups = {subject["name"] for item in bindings for subject in item["subjects"]}
    assert f"system:serviceaccounts:{_PREMIUM}" in groups
    assert _quiet(platform)


def test_a_draining_tier_is_served_until_its_deadline(platform):
    platform.run()
    platform.add_account("carol", "premium")
    platform.tiers[1] = {"name": "premium", "state": "absent", "on_removal": {"drain": "2h"}}
    result = platform.run()
    assert [(move["state"], move["until"]) for move in result["transitions"]] == [
        ("draining", "2026-11-23T10:00:00Z")
    ]
    assert f'"system:serviceaccount:{_PREMIUM}": "premium"' in _owners(platform)
    assert "premium" in platform.policy("ratelimitpolicies")["spec"]["limits"]
    platform.later(hours=1)
    assert _quiet(platform)
    platform.later(hours=2)
    platform.run()
    assert _PREMIUM not in platform.api.names("namespaces")
    assert "premium" not in platform.policy("ratelimitpolicies")["spec"]["limits"]
    assert _quiet(platform)


def test_a_blocked_tier_goes_at_once_and_after_its_door_is_shut(platform):
    platform.run()
    platform.add_account("carol", "premium")
    platform.tiers[1] = {"name": "premium", "state": "absent", "on_removal": "block"}
    result = platform.run()
    assert [move["state"] for move in result["transitions"]] == ["blocked"]
    assert _PREMIUM not in platform.api.names("namespaces")
    assert _PREMIUM not in _owners(platform)
    writes = [path for _method, path in platform.writes()]
    door = next(i for i, path in enumerate(writes) if "/authpolicies/" in path)
    assert door < writes.index(f"/api/v1/namespaces/{_PREMIUM}")
    assert _quiet(platform)


def test_a_tier_that_vanished_with_users_is_refused_before_any_change(platform):
    platform.run()
    platform.add_account("carol", "premium")
    del platform.tiers[1]
    before = copy.deepcopy(platform.api.objects)
    with pytest.raises(MaasError, match="entry with state: absent and on_removal") as failure:
        platform.run()
    assert failure.value.problems == [f"tier premium: 1 account(s) in namespace {_PREMIUM}"]
    assert platform.api.objects == before


def test_a_new_tier_gets_its_limits_before_anybody_is_let_in(platform):
    platform.run()
    platform.tiers.append(
        {
            "name": "gold",
            "level": 30,
            "groups": ["gold"],
            "models": ["*"],
            "limits": {"requests": [{"limit": 3, "window": "1m"}], "tokens": "unlimited"},
        }
    )
    result = platform.run()
    assert result["summary"] == ["tier gold is new: requests 3 per 1m, tokens unlimited"]
    writes = [path for _method, path in platform.writes()]
    limits = next(i for i, path in enumerate(writes) if "/ratelimitpolicies/" in path)
    assert limits < next(i for i, path in enumerate(writes) if "/authpolicies/" in path)


def test_an_override_is_told_and_limits_the_user(platform):
    platform.run()
    platform.overrides.append(
        {"user": "carol", "limits": {"requests": [{"limit": 99, "window": "1m"}]}}
    )
    result = platform.run()
    assert result["summary"] == ["user carol: requests 99 per 1m"]
    limits = platform.policy("ratelimitpolicies")["spec"]["limits"]
    (own,) = [name for name in limits if name.startswith("user.carol-")]
    assert limits[own]["rates"] == [{"limit": 99, "window": "1m"}]
    assert _quiet(platform)
    platform.overrides[:] = [{"user": "carol", "suspended": True, "reason": "left"}]
    assert "user carol: suspended (left)" in platform.run()["summary"]


def test_a_disabled_tier_keeps_its_accounts(platform):
    platform.run()
    platform.add_account("carol", "premium")
    platform.tier("premium")["enabled"] = False
    result = platform.run()
    assert result["summary"] == ["tier premium: calls and new tokens none -> refused (disabled)"]
    assert len(platform.api.names("serviceaccounts")) == 1
    assert _quiet(platform)


def test_accounts_that_stand_for_nobody_are_pruned_and_others_are_not(platform):
    platform.run()
    platform.add_account("carol", "premium")
    platform.add_account("dave", "premium")
    accounts = f"/api/v1/namespaces/{_PREMIUM}/serviceaccounts"
    (stray,) = [path for path in platform.api.objects if path.startswith(f"{accounts}/dave")]
    platform.api.objects[stray]["metadata"]["annotations"]["maas.platform/user"] = "erin"
    platform.api.add("v1", "ServiceAccount", "serviceaccounts", "theirs", _PREMIUM)
    checked = platform.run(check_mode=True)
    assert stray in platform.api.objects
    result = platform.run()
    assert result["pruned_accounts"] == [f"{_PREMIUM}/{stray.rsplit('/', 1)[1]}"]
    assert checked["pruned_accounts"] == result["pruned_accounts"]
    assert stray not in platform.api.objects
    assert len(platform.api.names("serviceaccounts")) == 2
    assert _quiet(platform)


def test_a_namespace_on_its_way_out_is_waited_for_before_it_is_made_again(platform):
    platform.run()
    path = f"/api/v1/namespaces/{_FREE}"
    platform.api.objects[path]["metadata"]["deletionTimestamp"] = "2026-11-23T07:59:00Z"
    sleep = platform.api._sleep

    def vanish(seconds):
        sleep(seconds)
        for inside in [p for p in platform.api.objects if p == path or p.startswith(f"{path}/")]:
            del platform.api.objects[inside]

    platform.api._sleep = vanish
    result = platform.run()
    assert ("Namespace", "created") in {(e["kind"], e["action"]) for e in result["objects"]}
    assert _FREE in platform.api.names("namespaces")
    platform.api._sleep = sleep
    assert _quiet(platform)
