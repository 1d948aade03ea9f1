# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Nodes as far as their GPUs go: what they offer, who has it, what a node lacks. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ._objects import Object, conditions
from ._pools import MIG_CONFIG_LABEL, Pool, Taint

#: Written by the operator's MIG manager once a cut is done, or could not be.
MIG_STATE_LABEL = f"{MIG_CONFIG_LABEL}.state"
#: By hand on a node that the operator is to leave alone.
OPERANDS_LABEL = "nvidia.com/gpu.deploy.operands"
_FEATURE_PREFIX = "feature.node.kubernetes.io/"
#: By a resource's domain: the vendor's PCI identifier and name.
_VENDORS = {"nvidia.com": ("10de", "NVIDIA"), "amd.com": ("1002", "AMD")}
#: The operators' DaemonSets in the order in which a node needs them, by the label app of their
#: pods, and what each brings.
_STEPS = {
    "nvidia-driver-daemonset": "driver",
    "nvidia-container-toolkit-daemonset": "container toolkit",
    "nvidia-mig-manager": "MIG manager",
    "nvidia-device-plugin-daemonset": "device plugin",
    "amd-gpu-operator-device-plugin": "device plugin",
}
_BLOCKING = ("NoSchedule", "NoExecute")
_DIGITS = re.compile(r"([0-9]{1,15})(k|M)?")
_FACTORS = {"": 1, "k": 1000, "M": 1_000_000}


@dataclass(frozen=True)
class GpuNode:
    """One node."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    ready: bool
    #: What the node says where it is not ready.
    why: str
    cordoned: bool
    capacity: Mapping[str, int]
    allocatable: Mapping[str, int]

    def offers(self, resource: str) -> int:
        """Return how many of a resource new pods could be given, were all of them free."""
        usable = self.ready and not self.cordoned
        return self.allocatable.get(resource, 0) if usable else 0

    def admits(self, tolerations: Iterable[Mapping[str, str]]) -> bool:
        """Return whether no taint keeps away a pod with these tolerations."""
        known = list(tolerations)
        return all(
            any(_tolerates(toleration, taint) for toleration in known)
            for taint in self.taints
            if taint.effect in _BLOCKING and not taint.key.startswith("node.kubernetes.io/")
        )


def read_node(item: Object) -> GpuNode:
    """Return a node out of the cluster's own words."""
    spec, status = item.get("spec") or {}, item.get("status") or {}
    ready = conditions(item).get("Ready") or {}
    return GpuNode(
        name=item["metadata"]["name"],
        labels=item["metadata"].get("labels") or {},
        taints=tuple(
            Taint(taint["key"], taint.get("value") or "", taint["effect"])
            for taint in spec.get("taints") or []
        ),
        ready=ready.get("status") == "True",
        why=str(ready.get("message") or ready.get("reason") or "it has not said why"),
        cordoned=bool(spec.get("unschedulable")),
        capacity=_counts(status.get("capacity") or {}),
        allocatable=_counts(status.get("allocatable") or {}),
    )


def _counts(raw: Mapping[str, Any]) -> dict[str, int]:
    """Return the resources of vendors: they are counted in whole numbers."""
    return {name: count_of(value) for name, value in raw.items() if "/" in name}


def count_of(raw: Any) -> int:
    """Return a count of devices; 0 where it is none."""
    match = _DIGITS.fullmatch(str(raw))
    return int(match.group(1)) * _FACTORS[match.group(2) or ""] if match else 0


def _tolerates(toleration: Mapping[str, str], taint: Taint) -> bool:
    if toleration.get("effect") not in (None, "", taint.effect):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint.key)
    return toleration.get("key") == taint.key and (toleration.get("value") or "") == taint.value


def members(pool: Pool, nodes: Iterable[GpuNode]) -> list[GpuNode]:
    """Return the nodes of a pool."""
    return [node for node in nodes if pool.selector.items() <= node.labels.items()]


def claimed_twice(pools: Iterable[Pool], nodes: Sequence[GpuNode]) -> list[str]:
    """Say which nodes belong to more than one pool, a line each."""
    listed = list(pools)
    lines = []
    for node in nodes:
        names = [pool.name for pool in listed if members(pool, [node])]
        if len(names) > 1:
            lines.append(f"node {node.name} is in pools {', '.join(names)}: a node has one pool")
    return lines


def asked_by(pod: Object, resource: str) -> int:
    """Return how many of a resource a pod holds."""
    spec = pod["spec"]
    running = sum(_wanted(container, resource) for container in spec.get("containers") or [])
    before = [_wanted(container, resource) for container in spec.get("initContainers") or []]
    return max([running, *before])


def _wanted(container: Mapping[str, Any], resource: str) -> int:
    resources = container.get("resources") or {}
    for kind in ("requests", "limits"):
        found = (resources.get(kind) or {}).get(resource)
        if found is not None:
            return count_of(found)
    return 0


def is_running(pod: Object) -> bool:
    """Return whether a pod is on a node and holds what it was given."""
    phase = (pod.get("status") or {}).get("phase")
    return bool(pod["spec"].get("nodeName")) and phase not in ("Succeeded", "Failed")


def lacks(node: GpuNode, pool: Pool, pods: Iterable[Object] = ()) -> list[str]:
    """Say what a node still needs so that its pool's resource can be given out, a line each.

    Nothing for a node that is as it should be. pods are the operator's; those of other nodes do
    not count.
    """
    if not node.ready:
        return [f"it is not Ready: {node.why}"]
    found = []
    if pool.resource and not node.allocatable.get(pool.resource):
        found = _without(node, pool, [pod for pod in pods if _is_on(pod, node)])
    elif ill := node.capacity.get(pool.resource, 0) - node.allocatable.get(pool.resource, 0):
        total = node.capacity[pool.resource]
        found = [f"{ill} of {total} {pool.resource} are ill, says the device plugin"]
    if pool.sharing == "mig" and node.labels.get(MIG_STATE_LABEL) in ("failed", "pending"):
        found.append(f"MIG: cutting into {pool.profile} is {node.labels[MIG_STATE_LABEL]}")
    return found


def _without(node: GpuNode, pool: Pool, pods: Sequence[Object]) -> list[str]:
    """Say why a node offers nothing, the first cause first."""
    if total := node.capacity.get(pool.resource):
        return [f"all {total} {pool.resource} are ill, says the device plugin"]
    found = []
    identifier, vendor = _VENDORS.get(pool.resource.partition("/")[0], ("", ""))
    if identifier and not _has_device(node, identifier):
        if any(label.startswith(_FEATURE_PREFIX) for label in node.labels):
            found.append(f"Node Feature Discovery finds no {vendor} device on its PCI bus")
        else:
            found.append("Node Feature Discovery has not labelled it: does its worker run there?")
    if node.labels.get(OPERANDS_LABEL) == "false":
        found.append(f"label {OPERANDS_LABEL}=false keeps the operator's parts off it")
    for app, what in _STEPS.items():
        for pod in pods:
            if (pod["metadata"].get("labels") or {}).get("app") == app:
                found += [f"{what}: {state}" for state in [_trouble(pod)] if state]
    if pool.resource in node.capacity:
        found.append(f"the device plugin for {pool.resource} is gone, or found no device")
    else:
        found.append(f"no device plugin has registered {pool.resource} with its kubelet")
    return found


def _has_device(node: GpuNode, identifier: str) -> bool:
    pattern = re.compile(re.escape(_FEATURE_PREFIX) + rf"pci-([0-9a-f]+_)?{identifier}\.present")
    return any(value == "true" and pattern.fullmatch(label) for label, value in node.labels.items())


def _is_on(pod: Object, node: GpuNode) -> bool:
    return bool(pod["spec"].get("nodeName") == node.name)


def _trouble(pod: Object) -> str:
    """Return what keeps a pod from being ready, nothing where it is."""
    if (conditions(pod).get("Ready") or {}).get("status") == "True":
        return ""
    status = pod.get("status") or {}
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind) or []:
            state = container.get("state") or {}
            waiting = state.get("waiting") or state.get("terminated") or {}
            reason = waiting.get("reason")
            if reason and reason not in ("PodInitializing", "Completed"):
                said = " ".join(str(waiting.get("message") or "").split())[:200]
                name = pod["metadata"]["name"]
                return f"pod {name}: {reason}{': ' if said else ''}{said}"
    return f"pod {pod['metadata']['name']} is not ready yet"
