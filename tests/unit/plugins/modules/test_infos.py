# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from ansible_collections.maas.platform.plugins.module_utils._accounts import account_manifest
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._policies import render
from ansible_collections.maas.platform.plugins.module_utils._tiers import parse_inventory
from ansible_collections.maas.platform.plugins.modules import cluster_info, tier_info

_PARAMS = {
    "name": None,
    "users": False,
    "tiers": None,
    "models": [],
    "overrides": [],
    "gateway_namespace": "maas-gateway",
    "api_namespace": "maas-api",
}


@pytest.fixture
def converged(api, raw_tiers, raw_models):
    inventory = parse_inventory(raw_tiers, raw_models)
    rendered = render(inventory.tiers, inventory.models)
    for part in ("namespaces", "catalog", "policies"):
        # One after the other: what is in a namespace comes after it.
        for item in rendered.part(part):
            api.cluster().apply(item)
    return api


def test_tiers_and_policies_are_read(converged):
    result = tier_info.run(_PARAMS, converged.cluster())
    assert [tier["name"] for tier in result["tiers"]] == ["free", "premium", "enterprise"]
    assert "users" not in result["tiers"][0]
    assert not result["changed"]
    assert {policy["name"] for policy in result["policies"]} == {
        "gateway-auth-policy",
        "gateway-rate-limits",
        "gateway-token-rate-limits",
    }
    for policy in result["policies"]:
        assert policy["enforced"]
        assert policy["revision"] == result["revision"]


def test_a_policy_that_does_not_hold_says_what_it_lacks(converged):
    path = "/apis/kuadrant.io/v1/namespaces/maas-gateway/ratelimitpolicies/gateway-rate-limits"
    converged.objects[path]["status"] = {}
    policies = tier_info.run(_PARAMS, converged.cluster())["policies"]
    (broken,) = [policy for policy in policies if not policy["enforced"]]
    assert "is not seen yet" in broken["missing"]


def test_users_are_read_where_asked_for(converged):
    for user in ("bob", "alice"):
        converged.cluster().create(account_manifest(user, "free"))
    converged.add(
        "v1", "ServiceAccount", "serviceaccounts", "default", "maas-default-gateway-tier-free"
    )
    result = tier_info.run({**_PARAMS, "users": True}, converged.cluster())
    assert [tier["users"] for tier in result["tiers"]] == [["alice", "bob"], [], []]


def test_one_tier_is_read_or_missed(converged):
    result = tier_info.run({**_PARAMS, "name": "premium"}, converged.cluster())
    assert [tier["name"] for tier in result["tiers"]] == ["premium"]
    with pytest.raises(MaasError, match="the tiers are free, premium, enterprise"):
        tier_info.run({**_PARAMS, "name": "gold"}, converged.cluster())


def test_a_catalog_that_is_no_yaml_is_an_error(converged):
    path = "/api/v1/namespaces/maas-api/configmaps/tier-to-group-mapping"
    converged.objects[path]["data"]["tiers"] = "a: ["
    with pytest.raises(MaasError, match="holds no YAML"):
        tier_info.run(_PARAMS, converged.cluster())


def test_the_cluster_says_who_it_is(api):
    result = cluster_info.run({"permissions": [], "namespaces": []}, api.cluster())
    assert result["version"] == "v1.34.4"
    assert result["server"] == "https://fake"
    assert result["uid"].startswith("uid-")
    assert result["denied"] == []


def test_missing_permissions_are_listed(api):
    api.denied = {("delete", "namespaces"), ("create", "pods")}
    entry = {"group": "", "resources": ["namespaces", "pods/proxy"], "namespace": ""}
    permissions = [{**entry, "verbs": ["create", "delete"]}]
    result = cluster_info.run({"permissions": permissions, "namespaces": []}, api.cluster())
    assert result["denied"] == [
        {"verb": "delete", "group": "", "resource": "namespaces", "namespace": ""},
        {"verb": "create", "group": "", "resource": "pods/proxy", "namespace": ""},
    ]


def test_namespaces_of_others_are_told_from_ours_and_from_none(api):
    ours = {"app.kubernetes.io/managed-by": "maas.platform", "app.kubernetes.io/part-of": "maas"}
    api.add("v1", "Namespace", "namespaces", "team-a")
    api.add("v1", "Namespace", "namespaces", "llm")
    api.objects["/api/v1/namespaces/llm"]["metadata"]["labels"] = ours
    asked = {"permissions": [], "namespaces": ["llm", "team-a", "new"]}
    assert cluster_info.run(asked, api.cluster())["foreign_namespaces"] == ["team-a"]
