# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What the policies add to a call: upstream's kind, ours, and none, side by side."""

from __future__ import annotations

from ansible_collections.maas.platform.plugins.module_utils._names import (
    API_NAMESPACE,
    SERVING_GROUP,
    SERVING_RESOURCE,
    SERVING_VERB,
)
from ansible_collections.maas.platform.plugins.module_utils._read_catalog import read_catalog
from ansible_collections.maas.platform.plugins.module_utils._tier import Tier
from ansible_collections.maas.platform.plugins.module_utils._token_wishes import Wish
from ansible_collections.maas.platform.plugins.module_utils._tokens import (
    grant,
    mint,
    revoke_users,
)

from benchmarks.front_doors import NAMESPACE, POLICY_KINDS, Door, address, host, open_doors, wait
from benchmarks.gateway_policies import (
    Policy,
    our_policies,
    telemetry_policy,
    upstream_policies,
)
from benchmarks.lab import LABELS, BenchmarkError, Lab, namespace
from benchmarks.load import Caller, take_turns
from benchmarks.report import Report

_USER = "maas-benchmark"
_ROUNDS = 40
_CALLS = 25
_GOAL_PART = 1 / 3

_BARE = Door("bench-bare", "bare")
_OURS = Door("bench-ours", "ours")
_UPSTREAM = Door("bench-upstream", "upstream")
_CACHED = Door("bench-upstream", "upstream-cached")
_TELEMETRY = Door("bench-telemetry", "upstream-telemetry")
_TELEMETRY_CACHED = Door("bench-telemetry", "upstream-telemetry-cached")

_TITLES = {
    _BARE: "bare Envoy, no policy",
    _OURS: "ours",
    _UPSTREAM: "upstream's kind, Authorino's cache as it is by default",
    _CACHED: "upstream's kind, with a cache that works",
    _TELEMETRY: "upstream's kind with a TelemetryPolicy, cache as it is by default",
    _TELEMETRY_CACHED: "upstream's kind with a TelemetryPolicy, with a cache that works",
}


def run(lab: Lab, small: bool) -> Report:
    """Call routes in turns, each answered by Envoy itself."""
    report = Report(
        "gateway",
        "what the policies add to a call, one caller, connection kept",
        "upstream's kind of policies as they come: with a TelemetryPolicy, cache as by default",
    )
    cluster = lab.cluster()
    catalog = read_catalog(cluster, API_NAMESPACE)
    tier = max(catalog.tiers, key=lambda each: each.level)
    with lab.cleaned(*POLICY_KINDS):
        doors = _prepare(lab, catalog.tiers, tier, report)
        try:
            [minted] = mint(cluster, catalog, grant(catalog, [Wish(_USER, tier.name)]))
            token = minted.token or ""
            callers = {
                door: Caller(door.route, address(lab, door.gateway), host(door), door.path, token)
                for door in doors
            }
            for caller in callers.values():
                caller.warm()
            rounds = _ROUNDS // 10 if small else _ROUNDS
            failures = take_turns(list(callers.values()), rounds, _CALLS)
        finally:
            revoke_users(cluster, [_USER], API_NAMESPACE, wait_seconds=0)
    bare = callers[_BARE].median
    reference = callers.get(_TELEMETRY, callers[_UPSTREAM]).median - bare
    for door, caller in callers.items():
        added = caller.median - bare
        note = f"p50 {caller.median:.2f}, mean {caller.mean:.2f}, p95 {caller.slow:.2f} ms"
        ratio = added / reference if door != _BARE else None
        report.add(f"added by: {_TITLES[door]}", added, "ms", ratio, note)
    report.remarks.append(
        f"{rounds * _CALLS} calls each, in turns of {_CALLS}; added: the medians."
    )
    if failures:
        report.remarks.append(f"{failures} calls were not answered with 200.")
    ours = (callers[_OURS].median - bare) / reference
    report.judge("at most a third of upstream's kind", ours <= _GOAL_PART)
    return report


def _prepare(lab: Lab, tiers: tuple[Tier, ...], tier: Tier, report: Report) -> list[Door]:
    doors = [_BARE, _OURS, _UPSTREAM, _CACHED]
    lab.apply([namespace(NAMESPACE)])
    if _has_telemetry(lab):
        doors += [_TELEMETRY, _TELEMETRY_CACHED]
    else:
        report.baseline = (
            "upstream's kind of policies without a TelemetryPolicy, cache as by default"
        )
        report.remarks.append(
            "TelemetryPolicy is not measured: kuadrant-operator here runs without its extension."
        )
    open_doors(lab, doors)
    policies = our_policies(tiers, _OURS.route)
    for door in doors[2:]:
        policies += upstream_policies(
            tiers, door.route, cached=door in (_CACHED, _TELEMETRY_CACHED)
        )
    lab.apply([*_access(tier), *policies])
    for policy in policies:
        wait(lab, f"{policy['kind'].lower()}/{policy['metadata']['name']}", "Enforced")
    return doors


def _has_telemetry(lab: Lab) -> bool:
    """Put a TelemetryPolicy onto its gateway-to-be; return whether anything acts on one."""
    lab.apply([telemetry_policy(_TELEMETRY.gateway)])
    name = f"telemetrypolicy/{_TELEMETRY.gateway}"
    seen = ("--for=jsonpath={.status.conditions}", "--timeout=15s")
    try:
        lab.kube("wait", f"--namespace={NAMESPACE}", name, *seen)
    except BenchmarkError:
        return False
    return True


def _access(tier: Tier) -> list[Policy]:
    metadata = {"name": "callers", "namespace": NAMESPACE, "labels": dict(LABELS)}
    group = "rbac.authorization.k8s.io"
    rule = {"apiGroups": [SERVING_GROUP], "resources": [SERVING_RESOURCE], "verbs": [SERVING_VERB]}
    subject = {
        "apiGroup": group,
        "kind": "Group",
        "name": f"system:serviceaccounts:{tier.namespace}",
    }
    reference = {"apiGroup": group, "kind": "Role", "name": "callers"}
    return [
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": [rule]},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": reference,
            "subjects": [subject],
        },
    ]
