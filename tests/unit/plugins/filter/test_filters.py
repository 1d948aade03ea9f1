# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.maas.platform.plugins.filter import (
    models_problems,
    tier_account,
    tier_manifests,
    tiers_problems,
    tiers_warnings,
)
from ansible_collections.maas.platform.plugins.test import tiers_valid


def test_problems_are_listed(raw_tiers, raw_models):
    found = tiers_problems.FilterModule().filters()["tiers_problems"]
    assert found(raw_tiers, raw_models) == []
    raw_tiers[0]["level"] = "0"
    assert len(found(raw_tiers, raw_models)) == 1


def test_problems_of_overrides_are_listed(raw_tiers, raw_models):
    found = tiers_problems.FilterModule().filters()["tiers_problems"]
    (problem,) = found(raw_tiers, raw_models, [{"user": "alice"}])
    assert problem.startswith("maas_user_overrides[0]: value")


def test_problems_of_models_are_listed(raw_models):
    found = models_problems.FilterModule().filters()["models_problems"]
    assert found(raw_models) == []
    assert found(raw_models, {"gpus": -1}) == [
        "maas_model_defaults.gpus: value -1, allowed: a whole number, at least 0 and at most "
        "2147483647"
    ]
    runtimes = {"llama.cpp": {"image": "x:1"}}
    assert found(raw_models, {}, runtimes) == []
    raw_models[0] |= {"gpus": 1, "pool": "h10"}
    pools = [{"name": "h100", "selector": {"gpu": "h100"}}]
    assert found(raw_models, None, runtimes, pools) == [
        "maas_models[0].runtime.image: value (missing), allowed: an image: model_serving_runtimes "
        "has no vllm",
        'maas_models[0].pool: value "h10", allowed: a pool in gpu_nodes_pools: h100 (did you '
        "mean h100?)",
    ]


def test_likely_mistakes_are_listed(raw_tiers, raw_models):
    found = tiers_warnings.FilterModule().filters()["tiers_warnings"]
    assert found(raw_tiers, raw_models, counters_kept=True) == []
    assert len(found(raw_tiers, raw_models)) == 1


def test_tiers_are_valid_or_not(raw_tiers, raw_models):
    valid = tiers_valid.TestModule().tests()["tiers_valid"]
    assert valid(raw_tiers, raw_models, [{"user": "alice", "suspended": True}]) is True
    assert valid(raw_tiers, raw_models, [{"user": "alice"}]) is False


def test_objects_are_rendered(raw_tiers, raw_models):
    render = tier_manifests.FilterModule().filters()["tier_manifests"]
    assert len(render(raw_tiers, raw_models, parts=["catalog"])) == 1
    overrides = [{"user": "alice", "limits": {"requests": [{"limit": 1, "window": "1m"}]}}]
    (requests, _tokens, _auth) = render(raw_tiers, raw_models, ["policies"], overrides=overrides)
    assert "user.alice-522b276a" in requests["spec"]["limits"]
    policies = render(raw_tiers, raw_models, ["policies"], gateway_namespace="openshift-ingress")
    assert {item["metadata"]["namespace"] for item in policies} == {"openshift-ingress"}


def test_an_error_names_the_filter(raw_tiers, raw_models):
    render = tier_manifests.FilterModule().filters()["tier_manifests"]
    with pytest.raises(AnsibleFilterError, match=r"maas.platform.tier_manifests: no such parts"):
        render(raw_tiers, raw_models, parts=["all"])
    with pytest.raises(AnsibleFilterError, match=r"maas.platform.tier_manifests: .*not valid"):
        render([], raw_models)


def test_accounts_are_named():
    name = tier_account.FilterModule().filters()["tier_account"]
    account = name("alice", "free")
    assert account["user"] == f"system:serviceaccount:{account['namespace']}:{account['name']}"
    with pytest.raises(AnsibleFilterError, match=r"maas.platform.tier_account: "):
        name("", "free")
