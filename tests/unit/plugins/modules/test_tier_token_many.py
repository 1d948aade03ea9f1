# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Many users in one task: each with what is the user's own, and with few questions asked."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from ansible_collections.maas.platform.plugins.module_utils._accounts import account_name
from ansible_collections.maas.platform.plugins.module_utils._catalog import (
    Catalog,
    Former,
    write_catalog,
)
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._overrides import Override
from ansible_collections.maas.platform.plugins.module_utils._quotas import Rate
from ansible_collections.maas.platform.plugins.module_utils._tiers import parse_inventory
from ansible_collections.maas.platform.plugins.modules import tier_token

_LATER = datetime(2030, 1, 1, tzinfo=UTC)


def _put(api, tiers, former=(), overrides=()):
    """Put a catalog and the namespaces of its tiers onto the cluster."""
    catalog = Catalog(tuple(tiers), tuple(former), tuple(overrides))
    data = {key: json.dumps(value) for key, value in write_catalog(catalog).items()}
    api.add("v1", "Namespace", "namespaces", "maas-api")
    api.add("v1", "ConfigMap", "configmaps", "tier-to-group-mapping", "maas-api", data=data)
    for namespace in catalog.namespaces:
        item = api.add("v1", "Namespace", "namespaces", namespace)
        path = f"/api/v1/namespaces/{namespace}"
        api.objects[path]["metadata"]["labels"] = {
            "maas.platform/tier": catalog.rights(namespace).name
        }
        assert item["metadata"]["name"] == namespace
    api.log.clear()


@pytest.fixture
def tiers(raw_tiers, raw_models):
    return parse_inventory(raw_tiers, raw_models).tiers


@pytest.fixture
def platform(api, tiers):
    _put(api, tiers)
    return api


@pytest.fixture
def params():
    return {
        "user": None,
        "users": None,
        "tier": None,
        "groups": None,
        "ttl": None,
        "api_namespace": "maas-api",
        "state": "present",
        "show_tokens": False,
        "wait": True,
        "wait_timeout": 10,
    }


def test_each_user_may_have_a_tier_groups_and_a_ttl_of_their_own(platform, params):
    users = [
        "alice",
        {"user": "bob", "ttl": "1h"},
        {"user": "carol", "groups": ["system:authenticated", "tier-premium-users"]},
        {"user": "erin", "tier": "enterprise", "ttl": "20m"},
    ]
    result = tier_token.run({**params, "users": users, "tier": "free"}, platform.cluster())
    found = [
        (entry["user"], entry["tier"], entry["token"].rsplit("-", 1)[1])
        for entry in result["tokens"]
    ]
    assert found == [
        ("alice", "free", "14400"),
        ("bob", "free", "3600"),
        ("carol", "premium", "14400"),
        ("erin", "enterprise", "1200"),
    ]


def test_a_result_says_what_the_token_allows(platform, params):
    result = tier_token.run({**params, "users": ["alice"], "tier": "free"}, platform.cluster())
    entry = result["tokens"][0]
    assert entry["limits"]["requests"] == [{"limit": 5, "windowSeconds": 120}]
    assert entry["models"] == [{"namespace": "llm", "name": "gemma"}]


def test_a_user_with_limits_of_their_own_is_shown_those(api, tiers, params):
    own = Override("alice", account_name("alice"), requests=(Rate(500, 60),))
    _put(api, tiers, overrides=[own])
    result = tier_token.run({**params, "users": ["alice", "bob"], "tier": "free"}, api.cluster())
    assert [entry["limits"]["requests"] for entry in result["tokens"]] == [
        [{"limit": 500, "windowSeconds": 60}],
        [{"limit": 5, "windowSeconds": 120}],
    ]


def test_many_accounts_cost_one_list_of_each_tier(platform, params):
    users = [f"user-{number}" for number in range(40)]
    wanted = {**params, "users": users, "tier": "free"}
    tier_token.run(wanted, platform.cluster())
    platform.log.clear()
    again = tier_token.run(wanted, platform.cluster())
    assert not again["changed"]
    reads = {path for method, path in platform.log if method == "GET"}
    assert reads == {
        "/api/v1/namespaces/maas-api/configmaps/tier-to-group-mapping",
        "/api/v1/namespaces/maas-default-gateway-tier-free/serviceaccounts",
    }
    assert sum(method == "POST" for method, _path in platform.log) == 40


@pytest.mark.parametrize(
    ("users", "message"),
    [
        (
            [{"user": "bob", "tiers": "free"}, "alice"],
            r'users\[0\]: key "tiers" is not known.*tier',
        ),
        (["alice", {"tier": "free"}], r"users\[1\]: null is no user name"),
        (["alice", 7], r"users\[1\]: 7 is neither a user name nor a mapping"),
        (["alice", {"user": "bob", "tier": "free", "groups": []}], r"users\[1\].*only one of them"),
        (["alice", {"user": "bob", "groups": "staff"}], "no list of group names"),
        (["alice", {"user": "bob", "ttl": 3600}], r"users\[1\]: ttl 3600 is no text"),
        (
            ["alice", {"user": "bob", "ttl": "5m"}],
            'user "bob": ttl "5m" is not allowed in tier free',
        ),
        (
            ["alice", {"user": "bob", "tier": "premiun"}],
            'user "bob": there is no tier.*mean premium',
        ),
        (["alice", {"user": "bob", "groups": ["x"]}], 'user "bob": no tier has any of the groups'),
    ],
)
def test_one_bad_entry_and_nobody_gets_a_token(platform, params, users, message):
    before = dict(platform.objects)
    with pytest.raises(MaasError, match=f"(?s)1 of 2 users may have none.*{message}"):
        tier_token.run({**params, "users": users, "tier": "free"}, platform.cluster())
    assert platform.objects == before


def test_a_user_without_tier_or_groups_is_told_so(platform, params):
    with pytest.raises(MaasError, match="neither a tier nor groups are given"):
        tier_token.run({**params, "users": ["alice"]}, platform.cluster())


def test_a_suspended_user_gets_no_token(api, tiers, params):
    barred = Override("mallory", account_name("mallory"), suspended=True, reason="abuse")
    _put(api, tiers, overrides=[barred])
    with pytest.raises(MaasError, match=r'^user "mallory" is suspended \(abuse\); take the entry'):
        tier_token.run({**params, "users": ["mallory"], "tier": "free"}, api.cluster())
    assert api.names("serviceaccounts") == []


def test_a_disabled_tier_gives_no_token_and_no_lower_one(api, raw_tiers, raw_models, params):
    raw_tiers[1]["enabled"] = False
    _put(api, parse_inventory(raw_tiers, raw_models).tiers)
    groups = ["system:authenticated", "tier-premium-users"]
    with pytest.raises(MaasError, match=r"^tier premium is disabled; set enabled: true"):
        tier_token.run({**params, "users": ["carol"], "groups": groups}, api.cluster())


@pytest.mark.parametrize(
    ("former", "message"),
    [
        (("old", "premium", "renamed", None), r"there is no tier \"old\".*tier old is now premium"),
        (("old", "old", "draining", "old"), "tier old ends at 2030-01-01T00:00:00Z and makes no"),
    ],
)
def test_a_former_tier_s_name_is_explained(api, tiers, params, former, message):
    name, holder, state, entry = former
    whole = None if entry is None else next(iter(tiers))
    namespace = f"maas-default-gateway-tier-{name}"
    if whole is not None:
        whole = type(whole)(**{**vars(whole), "name": name, "level": 99})
    _put(api, tiers, former=[Former(namespace, name, holder, _LATER, state, whole)])
    with pytest.raises(MaasError, match=message):
        tier_token.run({**params, "users": ["alice"], "tier": "old"}, api.cluster())


def _mint(api, params, users, tier):
    tier_token.run({**params, "users": users, "tier": tier}, api.cluster())


def test_a_whole_tier_is_revoked_with_the_namespaces_a_rename_brought_it(api, tiers, params):
    before = Former("maas-default-gateway-tier-pro", "pro", "premium", _LATER, "renamed")
    _put(api, tiers, former=[before])
    _mint(api, params, ["carol", "dave"], "premium")
    _mint(api, params, ["carol", "alice"], "free")
    account = api.objects[
        f"/api/v1/namespaces/maas-default-gateway-tier-premium/serviceaccounts/{account_name('carol')}"
    ]
    api.add(
        "v1",
        "ServiceAccount",
        "serviceaccounts",
        account_name("zoe"),
        "maas-default-gateway-tier-pro",
    )
    moved = api.objects[
        f"/api/v1/namespaces/maas-default-gateway-tier-pro/serviceaccounts/{account_name('zoe')}"
    ]
    moved["metadata"]["labels"] = account["metadata"]["labels"]
    moved["metadata"]["annotations"] = {"maas.platform/user": "zoe"}
    revoked = {**params, "tier": "premium", "state": "revoked"}
    checked = tier_token.run(revoked, api.cluster(), check_mode=True)
    result = tier_token.run(revoked, api.cluster())
    assert checked == result
    assert result["revoked"] == ["carol", "dave", "zoe"]
    assert api.names("serviceaccounts") == sorted(map(account_name, ["alice", "carol"]))
    again = tier_token.run(revoked, api.cluster())
    assert (again["changed"], again["revoked"]) == (False, [])


def test_many_users_are_revoked_everywhere(platform, params):
    users = [f"user-{number}" for number in range(20)]
    _mint(platform, params, users, "free")
    _mint(platform, params, [*users[:5], "carol"], "premium")
    platform.log.clear()
    wanted = {**params, "users": users, "state": "revoked", "wait": False}
    assert tier_token.run(wanted, platform.cluster())["revoked"] == sorted(users)
    assert platform.names("serviceaccounts") == [account_name("carol")]
    assert sum(method == "DELETE" for method, _path in platform.log) == 25


@pytest.mark.parametrize(
    "change", [{"users": [], "tier": "free"}, {"users": ["a"], "tier": "free"}]
)
def test_users_and_a_tier_cannot_be_revoked_together(platform, params, change):
    _mint(platform, params, ["alice"], "free")
    with pytest.raises(MaasError, match="give either users, who are revoked in every tier, or"):
        tier_token.run({**params, **change, "state": "revoked"}, platform.cluster())
    assert platform.names("serviceaccounts") == [account_name("alice")]


def test_a_tier_that_is_not_there_is_no_silent_success(platform, params):
    with pytest.raises(MaasError, match=r'no tier "fre", so nobody was revoked; .* free, premium'):
        tier_token.run({**params, "tier": "fre", "state": "revoked"}, platform.cluster())


def test_every_replica_is_asked_until_it_refuses_and_not_again(platform, params):
    users = [f"user-{number}" for number in range(12)]
    _mint(platform, params, users, "free")
    spec = {"selector": {"matchLabels": {"app": "maas-api"}}}
    platform.add("apps/v1", "Deployment", "deployments", "maas-api", "maas-api", spec=spec)
    asked = {"one": [], "two": []}
    for name in asked:
        platform.add("v1", "Pod", "pods", name, "maas-api")
        pod = platform.objects[f"/api/v1/namespaces/maas-api/pods/{name}"]
        pod["metadata"]["labels"] = {"app": "maas-api"}
        pod["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}
    late = account_name("user-3")

    def answer(pod):
        def said(_method, _path, body):
            account = body["username"].rsplit(":", 1)[1]
            asked[pod].append(account)
            first = asked[pod].count(account) == 1
            return (200, {"tier": "free"}) if account == late and first else (404, {})

        return said

    platform.pods.update({name: answer(name) for name in asked})
    wanted = {**params, "users": users, "state": "revoked"}
    assert tier_token.run(wanted, platform.cluster())["revoked"] == sorted(users)
    for accounts in asked.values():
        assert sorted(accounts) == sorted([*map(account_name, users), late])


def test_one_foreign_account_keeps_nobody_else_from_being_revoked(platform, params):
    made = {**params, "users": ["alice", "bob"], "tier": "free"}
    tier_token.run(made, platform.cluster())
    (path,) = [path for path in platform.objects if path.endswith(account_name("alice"))]
    platform.objects[path]["metadata"]["annotations"]["maas.platform/user"] = "mallory"
    revoked = {**params, "users": ["alice", "bob"], "tier": None, "state": "revoked"}
    with pytest.raises(MaasError, match="1 account was left alone; revoked: bob") as caught:
        tier_token.run(revoked, platform.cluster())
    (problem,) = caught.value.problems
    assert 'does not belong to user "alice"' in problem
    assert platform.names("serviceaccounts") == [account_name("alice")]
