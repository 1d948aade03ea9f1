# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What tier_info says of accounts, moves, overrides and drift."""

from __future__ import annotations

import pytest
from ansible_collections.maas.platform.plugins.modules import tier_info

_PREMIUM = "maas-default-gateway-tier-premium"
_LIMITS = "/apis/kuadrant.io/v1/namespaces/maas-gateway/ratelimitpolicies/gateway-rate-limits"


@pytest.fixture
def read(platform):
    """Read the tiers of a converged cluster."""
    platform.run()

    def run(**options):
        params = {
            "name": None,
            "users": False,
            "tiers": None,
            "models": platform.models,
            "overrides": platform.overrides,
            "gateway_namespace": "maas-gateway",
            "api_namespace": "maas-api",
            **options,
        }
        return tier_info.run(params, platform.api.cluster(), lambda: platform.time)

    return run


def test_accounts_are_counted_and_named_where_asked_for(platform, read):
    for user in ("carol", "dave"):
        platform.add_account(user, "premium")
    (path,) = [path for path in platform.api.objects if "/serviceaccounts/carol" in path]
    notes = platform.api.objects[path]["metadata"]["annotations"]
    notes["maas.platform/last-token-at"] = "2026-11-23T07:00:00Z"
    premium = read()["tiers"][1]
    assert premium["account_count"] == 2
    assert "users" not in premium
    premium = read(users=True)["tiers"][1]
    assert premium["users"] == ["carol", "dave"]
    assert premium["last_token_at"] == {"carol": "2026-11-23T07:00:00Z"}


def test_former_namespaces_and_overrides_are_read(platform, read):
    platform.add_account("carol", "premium")
    platform.tier("premium").update(name="pro", renamed_from=["premium"])
    platform.overrides.append({"user": "zed", "suspended": True, "reason": "left"})
    platform.run()
    result = read(users=True)
    (former,) = result["former"]
    assert (former["namespace"], former["tier"], former["state"]) == (_PREMIUM, "pro", "renamed")
    assert former["until"] == "2026-11-24T08:05:00Z"
    assert former["users"] == ["carol"]
    assert [(entry["user"], entry["suspended"]) for entry in result["overrides"]] == [("zed", True)]
    assert [entry["namespace"] for entry in read(name="pro")["former"]] == [_PREMIUM]
    assert read(name="free")["former"] == []


def test_a_cluster_that_is_what_the_inventory_says_has_no_drift(platform, read):
    assert read(tiers=platform.tiers)["drift"] == []


def test_what_the_inventory_says_anew_is_told(platform, read):
    platform.tiers[0]["limits"]["requests"][0]["limit"] = 7
    assert read(tiers=platform.tiers)["drift"] == ["tier free: requests 5 per 2m -> 7 per 2m"]
    assert read()["drift"] == []


def test_what_was_changed_by_hand_is_told(platform, read):
    rates = ("spec", "limits", "free", "rates")
    platform.api.edit(_LIMITS, {rates: [{"limit": 500, "window": "2m"}]})
    assert read(tiers=platform.tiers)["drift"] == [
        "RateLimitPolicy maas-gateway/gateway-rate-limits: spec.limits.free.rates[0].limit is 500, "
        "wanted 5, changed by kubectl-edit"
    ]


def test_a_tier_that_vanished_is_told(platform, read):
    del platform.tiers[1]
    lines = read(tiers=platform.tiers)["drift"]
    assert "tier premium is no longer offered" in lines
    assert f"Namespace {_PREMIUM} is there and no longer wanted" in lines


def test_an_inventory_that_cannot_be_reached_says_why(platform, read):
    platform.add_account("carol", "premium")
    platform.tier("premium").update(name="pro", renamed_from=["premium"])
    platform.run()
    entry = {"name": "premium", "level": 5, "groups": [], "models": ["*"]}
    limits = {"requests": "unlimited", "tokens": "unlimited"}
    del platform.tier("pro")["renamed_from"]
    platform.tiers.append({**entry, "limits": limits})
    (line,) = read(tiers=platform.tiers)["drift"]
    assert line.startswith("the cluster cannot become what the inventory says")
    assert "belong to tier pro" in line


def test_strays_are_named(platform, read):
    platform.add_account("dave", "premium")
    (path,) = [path for path in platform.api.objects if "/serviceaccounts/dave" in path]
    del platform.api.objects[path]["metadata"]["annotations"]["maas.platform/user"]
    assert read()["strays"] == [f"{_PREMIUM}/{path.rsplit('/', 1)[1]}"]
