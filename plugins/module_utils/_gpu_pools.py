# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Pools of GPU nodes on a cluster: marking their nodes, and waiting for their GPUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ._checks import Problems
from ._errors import MaasError
from ._gpu_nodes import claimed_twice, lacks, members, read_node
from ._gpu_settings import MEMORY_ANNOTATION, NodePlan, plan_node
from ._kubernetes import ApiError, Cluster
from ._names import FIELD_MANAGER
from ._objects import Key, Object, path_of
from ._pools import Pool, read_pools

_MERGE = "application/merge-patch+json"
_ATTEMPTS = 5
_CONFLICT = 409
#: Between two looks at nodes that are not ready yet: drivers take minutes.
_EVERY_SECONDS = 3.0


@dataclass(frozen=True)
class NodeChange:
    """A node before and after."""

    name: str
    pool: str
    before: Object
    after: Object
    patch: Object = field(default_factory=dict)


def parse_pools(raw: Any) -> dict[str, Pool]:
    """Return the pools of an inventory; MaasError with all that is wrong with them."""
    problems = Problems()
    pools = read_pools(problems, raw)
    if problems:
        raise MaasError("gpu_nodes_pools is not valid; nothing was changed", problems)
    return pools


def converge(
    cluster: Cluster, pools: Mapping[str, Pool], sharing: bool, dry_run: bool = False
) -> list[NodeChange]:
    """Have every node say which pool it is in, and none what it is not in any more."""
    items = cluster.select("v1", "Node")
    plans = _plan(items, pools, sharing)
    by_name = {item["metadata"]["name"]: item for item in items}
    todo = [plan for plan in plans if plan.patch]

    def change(plan: NodePlan) -> NodeChange:
        return _change(cluster, by_name[plan.name], plan, pools, sharing, dry_run)

    return cluster.each(change, todo)


def _plan(items: Sequence[Object], pools: Mapping[str, Pool], sharing: bool) -> list[NodePlan]:
    """Return what becomes of every node; MaasError where nodes and pools do not fit."""
    nodes = {item["metadata"]["name"]: read_node(item) for item in items}
    problems = claimed_twice(pools.values(), list(nodes.values()))
    for pool in pools.values():
        if not members(pool, nodes.values()):
            labels = ", ".join(f"{key}={value}" for key, value in pool.selector.items())
            problems.append(f"pool {pool.name}: no node has the labels of its selector, {labels}")
    plans = []
    for item in items:
        node = nodes[item["metadata"]["name"]]
        home = next((pool for pool in pools.values() if members(pool, [node])), None)
        plan = plan_node(item, home, sharing)
        problems += [
            f"node {plan.name}, pool {plan.pool}: {conflict}" for conflict in plan.conflicts
        ]
        plans.append(plan)
    if problems:
        raise MaasError(
            "the nodes and gpu_nodes_pools do not fit each other; nothing was changed", problems
        )
    return plans


def _change(
    cluster: Cluster,
    item: Object,
    plan: NodePlan,
    pools: Mapping[str, Pool],
    sharing: bool,
    dry_run: bool,
) -> NodeChange:
    """Change a node as it was read: a list of taints is replaced, and must not lose any."""
    path = path_of("v1", "Node", "", plan.name)
    query = [("fieldManager", FIELD_MANAGER), *([("dryRun", "All")] if dry_run else [])]
    for attempt in range(_ATTEMPTS):
        patch = {**plan.patch, "metadata": {**plan.patch.get("metadata", {})}}
        patch["metadata"]["resourceVersion"] = item["metadata"]["resourceVersion"]
        try:
            after: Object = cluster.request("PATCH", path, query, patch, _MERGE)[1]
            return NodeChange(plan.name, plan.pool, _shown(item), _shown(after), plan.patch)
        except ApiError as exc:
            if exc.status != _CONFLICT or attempt == _ATTEMPTS - 1:
                raise
        found = cluster.find(Key("v1", "Node", "", plan.name))
        if found is None:
            break
        item = found
        plan = plan_node(item, pools.get(plan.pool), sharing)
        if plan.conflicts:
            raise MaasError(f"node {plan.name}, pool {plan.pool}: {'; '.join(plan.conflicts)}")
    return NodeChange(plan.name, plan.pool, _shown(item), _shown(item))


def _shown(item: Object) -> Object:
    """Return of a node what this is about."""
    metadata = item["metadata"]
    annotations = metadata.get("annotations") or {}
    return {
        "labels": metadata.get("labels") or {},
        "annotations": {
            key: value for key, value in annotations.items() if key == MEMORY_ANNOTATION
        },
        "taints": (item.get("spec") or {}).get("taints") or [],
    }


def missing(
    cluster: Cluster, pools: Mapping[str, Pool], operator_namespace: str, strict: bool = True
) -> list[str]:
    """Say what nodes still lack, a line for each.

    With strict, only what keeps a pool's resource from being given out at all on a node.
    """
    nodes = [read_node(item) for item in cluster.select("v1", "Node")]
    pods = cluster.select("v1", "Pod", operator_namespace) if operator_namespace else []
    lines = []
    for pool in pools.values():
        for node in members(pool, nodes):
            if strict and node.ready and (node.allocatable.get(pool.resource) or not pool.resource):
                continue
            lines += [
                f"node {node.name}, pool {pool.name}: {line}" for line in lacks(node, pool, pods)
            ]
    return lines


def wait_allocatable(
    cluster: Cluster, pools: Mapping[str, Pool], operator_namespace: str, timeout_seconds: float
) -> None:
    """Wait until every node of every pool offers its pool's resource."""
    lines: list[str] = []

    def check() -> str:
        lines[:] = missing(cluster, pools, operator_namespace)
        return f"{len(lines)} to go" if lines else ""

    try:
        cluster.wait("GPUs of all pools", check, timeout_seconds, _EVERY_SECONDS)
    except ApiError:
        raise
    except MaasError as exc:
        if not lines:
            raise
        raise MaasError(
            f"after {timeout_seconds:g} s, nodes of GPU pools still lack something; what is "
            "configured stays, and the next run goes on from there",
            lines,
        ) from exc
