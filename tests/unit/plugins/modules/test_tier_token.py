# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from ansible_collections.maas.platform.plugins.module_utils._accounts import (
    account_manifest,
    account_name,
)
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._policies import render
from ansible_collections.maas.platform.plugins.module_utils._tiers import parse_inventory
from ansible_collections.maas.platform.plugins.modules import tier_token


@pytest.fixture
def platform(api, raw_tiers, raw_models):
    inventory = parse_inventory(raw_tiers, raw_models)
    rendered = render(inventory.tiers, inventory.models)
    for part in ("namespaces", "catalog"):
        # One after the other: what is in a namespace comes after it.
        for item in rendered.part(part):
            api.cluster().apply(item)
    api.log.clear()
    return api


@pytest.fixture
def params():
    return {
        "user": "alice",
        "users": None,
        "tier": "free",
        "groups": None,
        "ttl": None,
        "api_namespace": "maas-api",
        "state": "present",
        "wait": True,
        "wait_timeout": 10,
    }


def test_a_token_is_made_and_the_account_with_it(platform, params):
    result = tier_token.run(params, platform.cluster())
    assert result["changed"]
    assert result["token"] == f"token-{account_name('alice')}-maas-default-gateway-sa-14400"
    assert result["expires_at"] == "2030-01-01T00:00:00Z"
    assert result["tokens"][0]["namespace"] == "maas-default-gateway-tier-free"
    assert platform.names("serviceaccounts") == [account_name("alice")]


def test_the_second_token_changes_nothing(platform, params):
    tier_token.run(params, platform.cluster())
    before = dict(platform.objects)
    again = tier_token.run(params, platform.cluster())
    assert not again["changed"]
    assert again["token"]
    assert platform.objects == before


def test_check_mode_makes_no_account_and_no_token(platform, params):
    before = dict(platform.objects)
    checked = tier_token.run(params, platform.cluster(), check_mode=True)
    assert checked["changed"]
    assert checked["token"] is None
    assert platform.objects == before
    assert not [path for _method, path in platform.log if path.endswith("/token")]
    assert set(checked) == set(tier_token.run(params, platform.cluster()))


def test_many_users_get_one_token_each(platform, params):
    users = [f"user-{number}" for number in range(30)]
    wanted = {**params, "user": None, "users": [*users, "user-0"]}
    result = tier_token.run(wanted, platform.cluster())
    assert [entry["user"] for entry in result["tokens"]] == users
    assert result["token"] is None
    assert len(platform.names("serviceaccounts")) == 30


def test_groups_choose_the_tier(platform, params):
    wanted = {**params, "tier": None, "groups": ["system:authenticated", "tier-premium-users"]}
    assert tier_token.run(wanted, platform.cluster())["tokens"][0]["tier"] == "premium"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tier": "fre"}, "there is no tier .*did you mean free"),
        ({"tier": None, "groups": ["nobody"]}, "no tier has any of the groups"),
        ({"tier": None, "groups": []}, "no tier has any of the groups"),
        ({"ttl": "9m"}, "allowed: 10m to 24h"),
        ({"ttl": "25h"}, "allowed: 10m to 24h"),
        ({"ttl": "1d"}, "is no duration"),
        ({"user": " alice"}, "is no user name"),
    ],
)
def test_what_is_not_allowed_is_refused_before_anything_is_made(platform, params, change, message):
    before = dict(platform.objects)
    with pytest.raises(MaasError, match=message):
        tier_token.run({**params, **change}, platform.cluster())
    assert platform.objects == before


def test_a_ttl_is_asked_for(platform, params):
    result = tier_token.run({**params, "ttl": "1h30m"}, platform.cluster())
    assert result["token"].endswith("-5400")


def test_without_a_catalog_there_is_advice(api, params):
    with pytest.raises(MaasError, match="this cluster has no tiers: run the playbook"):
        tier_token.run(params, api.cluster())


def _take(api, user, by):
    """Give by's account the name that user's would have."""
    stolen = account_manifest(by, "free")
    stolen["metadata"]["name"] = account_name(user)
    api.cluster().create(stolen)


def test_nobody_gets_a_token_of_somebody_else_s_account(platform, params):
    _take(platform, "alice", by="mallory")
    before = dict(platform.objects)
    with pytest.raises(MaasError, match='does not belong to user "alice"'):
        tier_token.run(params, platform.cluster())
    assert platform.objects == before
    assert not [path for _method, path in platform.log if path.endswith("/token")]


def test_an_account_made_by_somebody_else_meanwhile_is_looked_at(platform, params):
    cluster = platform.cluster()
    find = cluster.find

    def late(key):
        if key.kind == "ServiceAccount":
            cluster.find = find
            _take(platform, "alice", by="mallory")
            return None
        return find(key)

    cluster.find = late
    with pytest.raises(MaasError, match="does not belong"):
        tier_token.run(params, cluster)


def _replica(platform, answers):
    platform.add(
        "apps/v1",
        "Deployment",
        "deployments",
        "maas-api",
        "maas-api",
        spec={"selector": {"matchLabels": {"app": "maas-api"}}},
    )
    platform.add("v1", "Pod", "pods", "one", "maas-api")
    pod = platform.objects["/api/v1/namespaces/maas-api/pods/one"]
    pod["metadata"]["labels"] = {"app": "maas-api"}
    pod["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}
    asked = []

    def answer(method, path, body):
        asked.append((method, path, body))
        return answers.pop(0) if len(answers) > 1 else answers[0]

    platform.pods["one"] = answer
    return asked


def test_revoking_deletes_the_accounts_in_every_tier_and_waits(platform, params):
    for tier in ("free", "premium"):
        tier_token.run({**params, "tier": tier}, platform.cluster())
    tier_token.run({**params, "user": "bob"}, platform.cluster())
    asked = _replica(platform, [(200, {"tier": "free"}), (404, {"error": "not_found"})])
    revoked = {**params, "tier": None, "state": "revoked"}
    checked = tier_token.run(revoked, platform.cluster(), check_mode=True)
    assert checked["revoked"] == ["alice"]
    assert len(platform.names("serviceaccounts")) == 3
    result = tier_token.run(revoked, platform.cluster())
    assert result["changed"]
    assert result["revoked"] == ["alice"]
    assert set(result) == set(checked)
    assert platform.names("serviceaccounts") == [account_name("bob")]
    method, path, body = asked[0]
    assert (method, path) == ("POST", "/v1/tiers/lookup")
    assert body["username"].startswith("system:serviceaccount:maas-default-gateway-tier-")
    assert body["uid"].startswith("uid-")
    # The replica answered once too early, then the gateway had to forget.
    assert platform.slept >= 6
    again = tier_token.run(revoked, platform.cluster())
    assert (again["changed"], again["revoked"]) == (False, [])


def test_a_replica_that_goes_on_answering_is_an_error(platform, params):
    tier_token.run(params, platform.cluster())
    _replica(platform, [(200, {"tier": "free"})])
    with pytest.raises(MaasError, match="deleted but not refused yet"):
        tier_token.run({**params, "tier": None, "state": "revoked"}, platform.cluster())


def test_somebody_else_s_account_is_not_deleted(platform, params):
    _take(platform, "alice", by="mallory")
    with pytest.raises(MaasError, match="does not belong"):
        tier_token.run({**params, "tier": None, "state": "revoked"}, platform.cluster())
    assert platform.names("serviceaccounts") == [account_name("alice")]
