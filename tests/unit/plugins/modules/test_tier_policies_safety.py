# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What a run must never do: strand somebody, let in without a limit, or take it on trust."""

from __future__ import annotations

import copy

import pytest
import yaml
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._forward import PodReadError
from ansible_collections.maas.platform.plugins.module_utils._tokens import revoke_tier, revoke_users
from ansible_collections.maas.platform.plugins.modules import tier_policies

_PREMIUM = "maas-default-gateway-tier-premium"
_PREMIUM_PATH = f"/api/v1/namespaces/{_PREMIUM}"
_CATALOG = "/api/v1/namespaces/maas-api/configmaps/tier-to-group-mapping"
_KUADRANT = "/apis/kuadrant.io/v1/namespaces/maas-gateway"
_DOOR = f"{_KUADRANT}/authpolicies/gateway-auth-policy"
_REQUESTS = f"{_KUADRANT}/ratelimitpolicies/gateway-rate-limits"
_GOLD = {
    "name": "gold",
    "level": 30,
    "groups": ["gold"],
    "models": ["*"],
    "limits": {"requests": [{"limit": 3, "window": "1m"}], "tokens": "unlimited"},
}
_MIGRATE = {
    "name": "premium",
    "state": "absent",
    "on_removal": {"migrate_to": "enterprise"},
}


@pytest.fixture
def running(platform):
    """Return a platform that is in force, with a user in premium."""
    platform.run()
    platform.add_account("carol", "premium")
    return platform


def _unlabel(platform, path, *names):
    labels = platform.api.objects[path]["metadata"]["labels"]
    for name in names or list(labels):
        del labels[name]


def _install_api(api, ready, **spec):
    selector = {"selector": {"matchLabels": {"app": "maas-api"}}}
    api.add(
        "apps/v1", "Deployment", "deployments", "maas-api", "maas-api", spec={**selector, **spec}
    )
    api.add("v1", "Pod", "pods", "one", "maas-api")
    pod = api.objects["/api/v1/namespaces/maas-api/pods/one"]
    pod["metadata"]["labels"] = {"app": "maas-api"}
    pod["status"] = {"conditions": [{"type": "Ready", "status": str(ready)}]}


@pytest.mark.parametrize("labels", [["maas.platform/tier"], ["maas.platform/part"], []])
def test_a_tiers_namespace_that_lost_labels_keeps_its_accounts_and_gets_them_back(running, labels):
    running.tier("premium").update(name="pro", renamed_from=["premium"])
    running.run()
    before = dict(running.api.objects[_PREMIUM_PATH]["metadata"]["labels"])
    _unlabel(running, _PREMIUM_PATH, *labels)
    result = running.run()
    assert any(_PREMIUM in line for line in result["drift"])
    assert result["pruned_accounts"] == []
    assert running.api.objects[_PREMIUM_PATH]["metadata"]["labels"] == before
    assert len(running.api.names("serviceaccounts")) == 1
    assert not running.run()["changed"]


@pytest.mark.parametrize("labels", [["maas.platform/tier"], []])
def test_a_vanished_tier_whose_namespace_lost_labels_is_refused(running, labels):
    _unlabel(running, _PREMIUM_PATH, *labels)
    del running.tiers[1]
    with pytest.raises(MaasError, match="tiers are gone from maas_tiers") as failure:
        running.run()
    assert failure.value.problems == [f"tier premium: 1 account(s) in namespace {_PREMIUM}"]
    assert _PREMIUM_PATH in running.api.objects


@pytest.mark.parametrize("labels", [["maas.platform/tier"], []])
def test_revoking_finds_accounts_in_a_namespace_that_lost_labels(running, labels):
    _unlabel(running, _PREMIUM_PATH, *labels)
    assert revoke_users(running.api.cluster(), ["carol"], "maas-api", 0) == ["carol"]
    assert running.api.names("serviceaccounts") == []
    running.add_account("carol", "premium")
    assert revoke_tier(running.api.cluster(), "premium", "maas-api", 0) == ["carol"]


def test_revoking_again_waits_until_the_gateway_forgot_what_an_earlier_run_deleted(running):
    assert revoke_users(running.api.cluster(), ["nobody"], "maas-api", 30) == []
    assert running.api.slept == 6


def test_a_catalog_that_lost_its_labels_is_still_what_the_last_run_wrote(running):
    running.tiers[1] = _MIGRATE
    running.run()
    before = copy.deepcopy(running.api.objects[_CATALOG]["data"])
    _unlabel(running, _CATALOG)
    result = running.run()
    assert result["summary"] == []
    assert running.api.objects[_CATALOG]["data"] == before
    enterprise = yaml.safe_load(before["tiers"])[-1]
    assert enterprise["groups"] == ["tier-enterprise-users", "tier-premium-users"]


def test_a_draining_tier_survives_a_catalog_without_labels(running):
    running.tiers[1] = {"name": "premium", "state": "absent", "on_removal": {"drain": "24h"}}
    running.run()
    _unlabel(running, _CATALOG)
    (move,) = running.run()["transitions"]
    assert (move["state"], move["until"]) == ("draining", "2026-11-24T08:00:00Z")


def test_policies_of_others_that_have_our_names_are_not_removed(platform):
    rules = {"rules": {"response": {}}}
    platform.api.add(
        *("kuadrant.io/v1", "AuthPolicy", "authpolicies", "gateway-auth-policy", "maas-gateway"),
        spec=rules,
    )
    platform.run(state="absent")
    assert platform.api.names("authpolicies") == ["gateway-auth-policy"]


@pytest.mark.parametrize(("pod", "what"), [("limitador", "counts"), ("envoy", "transmits")])
def test_one_failed_look_opens_no_door(running, pod, what):
    door = copy.deepcopy(running.api.objects[_DOOR])
    setattr(running.api, what, False)
    read = running.api._read_pod
    failures = iter([True])

    def flaky(namespace, name, port, path):
        if name == pod and next(failures, False):
            raise PodReadError("connection reset", forbidden=False)
        return read(namespace, name, port, path)

    running.api._read_pod = flaky
    running.tiers.append(_GOLD)
    with pytest.raises(MaasError, match="the new limits are not in force"):
        running.run()
    assert running.api.objects[_DOOR] == door


def test_a_limitador_that_answers_with_an_error_is_asked_again(running):
    read = running.api._read_pod
    answers = iter([(503, "starting")])

    def starting(namespace, name, port, path):
        return next(answers, None) or read(namespace, name, port, path)

    running.api._read_pod = starting
    running.tiers.append(_GOLD)
    assert running.run()["warnings"] == []
    assert running.api.slept == 0.25


def test_an_envoy_on_its_way_out_is_not_asked(running):
    running.api.add("v1", "Pod", "pods", "old", "maas-gateway")
    old = running.api.objects["/api/v1/namespaces/maas-gateway/pods/old"]
    envoy = running.api.objects["/api/v1/namespaces/maas-gateway/pods/envoy"]
    old["metadata"].update(
        labels=envoy["metadata"]["labels"], deletionTimestamp="2026-11-23T08:00:00Z"
    )
    old["status"] = envoy["status"]
    running.tiers.append(_GOLD)
    assert running.run()["warnings"] == []


def test_without_a_ready_envoy_nothing_is_in_force(running):
    pod = running.api.objects["/api/v1/namespaces/maas-gateway/pods/envoy"]
    pod["status"] = {"conditions": [{"type": "Ready", "status": "False"}]}
    running.tiers.append(_GOLD)
    with pytest.raises(
        MaasError, match="no Envoy of Gateway maas-gateway/maas-default-gateway is ready"
    ):
        running.run()


@pytest.mark.parametrize("replicas", [0, 1])
def test_without_a_ready_replica_of_the_maas_api_nobody_gets_in_and_the_run_goes_on(
    running, replicas
):
    # It may be broken, and the role that puts it right comes later in the same playbook.
    _install_api(running.api, ready=False, replicas=replicas)
    running.tiers.append(_GOLD)
    (warning,) = running.run()["warnings"]
    assert "no replica of Deployment maas-api/maas-api is ready" in warning
    assert "gold" in str(running.api.objects[_DOOR])


def test_an_account_made_during_the_run_in_a_tier_that_vanished_is_kept(platform):
    platform.run()
    del platform.tiers[1]
    before = copy.deepcopy(platform.api.objects[_CATALOG]["data"])
    apply = platform.api._apply
    moments = iter([True])

    def join(path, item, dry_run):
        answer = apply(path, item, dry_run)
        if path == _CATALOG and next(moments, False):
            account = f"{_PREMIUM_PATH}/serviceaccounts/carol"
            labels = {"maas.platform/account": "true"}
            metadata = {"name": "carol", "namespace": _PREMIUM, "labels": labels}
            platform.api._store(
                account, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
            )
        return answer

    platform.api._apply = join
    with pytest.raises(MaasError, match=r"while this run was at work.* was put back") as failure:
        platform.run()
    assert failure.value.problems == [f"tier premium: 1 account(s) in namespace {_PREMIUM}"]
    assert platform.api.names("serviceaccounts") == ["carol"]
    assert platform.api.objects[_CATALOG]["data"] == before
    assert _PREMIUM in str(platform.api.objects[_DOOR])


@pytest.mark.parametrize("parts", [["access"], ["catalog"], ["policies"], ["namespaces", "access"]])
@pytest.mark.parametrize("change", ["new", "migrated", "edited"])
def test_parts_alone_are_refused_while_the_cluster_has_other_tiers(running, parts, change):
    if change == "new":
        running.tiers.append(_GOLD)
    elif change == "migrated":
        running.tiers[1] = _MIGRATE
    else:
        running.tiers[0]["models"] = ["*"]
    before = copy.deepcopy(running.api.objects)
    for check_mode in (True, False):
        with pytest.raises(MaasError, match=r"alone cannot be converged.*run without tags"):
            running.run(parts=parts, check_mode=check_mode)
    assert running.api.objects == before


def test_namespaces_alone_may_come_first_and_delete_nothing(running):
    running.tiers.append(_GOLD)
    running.tiers[1] = {"name": "premium", "state": "absent", "on_removal": "block"}
    result = running.run(parts=["namespaces"])
    assert {(entry["name"], entry["action"]) for entry in result["objects"]} == {
        ("maas-default-gateway-tier-gold", "created"),
        ("maas-tier", "created"),
    }
    assert len(running.api.names("serviceaccounts")) == 1
    assert result["pruned_accounts"] == []


@pytest.mark.parametrize("part", ["namespaces", "access", "catalog", "policies"])
def test_a_part_alone_puts_right_what_was_changed_by_hand(running, part):
    gone = {
        "namespaces": f"{_PREMIUM_PATH}/resourcequotas/maas-tier",
        "access": "/apis/rbac.authorization.k8s.io/v1/namespaces/llm/roles/maas-tier-free",
        "catalog": _CATALOG,
        "policies": _DOOR,
    }[part]
    del running.api.objects[gone]
    (entry,) = running.run(parts=[part])["objects"]
    assert entry["action"] == "created"
    assert gone in running.api.objects
    assert not running.run()["changed"]


def test_parts_are_enough_where_the_others_need_nothing(running):
    running.tiers[0]["limits"]["requests"][0]["limit"] = 7
    assert running.run(parts=["access", "catalog", "policies"])["changed"]
    assert not running.run()["changed"]


def test_not_waiting_still_keeps_the_order(running):
    running.api.counts = False
    running.tiers.append(_GOLD)
    with pytest.raises(MaasError, match="does not count by limit gold") as failure:
        running.run(wait=False)
    assert str(failure.value).split("Then ")[1].endswith("was put back.")
    assert "gold" not in str(running.api.objects[_DOOR])


def test_not_waiting_still_keeps_old_limits_until_the_new_door_holds(running):
    running.tier("premium").update(name="pro", renamed_from=["premium"])
    running.api._authorino = lambda _policy: None
    with pytest.raises(MaasError, match="the new AuthPolicy is not in force"):
        running.run(wait=False)
    assert "premium" in running.api.objects[_REQUESTS]["spec"]["limits"]


@pytest.mark.parametrize("seconds", [0, -1])
def test_no_time_to_wait_is_refused(running, seconds):
    with pytest.raises(MaasError, match=f"wait_timeout has value {seconds}, allowed: whole sec"):
        running.run(wait_timeout=seconds)


@pytest.mark.parametrize("options", [{"state": "absent"}, {"api_namespace": "elsewhere"}])
def test_the_namespace_of_the_maas_api_is_never_deleted(running, options):
    running.run(**options)
    assert "maas-api" in running.api.names("namespaces")


@pytest.mark.parametrize("entry", [{"migrate_to": "free"}, {"drain": "24h"}])
def test_tiers_on_their_way_out_are_not_rendered_without_a_cluster(platform, entry):
    platform.tiers[1] = {"name": "premium", "state": "absent", "on_removal": entry}
    with pytest.raises(MaasError, match="would strand users of these tiers") as failure:
        tier_policies.run(platform.params(state="rendered"), None)
    (problem,) = failure.value.problems
    assert problem.startswith("maas_tiers[1].on_removal: value ")


def test_renamed_tiers_are_not_rendered_without_a_cluster(platform):
    platform.tier("premium").update(name="pro", renamed_from=["premium"])
    with pytest.raises(MaasError, match="would strand users of these tiers") as failure:
        tier_policies.run(platform.params(state="rendered"), None)
    (problem,) = failure.value.problems
    assert problem.startswith('maas_tiers[1].renamed_from: value "premium"')


def test_a_blocked_tier_is_rendered_as_gone(platform):
    platform.tiers[1] = {"name": "premium", "state": "absent", "on_removal": "block"}
    result = tier_policies.run(platform.params(state="rendered"), None)
    assert _PREMIUM not in str(result["manifests"])


def test_rendering_one_part_leaves_the_files_of_the_others(platform, tmp_path):
    where = {"state": "rendered", "directory": str(tmp_path)}
    tier_policies.run(platform.params(**where), None)
    before = sorted(tmp_path.rglob("*.yaml"))
    again = tier_policies.run(platform.params(**where, parts=["policies"]), None)
    assert again["files"] == []
    assert sorted(tmp_path.rglob("*.yaml")) == before


def test_a_switch_that_does_not_fit_is_refused_before_anything_changes(platform):
    platform.models[:] = [{"name": f"m{n}", "uri": "hf://x/y"} for n in range(20)]
    quota = [{"limit": 5, "window": "2m"}]
    own = {f"m{n}": {"requests": quota, "tokens": quota} for n in range(20)}
    platform.tiers[:] = [
        {
            "name": f"old{n}",
            "level": n,
            "groups": [f"g{n}"],
            "models": ["*"],
            "limits": {"requests": quota, "tokens": quota, "models": own},
        }
        for n in range(25)
    ]
    platform.run()
    for n, tier in enumerate(platform.tiers):
        tier.update(name=f"new{n}", renamed_from=[f"old{n}"])
    before = copy.deepcopy(platform.api.objects)
    with pytest.raises(MaasError, match="rename or replace a few tiers in each run"):
        platform.run()
    assert platform.api.objects == before
