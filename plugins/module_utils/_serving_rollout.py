# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""How far KServe and Kubernetes are with a version of a model. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._objects import Key, Object, conditions, key_of
from ._serving_reasons import Finding, look_at_pod, shorten
from ._serving_snapshot import Snapshot

_REVISION = "deployment.kubernetes.io/revision"
_HASH = "pod-template-hash"
_ORDER = {"failed": 0, "doubtful": 1, "waiting": 2}
#: Conditions of an LLMInferenceService that tell of pods: the pods tell it better.
_ABOUT_PODS = ("Ready", "MainWorkloadReady", "WorkloadsReady", "WorkerWorkloadReady")


@dataclass(frozen=True)
class Verdict:
    """Whether a version serves; where it does not, why."""

    ready: bool = False
    finding: Finding | None = None

    @property
    def words(self) -> str:
        """Return what is missing."""
        return self.finding.words if self.finding else ""


READY = Verdict(ready=True)


def judge(key: Key, snapshot: Snapshot) -> Verdict:
    """Return whether the service's present version serves, and all of it."""
    service = snapshot.find(key)
    if service is None:
        return _waiting(f"{key} is not there")
    if service["metadata"].get("deletionTimestamp"):
        return _waiting(f"{key} is still on its way out")
    status = service.get("status") or {}
    if status.get("observedGeneration") != service["metadata"].get("generation"):
        return _waiting(
            f"KServe's controller has not looked at {key} yet; if it goes on so, see its pods "
            "in namespace kserve"
        )
    workloads = [
        *snapshot.owned("Deployment", service),
        *snapshot.owned("LeaderWorkerSet", service),
    ]
    if not workloads:
        return _refused(key, service) or _waiting(f"KServe has made no pods for {key} yet")
    for workload in workloads:
        verdict = _judge_workload(workload, snapshot)
        if not verdict.ready:
            return verdict
    if (conditions(service).get("Ready") or {}).get("status") != "True":
        return _refused(key, service) or _waiting(f"{key} is not Ready yet")
    return READY


def is_stopped(key: Key, snapshot: Snapshot) -> str:
    """Return what still runs of a service that is to be stopped."""
    service = snapshot.find(key)
    if service is None:
        return ""
    left = [*snapshot.owned("Deployment", service), *snapshot.owned("LeaderWorkerSet", service)]
    return ", ".join(f"{key_of(item)} is still there" for item in left)


def judge_route(route: Object | None, key: Key) -> str:
    """Return what a route, or a policy on one, still lacks to be in force."""
    if route is None:
        return f"{key} is not there"
    status = route.get("status") or {}
    parents = status.get("parents") or status.get("ancestors") or []
    if not parents:
        return f"{key}: no Gateway has taken it yet"
    generation = route["metadata"].get("generation")
    for parent in parents:
        for condition in parent.get("conditions") or []:
            if condition.get("type") not in ("Accepted", "ResolvedRefs"):
                continue
            if condition.get("observedGeneration") != generation:
                return f"{key}: generation {generation} is not seen yet"
            if condition.get("status") != "True":
                why = shorten(str(condition.get("message") or ""))
                return f"{key}: not {condition['type']} ({condition.get('reason')}: {why})"
    return ""


def _judge_workload(workload: Object, snapshot: Snapshot) -> Verdict:
    name = str(key_of(workload))
    status = workload.get("status") or {}
    generation = workload["metadata"].get("generation")
    if status.get("observedGeneration", generation) != generation:
        return _waiting(f"{name} is not seen by its controller yet")
    if workload["kind"] == "Deployment" and "observedGeneration" not in status:
        return _waiting(f"{name} is not seen by its controller yet")
    desired = workload["spec"].get("replicas", 1)
    updated = status.get("updatedReplicas") or 0
    total = status.get("replicas") or 0
    serving = status.get("availableReplicas", status.get("readyReplicas")) or 0
    if workload["kind"] == "LeaderWorkerSet":
        serving = status.get("readyReplicas") or 0
    if updated >= desired and total <= updated and serving >= desired:
        return READY
    refused = conditions(workload).get("ReplicaFailure") or {}
    if refused.get("status") == "True":
        why = shorten(str(refused.get("message") or ""))
        return Verdict(finding=Finding("doubtful", f"pods cannot be made: {why}"))
    findings = [it for it in map(look_at_pod, current_pods(workload, snapshot)) if it]
    if findings:
        worst = min(findings, key=lambda it: _ORDER[it.severity])
        return Verdict(finding=worst)
    return _waiting(f"{serving} of {desired} pod(s) of {name} serve the new version")


def current_pods(workload: Object, snapshot: Snapshot) -> list[Object]:
    """Return the pods of the workload's present version that are not on their way out."""
    if workload["kind"] == "LeaderWorkerSet":
        label, value = "leaderworkerset.sigs.k8s.io/name", workload["metadata"]["name"]
        namespace = workload["metadata"]["namespace"]
        pods = [
            item
            for key, item in snapshot.objects.items()
            if key.kind == "Pod" and key.namespace == namespace and _label(item, label) == value
        ]
        return [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    revision = _annotation(workload, _REVISION)
    pods = []
    for replica_set in snapshot.owned("ReplicaSet", workload):
        if _annotation(replica_set, _REVISION) == revision:
            pods += snapshot.owned("Pod", replica_set)
    return [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]


def _refused(key: Key, service: Object) -> Verdict | None:
    """Return what KServe itself has against a service: its pods say nothing of that."""
    for name, condition in conditions(service).items():
        if name not in _ABOUT_PODS and condition.get("status") == "False":
            why = shorten(str(condition.get("message") or ""))
            words = f"KServe refuses {key}: {name} is False ({condition.get('reason')}: {why})"
            return Verdict(finding=Finding("doubtful", words))
    return None


def _waiting(words: str) -> Verdict:
    return Verdict(finding=Finding("waiting", words))


def _annotation(item: Mapping[str, Any], name: str) -> str:
    return str((item["metadata"].get("annotations") or {}).get(name) or "")


def _label(item: Mapping[str, Any], name: str) -> str:
    return str((item["metadata"].get("labels") or {}).get(name) or "")
