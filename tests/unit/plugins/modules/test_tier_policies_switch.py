# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The switch itself: its order, killed anywhere, failing anywhere, and drift by hand."""

from __future__ import annotations

import copy
import json
import re

import pytest
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import Cluster
from ansible_collections.maas.platform.plugins.modules import tier_policies

_PREMIUM = "maas-default-gateway-tier-premium"
_KUADRANT = "/apis/kuadrant.io/v1/namespaces/maas-gateway"
_DOOR = f"{_KUADRANT}/authpolicies/gateway-auth-policy"
_REQUESTS = f"{_KUADRANT}/ratelimitpolicies/gateway-rate-limits"
_CATALOG = "/api/v1/namespaces/maas-api/configmaps/tier-to-group-mapping"


class Killed(BaseException):
    """Ends a run as a signal would: nobody gets to say anything more."""


def _rename(tiers):
    tiers[1].update(name="pro", renamed_from=["premium"])


def _migrate(tiers):
    tiers[1] = {"name": "premium", "state": "absent", "on_removal": {"migrate_to": "free"}}


def _drain(tiers):
    tiers[1] = {"name": "premium", "state": "absent", "on_removal": {"drain": "2h"}}


def _block(tiers):
    tiers[1] = {"name": "premium", "state": "absent", "on_removal": "block"}


def _edit(tiers):
    tiers[0]["limits"]["requests"][0]["limit"] = 7
    tiers[1]["models"] = ["gemma-large"]
    tiers[2]["limits"] = {"requests": [{"limit": 9, "window": "1m"}], "tokens": "unlimited"}


def _add_and_lift(tiers):
    tiers[1]["limits"]["requests"] = "unlimited"
    tiers.append(
        {
            "name": "gold",
            "level": 30,
            "groups": ["gold"],
            "models": ["*"],
            "limits": {
                "requests": [{"limit": 3, "window": "1m"}],
                "tokens": [{"limit": 30, "window": "1m"}],
                "models": {"gemma": {"requests": [{"limit": 1, "window": "1m"}]}},
            },
        }
    )


_MOVES = [_rename, _migrate, _drain, _block, _edit, _add_and_lift]


@pytest.fixture
def running(platform):
    """Return a platform that is in force and has a user in each tier."""
    platform.run()
    for user, tier in (("alice", "free"), ("carol", "premium"), ("erin", "enterprise")):
        platform.add_account(user, tier)
    platform.run()
    return platform


def _watch(api, after_write):
    """Call after_write(number) after each object that is written or deleted."""
    count = iter(range(1, 10_000))

    def call(method, path, query, body, content_type):
        answer = api(method, path, query, body, content_type)
        if method in ("PATCH", "DELETE"):
            after_write(next(count))
        return answer

    return lambda: Cluster(call, "https://fake", api._sleep, lambda: api.slept, api._read_pod)


def _run(platform, connect):
    return tier_policies.run(platform.params(), connect, now=lambda: platform.time)


def _meaning(api):
    """Return what the cluster's objects say, without the server's own marks."""
    said = {}
    for path, item in api.objects.items():
        kept = copy.deepcopy({k: v for k, v in item.items() if k != "status"})
        for mark in ("uid", "resourceVersion", "generation", "managedFields"):
            kept["metadata"].pop(mark, None)
        said[path] = kept
    return said


@pytest.mark.parametrize("move", _MOVES)
def test_a_run_killed_after_any_write_converges_on_the_next(running, move):
    start = copy.deepcopy(running.api.objects)
    move(running.tiers)
    running.run()
    total = len(running.writes())
    wanted = _meaning(running.api)
    assert total > 3
    for last in range(1, total + 1):
        running.api.objects = copy.deepcopy(start)

        def kill(number, last=last):
            if number == last:
                raise Killed

        with pytest.raises(Killed):
            _run(running, _watch(running.api, kill))
        running.run()
        assert _meaning(running.api) == wanted
        assert not running.run()["changed"]


@pytest.mark.parametrize("move", _MOVES)
def test_nobody_is_ever_without_a_limit_or_a_right(running, move):
    before = _look(running.api)
    move(running.tiers)
    looks = []
    _run(running, _watch(running.api, lambda _number: looks.append(_look(running.api))))
    after = _look(running.api)
    unlimited = {"enterprise", "premium"} if move in (_edit, _add_and_lift) else {"enterprise"}
    for look in looks:
        # A new name must have its limit when it is first let in, an old one as long as it is.
        assert set(look["owners"].values()) - set(look["limits"]) <= unlimited
        for namespace in set(before["owners"]) & set(after["owners"]):
            must = before["rights"][namespace] & after["rights"][namespace]
            assert must <= look["rights"][namespace]


@pytest.mark.parametrize("move", _MOVES)
def test_no_answer_about_a_right_is_remembered_longer_than_the_right(running, move):
    move(running.tiers)
    looks = []
    _run(running, _watch(running.api, lambda _number: looks.append(_look(running.api))))
    after = _look(running.api)
    for look in looks:
        if look["remembered"] == after["remembered"]:
            for namespace, models in after["rights"].items():
                assert look["rights"][namespace] == models


def _look(api):
    access = api.objects[_DOOR]["spec"]["rules"]["authorization"]["model-access"]
    door = api.objects[_DOOR]["spec"]["rules"]["authentication"]["tier-token"]
    expression = door["overrides"]["tier"]["expression"]
    owners = json.loads(re.match(r"(\{.*?\})", expression).group(1))
    owners = {name.removeprefix("system:serviceaccount:"): to for name, to in owners.items()}
    rights = {namespace: set() for namespace in owners}
    for path, item in api.objects.items():
        if "/rolebindings/maas-tier-" not in path:
            continue
        role = api.objects.get(path.replace("rolebindings", "roles"), {"rules": []})
        models = {name for rule in role["rules"] for name in rule["resourceNames"]}
        for subject in item["subjects"]:
            namespace = subject["name"].removeprefix("system:serviceaccounts:")
            rights.setdefault(namespace, set()).update(models)
    limits = api.objects[_REQUESTS]["spec"]["limits"] if _REQUESTS in api.objects else {}
    return {
        "owners": owners,
        "rights": rights,
        "limits": list(limits),
        "remembered": access["cache"]["key"]["selector"],
    }


def test_limits_that_the_api_server_refuses_are_put_back(running):
    before = _meaning(running.api)
    running.api.refused[_REQUESTS] = "spec.limits.free: no"
    _edit(running.tiers)
    stamp = running.api.objects[_CATALOG]["metadata"]["annotations"]["maas.platform/revision"]
    # Refused is what is new: what was there before is accepted again.
    refuse = running.api._apply

    def apply(path, item, dry_run):
        if path == _REQUESTS and item["spec"]["limits"]["free"]["rates"][0]["limit"] == 7:
            return refuse(path, item, dry_run)
        held, running.api.refused = running.api.refused, {}
        try:
            return refuse(path, item, dry_run)
        finally:
            running.api.refused = held

    running.api._apply = apply
    with pytest.raises(MaasError) as failure:
        running.run()
    text = str(failure.value)
    assert "the tiers were not changed over: PATCH" in text
    assert "was refused with 422: spec.limits.free: no" in text
    assert f"what was there before (revision {stamp}) was put back and is in force" in text
    assert _meaning(running.api) == before


def test_limits_that_never_hold_are_put_back(running):
    before = _meaning(running.api)
    enforce = running.api._store

    def store(path, item):
        rates = item.get("spec", {}).get("limits", {}).get("free", {}).get("rates", [{}])
        running.api.enforces = rates[0].get("limit") != 7
        enforce(path, item)

    running.api._store = store
    _edit(running.tiers)
    with pytest.raises(MaasError, match="the new limits are not in force: not after 10 s") as end:
        running.run()
    assert "was put back and is in force" in str(end.value)
    assert _meaning(running.api) == before
    running.api._store = enforce
    running.api.enforces = True
    running.run()
    assert not running.run()["changed"]


def test_what_is_put_back_but_not_confirmed_is_said_to_be_so(running):
    before = _meaning(running.api)
    running.api.counts = False
    _edit(running.tiers)
    stale = running.api._limits
    running.api._limits = [{**limit, "max_value": 1} for limit in stale]
    with pytest.raises(MaasError, match="was put back, but is not confirmed to be in force"):
        running.run()
    assert _meaning(running.api) == before


def test_a_second_failure_says_exactly_what_is_left(running):
    _edit(running.tiers)
    running.api.refused[_DOOR] = "no more of this"
    apply = running.api._apply

    def break_down(path, item, dry_run):
        if path == _DOOR:
            running.api.refused[_REQUESTS] = "nor of that"
        return apply(path, item, dry_run)

    running.api._apply = break_down
    with pytest.raises(MaasError) as failure:
        running.run()
    text = str(failure.value)
    assert "no more of this" in text
    assert "putting back what was there failed, too" in text
    assert "nor of that" in text
    assert "RateLimitPolicy maas-gateway/gateway-rate-limits (updated)" in text
    running.api._apply = apply
    running.api.refused.clear()
    running.run()
    assert not running.run()["changed"]


def test_a_first_run_that_fails_keeps_what_it_made(platform):
    platform.api.enforces = False
    with pytest.raises(MaasError, match="no tiers were in force before, so what was made"):
        platform.run()
    assert "maas-api" in platform.api.names("namespaces")
    platform.api.enforces = True
    platform.api.reconcile()
    platform.run()
    assert not platform.run()["changed"]


def test_a_failing_removal_puts_nothing_back_and_says_that_the_rest_is_in_force(running):
    _block(running.tiers)
    remove = running.api._remove

    def refuse(path, *rest):
        namespaces = path.startswith("/api/v1/namespaces/")
        return (500, {"message": "no"}) if namespaces else remove(path, *rest)

    running.api._remove = refuse
    with pytest.raises(MaasError, match="the new tiers are in force, but what is no longer"):
        running.run()
    assert _PREMIUM not in json.dumps(running.api.objects[_DOOR])


def test_old_limits_are_counted_until_the_new_door_holds(running):
    _rename(running.tiers)
    seen = []
    apply = running.api._apply

    def note(path, item, dry_run):
        if path == _DOOR:
            seen.append(set(running.api.objects[_REQUESTS]["spec"]["limits"]))
        return apply(path, item, dry_run)

    running.api._apply = note
    running.run()
    assert seen[0] == {"free", "premium", "pro"}
    assert set(running.api.objects[_REQUESTS]["spec"]["limits"]) == {"free", "pro"}


def test_what_limitador_does_not_count_by_is_not_in_force(running):
    running.run()
    running.api.counts = False
    running.tiers[0]["limits"]["requests"][0]["limit"] = 7
    with pytest.raises(MaasError, match=r"limitador does not count by limit free: 7 in 120 s"):
        running.run()


def test_a_limitador_that_cannot_be_read_is_a_warning(running):
    running.api.forwards = False
    running.tiers[0]["limits"]["requests"][0]["limit"] = 7
    warnings = running.run()["warnings"]
    assert [warning.split(" was not seen")[0] for warning in warnings] == [
        "whether Limitador counts by the new limits",
        "whether the gateway's filter has the new limits",
    ]
    assert all("pods/portforward" in warning for warning in warnings)


def test_a_tier_is_not_let_in_before_the_gateways_filter_knows_its_limits(running):
    running.run()
    running.api.transmits = False
    door = copy.deepcopy(running.api.objects[_DOOR])
    _rename(running.tiers)
    applied = []
    apply = running.api._apply
    running.api._apply = lambda path, *rest: (applied.append(path), apply(path, *rest))[1]
    with pytest.raises(MaasError, match="Envoy envoy does not have the limits that Kuadrant"):
        running.run()
    assert _DOOR not in applied
    assert running.api.objects[_DOOR] == door


def test_an_envoy_that_refuses_its_listener_is_quoted(running):
    running.api.transmits = False
    running.api.envoy_refuses = "Proto constraint validation failed"
    _rename(running.tiers)
    refusal = "it refuses every change of listener https: Proto constraint validation failed"
    with pytest.raises(MaasError, match=refusal):
        running.run()


def test_another_kind_of_gateway_is_a_warning(running):
    running.api.has_envoy_gateway = False
    (warning,) = running.run()["warnings"]
    assert "there is no EnvoyExtensionPolicy maas-gateway/kuadrant-maas-default-gateway" in warning


def test_timings_say_when_and_how_long(running):
    quiet = running.run()["timings"]
    assert quiet["applied_at"] is None
    assert quiet["enforced_at"] == "2026-11-23T08:00:00Z"
    assert quiet["overlap_seconds"] == 0
    _edit(running.tiers)
    busy = running.run()["timings"]
    assert busy["applied_at"] == "2026-11-23T08:00:00Z"
    assert {"catalog", "limits", "auth_policy", "limits_final"} <= set(busy["phases"])


def test_a_second_run_only_lists_and_looks(running):
    running.run()
    assert running.writes() == []
    assert running.api.slept == 0
    assert len(running.api.log) < 40


def test_values_changed_by_hand_are_told_and_put_right(running):
    running.api.edit(
        _REQUESTS, {("spec", "limits", "free", "rates"): [{"limit": 500, "window": "2m"}]}
    )
    checked = running.run(check_mode=True, diff_mode=True)
    line = (
        "RateLimitPolicy maas-gateway/gateway-rate-limits: spec.limits.free.rates[0].limit is "
        "500, wanted 5, changed by kubectl-edit"
    )
    assert checked["drift"] == [line]
    assert f"  {line}\n" in checked["diff"][0]["prepared"]
    assert checked["summary"] == []
    assert running.run()["drift"] == [line]
    assert not running.run()["changed"]


def test_what_was_added_by_hand_is_taken_away(running):
    anybody = {("spec", "rules", "authentication", "anybody", "anonymous"): {"a": "b"}}
    running.api.edit(_DOOR, anybody)
    (line,) = running.run()["drift"]
    assert "spec.rules.authentication.anybody" in line
    assert line.endswith("and nobody wants it, changed by kubectl-edit")
    assert "anybody" not in running.api.objects[_DOOR]["spec"]["rules"]["authentication"]
    assert not running.run()["changed"]


def test_what_was_deleted_by_hand_is_told_and_made_again(running):
    before = _meaning(running.api)
    del running.api.objects[_DOOR]
    assert running.run()["drift"] == ["AuthPolicy maas-gateway/gateway-auth-policy is missing"]
    assert _meaning(running.api) == before


def test_a_catalog_that_somebody_broke_is_written_anew(running):
    running.api.edit(_CATALOG, {("data", "tiers"): "a: ["})
    result = running.run()
    (warning,) = result["warnings"]
    assert "holds no YAML" in warning
    assert "is written anew" in warning
    assert not running.run()["changed"]


def test_an_edit_of_the_inventory_is_no_drift(running):
    _edit(running.tiers)
    assert running.run()["drift"] == []


def test_policies_alone_need_the_catalog_of_the_same_tiers(running):
    assert not running.run(parts=["policies"])["changed"]
    _edit(running.tiers)
    before = _meaning(running.api)
    with pytest.raises(MaasError, match="the part policies alone cannot be converged"):
        running.run(parts=["policies"])
    assert _meaning(running.api) == before
