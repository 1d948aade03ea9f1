# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from ansible_collections.maas.platform.plugins.module_utils._accounts import account_manifest
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.modules import tier_policies


@pytest.fixture
def params(raw_tiers, raw_models):
    return {
        "tiers": raw_tiers,
        "models": raw_models,
        "overrides": [],
        "directory": None,
        "parts": ["policies", "namespaces", "access", "catalog"],
        "gateway_namespace": "maas-gateway",
        "api_namespace": "maas-api",
        "kuadrant_namespace": "kuadrant-system",
        "state": "present",
        "wait": True,
        "wait_timeout": 10,
    }


def _writes(api):
    return [(method, path) for method, path in api.log if method not in ("GET", "POST")]


def _run(api, params, **how):
    api.log.clear()
    return tier_policies.run(params, api.cluster, **how)


def test_a_fresh_cluster_is_converged_and_the_second_run_changes_nothing(api, params):
    first = _run(api, params)
    assert first["changed"]
    assert {entry["action"] for entry in first["objects"]} == {"created"}
    assert api.names("authpolicies") == ["gateway-auth-policy"]
    before = dict(api.objects)
    second = _run(api, params)
    assert not second["changed"]
    assert second["objects"] == []
    assert api.objects == before
    assert set(first) == set(second)
    assert first["revision"] == second["revision"]


def test_what_opens_doors_is_applied_last(api, params):
    _run(api, params)
    writes = [path for _method, path in _writes(api)]
    assert writes[0].startswith("/api/v1/namespaces/")
    assert writes[-1].endswith("authpolicies/gateway-auth-policy")
    limits = next(i for i, path in enumerate(writes) if "ratelimitpolicies" in path)
    catalog = next(i for i, path in enumerate(writes) if "configmaps" in path)
    assert catalog < limits < next(i for i, p in enumerate(writes) if "authpolicies" in p)


def test_check_mode_on_a_fresh_cluster_says_what_would_be_made(api, params):
    api.missing_groups.add("kuadrant.io")
    before = dict(api.objects)
    checked = _run(api, params, check_mode=True, diff_mode=True)
    assert checked["changed"]
    assert {entry["action"] for entry in checked["objects"]} == {"created"}
    assert "tier free: requests 5 per 2m\n" in checked["diff"][0]["after"]
    assert "AuthPolicy maas-gateway/gateway-auth-policy: created\n" in checked["diff"][1]["after"]
    assert api.objects == before
    api.missing_groups.clear()
    real = _run(api, params)
    assert [{**entry} for entry in real["objects"]] == checked["objects"]


def test_check_mode_on_a_converged_cluster_is_quiet(api, params):
    _run(api, params)
    checked = _run(api, params, check_mode=True, diff_mode=True)
    assert not checked["changed"]
    assert checked["diff"] == []
    assert checked["summary"] == []


def test_an_edited_limit_changes_what_it_must_and_shows_it(api, params, raw_tiers):
    _run(api, params)
    raw_tiers[0]["limits"]["requests"][0]["limit"] = 7
    checked = _run(api, params, check_mode=True, diff_mode=True)
    assert checked["summary"] == ["tier free: requests 5 per 2m -> 7 per 2m"]
    tiers, objects = checked["diff"]
    assert "tier free: requests 5 per 2m\n" in tiers["before"]
    assert "tier free: requests 7 per 2m\n" in tiers["after"]
    line = "RateLimitPolicy maas-gateway/gateway-rate-limits: spec.limits.free.rates[0].limit ="
    assert f"{line} 5\n" in objects["before"]
    assert f"{line} 7\n" in objects["after"]
    # That the revision moved on is in every object, and says nothing.
    assert "AuthPolicy" not in objects["before"] + objects["after"]
    assert checked["objects"] == _run(api, params)["objects"]
    kinds = {entry["kind"] for entry in checked["objects"]}
    assert kinds == {"ConfigMap", "RateLimitPolicy", "TokenRateLimitPolicy", "AuthPolicy"}


def test_what_somebody_else_changed_is_changed_back(api, params):
    _run(api, params)
    path = "/apis/rbac.authorization.k8s.io/v1/namespaces/llm/roles/maas-tier-free"
    api.objects[path]["rules"][0]["resourceNames"] = ["gemma", "gemma-large"]
    result = _run(api, params)
    assert [(entry["kind"], entry["action"]) for entry in result["objects"]] == [
        ("Role", "updated")
    ]


def test_a_tier_that_is_gone_takes_its_objects_along(api, params, raw_tiers):
    _run(api, params)
    del raw_tiers[1]
    raw_tiers[1]["models"] = ["*"]
    result = _run(api, params)
    deleted = {(e["kind"], e["name"]) for e in result["objects"] if e["action"] == "deleted"}
    assert ("Namespace", "maas-default-gateway-tier-premium") in deleted
    assert ("Role", "maas-tier-premium") in deleted
    assert "maas-default-gateway-tier-premium" not in api.names("namespaces")
    # Only afterwards: until the policies say so, the tier is served as before.
    writes = _writes(api)
    doors = [index for index, (_how, path) in enumerate(writes) if "/authpolicies/" in path]
    deletions = [index for index, (how, _path) in enumerate(writes) if how == "DELETE"]
    assert doors[0] < deletions[0]
    # And what is remembered of rights is remembered only from then on, and the users go last.
    assert deletions[0] < doors[-1] < deletions[-1]
    assert writes[-1] == ("DELETE", "/api/v1/namespaces/maas-default-gateway-tier-premium")


def test_a_tier_with_users_does_not_go_and_nothing_else_changes(api, params, raw_tiers):
    _run(api, params)
    api.cluster().create(account_manifest("dave", "premium"))
    del raw_tiers[1]
    before = dict(api.objects)
    for check_mode in (True, False):
        with pytest.raises(MaasError, match=r"tier premium: 1 account\(s\)"):
            _run(api, params, check_mode=check_mode)
    assert api.objects == before


def test_the_namespaces_of_models_stay(api, params, raw_tiers, raw_models):
    raw_models[1]["namespace"] = "large"
    _run(api, params)
    assert "large" in api.names("namespaces")
    raw_models.pop()
    raw_tiers[1]["models"] = ["gemma"]
    _run(api, params)
    assert "large" in api.names("namespaces")


def test_objects_of_others_stay(api, params):
    api.add("rbac.authorization.k8s.io/v1", "Role", "roles", "mine", "maas-gateway", rules=[])
    ours = {"app.kubernetes.io/managed-by": "maas.platform"}
    path = "/apis/rbac.authorization.k8s.io/v1/namespaces/maas-gateway/roles/mine"
    api.objects[path]["metadata"]["labels"] = ours
    _run(api, params)
    assert "mine" in api.names("roles")


def test_limits_that_are_gone_are_deleted(api, params, raw_tiers):
    _run(api, params)
    for tier in raw_tiers:
        tier["limits"] = {"requests": "unlimited", "tokens": "unlimited"}
    _run(api, params)
    assert api.names("ratelimitpolicies") == []
    assert api.names("tokenratelimitpolicies") == []


def test_an_invalid_inventory_reaches_no_cluster(params, raw_tiers):
    raw_tiers[0]["level"] = "0"

    def connect():
        raise AssertionError

    with pytest.raises(MaasError, match=r"maas_tiers\[0\].level"):
        tier_policies.run(params, connect)


def test_rendering_reaches_no_cluster(params):
    def connect():
        raise AssertionError

    result = tier_policies.run({**params, "state": "rendered"}, connect)
    assert not result["changed"]
    assert result["manifests"][0]["kind"] == "Namespace"
    assert result["revision"]


def test_chosen_parts_leave_the_others_alone(api, params):
    result = _run(api, {**params, "parts": ["namespaces"]})
    assert {entry["kind"] for entry in result["objects"]} == {"Namespace", "ResourceQuota"}
    result = _run(api, {**params, "parts": ["namespaces"]})
    assert not result["changed"]


def test_policies_that_never_hold_are_an_error_that_says_why(api, params, raw_tiers):
    _run(api, params)
    door = "/apis/kuadrant.io/v1/namespaces/maas-gateway/authpolicies/gateway-auth-policy"
    before = dict(api.objects[door])
    raw_tiers[0]["limits"]["requests"][0]["limit"] += 1
    api.enforces = False
    with pytest.raises(MaasError, match=r"not in force: not after 10 s: RateLimitPolicy"):
        _run(api, params)
    # The door is not touched while the limits behind it do not hold.
    assert api.objects[door] == before


def test_not_waiting_asks_nothing(api, params):
    api.enforces = False
    assert _run(api, {**params, "wait": False})["changed"]
    assert api.slept == 0


def test_a_condition_of_the_last_generation_is_not_enough(api, params):
    _run(api, params)
    path = "/apis/kuadrant.io/v1/namespaces/maas-gateway/ratelimitpolicies/gateway-rate-limits"
    api.objects[path]["metadata"]["generation"] += 1
    with pytest.raises(MaasError, match="is not seen yet"):
        _run(api, params)


def test_an_auth_config_of_the_last_revision_is_not_enough(api, params, raw_tiers):
    _run(api, params)
    raw_tiers[0]["display_name"] = "Gratis"
    api._authorino = lambda _policy: None
    with pytest.raises(MaasError, match="is of revision"):
        _run(api, params)


def _install_api(api, revisions):
    api.add(
        "apps/v1",
        "Deployment",
        "deployments",
        "maas-api",
        "maas-api",
        spec={"selector": {"matchLabels": {"app": "maas-api"}}},
    )
    for name, revision in revisions.items():
        pod = api.add("v1", "Pod", "pods", name, "maas-api")
        path = f"/api/v1/namespaces/maas-api/pods/{name}"
        api.objects[path]["metadata"]["labels"] = {"app": "maas-api"}
        api.objects[path]["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}
        api.pods[name] = (200, {"status": "healthy", "revision": revision})
        assert pod


def test_policies_wait_for_every_replica_of_the_api(api, params, raw_tiers):
    revision = _run(api, params)["revision"]
    raw_tiers[0]["display_name"] = "Gratis"
    _install_api(api, {"one": "old", "two": revision})
    policy = api.objects[
        "/apis/kuadrant.io/v1/namespaces/maas-gateway/authpolicies/gateway-auth-policy"
    ]
    generation = policy["metadata"]["generation"]
    with pytest.raises(MaasError, match=r"has not read the new tiers.*is at revision"):
        _run(api, params)
    assert policy["metadata"]["generation"] == generation
    new = tier_policies.run({**params, "state": "rendered"}, None)["revision"]
    for name in ("one", "two"):
        api.pods[name] = (200, {"revision": new})
    assert _run(api, params)["changed"]


def test_a_forbidden_question_to_a_replica_says_which_right_is_missing(api, params):
    _run(api, params)
    _install_api(api, {"one": "old"})
    api.pods["one"] = (403, {"kind": "Status", "message": "pods/proxy is forbidden"})
    with pytest.raises(MaasError, match="needs get and create on pods/proxy"):
        _run(api, params)


def test_absent_removes_everything_and_the_door_last(api, params):
    _run(api, params)
    api.cluster().create(account_manifest("dave", "premium"))
    absent = {**params, "state": "absent", "tiers": None}
    checked = _run(api, absent, check_mode=True)
    result = _run(api, absent)
    assert checked["objects"] == result["objects"]
    assert set(result) == set(checked)
    # The MaaS API's namespace is role maas_api's to remove: more than tiers is in there.
    left = ["kuadrant-system", "kube-system", "llm", "maas-api", "maas-gateway"]
    assert api.names("namespaces") == left
    assert api.names("authpolicies") == api.names("rolebindings") == []
    assert "policies" in _writes(api)[-1][1]
    assert not _run(api, absent)["changed"]


def test_rendered_objects_are_written_for_gitops(params, tmp_path):
    rendered = {**params, "state": "rendered", "directory": str(tmp_path)}
    checked = tier_policies.run(rendered, None, check_mode=True)
    result = tier_policies.run(rendered, None)
    assert checked == result
    assert result["changed"]
    assert len(result["files"]) == len(result["manifests"])
    assert result["diff"][0]["after"].startswith("# Rendered by maas.platform.tier_policies")
    again = tier_policies.run(rendered, None)
    assert not again["changed"]
    assert set(again) == set(result)
    del params["tiers"][2]
    gone = tier_policies.run({**rendered, "tiers": params["tiers"]}, None)
    names = {entry["path"].rsplit("/", 1)[1]: entry["action"] for entry in gone["files"]}
    assert names["namespace.maas-default-gateway-tier-enterprise.yaml"] == "deleted"
