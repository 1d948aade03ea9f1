# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What is on a cluster already that another operator for GPUs would fight with. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ._gpu_nodes import GpuNode, members
from ._names import MANAGED_LABELS
from ._objects import Object
from ._pools import Pool

Provider = Literal["nvidia", "amd", "none"]
Driver = Literal["operator", "host", "unknown"]

#: What a provider's resources start with, and what its programs are called.
DOMAINS = {"nvidia": "nvidia.com/", "amd": "amd.com/"}
_WORDS = {"nvidia": ("nvidia", "gpu"), "amd": ("amd", "rocm", "gpu")}
_MODULES = {"nvidia": "nvidia", "amd": "amdgpu"}
_PLUGINS = "/var/lib/kubelet/device-plugins"
_DISCOVERY = "node-feature-discovery"
_HELM_NAMESPACE = "meta.helm.sh/release-namespace"


@dataclass(frozen=True)
class Wish:
    """What the role gpu_nodes is about to install, and where."""

    provider: Provider
    discovery: bool
    operator_namespace: str
    discovery_namespace: str


@dataclass(frozen=True)
class Scene:
    """What is there."""

    nodes: Sequence[GpuNode] = ()
    namespaces: Sequence[Object] = ()
    daemon_sets: Sequence[Object] = ()
    cluster_policies: Sequence[Object] = ()
    #: Discovery's findings, an object for each node.
    features: Sequence[Object] = ()
    #: Whether the cluster serves resource claims.
    claims: bool = True

    def is_ours(self, namespace: str) -> bool:
        """Return whether this collection made a namespace."""
        return any(
            item["metadata"]["name"] == namespace
            and MANAGED_LABELS.items() <= (item["metadata"].get("labels") or {}).items()
            for item in self.namespaces
        )


def conflicts(wish: Wish, scene: Scene, pools: Mapping[str, Pool]) -> list[str]:
    """Say what stands in the way, a line each with what to do about it."""
    found = [*_unfit_pools(wish, scene, pools)]
    if wish.provider != "none":
        found += _others_operators(wish, scene)
        plugins = _others_plugins(wish, scene)
        found += plugins or _others_devices(wish, scene, pools)
    if wish.discovery:
        found += _others_discovery(wish, scene)
    return found


def _unfit_pools(wish: Wish, scene: Scene, pools: Mapping[str, Pool]) -> Iterable[str]:
    domain = DOMAINS.get(wish.provider, "")
    for pool in pools.values():
        if pool.device_class and not scene.claims:
            yield (
                f"pool {pool.name}: sharing by claims (dra) needs a cluster that serves "
                "resource.k8s.io/v1, Kubernetes 1.34 or later; use another sharing"
            )
        if domain and pool.resource and not pool.resource.startswith(domain):
            yield (
                f"pool {pool.name}: {pool.resource} is nothing that gpu_nodes_provider "
                f"{wish.provider} brings; name the pool's resource, or another provider"
            )
        if wish.provider == "amd" and pool.device_class:
            yield f"pool {pool.name}: claims (dra) are arranged for provider nvidia only"


def _others_operators(wish: Wish, scene: Scene) -> Iterable[str]:
    if wish.provider != "nvidia":
        return
    for item in scene.cluster_policies:
        home = (item["metadata"].get("annotations") or {}).get(_HELM_NAMESPACE, "")
        if home != wish.operator_namespace or not scene.is_ours(home):
            where = f" from namespace {home}" if home else ""
            yield (
                f"ClusterPolicy {item['metadata']['name']} is there: somebody else runs NVIDIA GPU "
                f"Operator{where}; keep theirs with gpu_nodes_provider: none, or remove it"
            )


def _others_plugins(wish: Wish, scene: Scene) -> list[str]:
    """Return DaemonSets that register devices of this kind and are not the operator's."""
    return [
        f"DaemonSet {_place(item)} is a device plugin that somebody else runs, and two would both "
        "give out the same devices; keep it with gpu_nodes_provider: none, or remove it"
        for item in scene.daemon_sets
        if _is_elsewhere(item, wish.operator_namespace, scene)
        and _mounts(item, _PLUGINS)
        and any(word in _words(item) for word in _WORDS[wish.provider])
    ]


def _others_devices(wish: Wish, scene: Scene, pools: Mapping[str, Pool]) -> Iterable[str]:
    """Say which nodes offer the resource though none of ours could have brought it."""
    if scene.is_ours(wish.operator_namespace):
        return
    for pool in pools.values():
        for node in members(pool, scene.nodes):
            if pool.resource and node.capacity.get(pool.resource):
                yield (
                    f"node {node.name} offers {node.capacity[pool.resource]} {pool.resource} "
                    "already: something brings them; keep it with gpu_nodes_provider: none, or "
                    "remove it"
                )


def _others_discovery(wish: Wish, scene: Scene) -> Iterable[str]:
    for item in scene.daemon_sets:
        if _is_elsewhere(item, wish.discovery_namespace, scene) and _DISCOVERY in _words(item):
            yield (
                f"DaemonSet {_place(item)}: somebody else runs Node Feature Discovery; use theirs "
                "with gpu_nodes_discovery: false, or remove it"
            )


def _is_elsewhere(item: Object, namespace: str, scene: Scene) -> bool:
    return item["metadata"]["namespace"] != namespace or not scene.is_ours(namespace)


def _place(item: Object) -> str:
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"


def _template(item: Object) -> Mapping[str, Any]:
    found: Mapping[str, Any] = item["spec"]["template"]["spec"]
    return found


def _mounts(item: Object, path: str) -> bool:
    volumes = _template(item).get("volumes") or []
    paths = [(volume.get("hostPath") or {}).get("path") or "" for volume in volumes]
    return any(found.rstrip("/") == path for found in paths)


def _words(item: Object) -> str:
    images = [container.get("image") or "" for container in _template(item)["containers"]]
    return " ".join([item["metadata"]["name"], *images]).lower()


@dataclass(frozen=True)
class Drivers:
    """Who brings the kernel's driver."""

    driver: Driver
    problems: list[str] = field(default_factory=list)
    #: Nodes of pools on which discovery has not looked yet.
    unknown: list[str] = field(default_factory=list)


def find_driver(wish: Wish, scene: Scene, pools: Mapping[str, Pool]) -> Drivers:
    """Say whether the nodes have a driver of their own, which the operator must not replace.

    Once the operator has installed one it is loaded, too: then its own settings say so.
    """
    for item in scene.cluster_policies:
        if ((item.get("spec") or {}).get("driver") or {}).get("enabled"):
            return Drivers("operator")
    loaded = {
        item["metadata"]["name"]: _MODULES.get(wish.provider, "") in _modules(item)
        for item in scene.features
    }
    names = sorted({node.name for pool in pools.values() for node in members(pool, scene.nodes)})
    unknown = [name for name in names if name not in loaded]
    known = [name for name in names if name in loaded]
    has = [name for name in known if loaded[name]]
    if unknown or not known:
        return Drivers("unknown", unknown=unknown)
    if not has:
        return Drivers("operator")
    if len(has) == len(known):
        return Drivers("host")
    lacking = ", ".join(sorted(set(known) - set(has)))
    return Drivers(
        "unknown",
        [
            f"nodes {', '.join(has)} have a driver of their own, nodes {lacking} have none; make "
            "them alike, or set gpu_nodes_driver to host or operator"
        ],
    )


def _modules(item: Object) -> Mapping[str, Any]:
    """Return the kernel modules that discovery found loaded on a node."""
    flags = ((item.get("spec") or {}).get("features") or {}).get("flags") or {}
    found: Mapping[str, Any] = (flags.get("kernel.loadedmodule") or {}).get("elements") or {}
    return found
