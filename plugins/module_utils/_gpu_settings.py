# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What a pool puts on its nodes, and takes off again: labels and taints. Pure.

A node remembers in an annotation what it was given here, and what it had before. So what
somebody else put on it stays, whatever becomes of the pool.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ._errors import show
from ._objects import Object
from ._pools import MIG_CONFIG_LABEL, PLUGIN_CONFIG_LABEL, POOL_LABEL, Pool, Taint

MEMORY_ANNOTATION = "maas.platform/pool-settings"
#: Keeps the operator's device plugin off a node whose GPUs are claimed: both would give them out.
_PLUGIN_LABEL = "nvidia.com/gpu.deploy.device-plugin"
#: The operator writes these itself where nobody else has; that is no contradiction.
_SHARING_LABELS = (MIG_CONFIG_LABEL, PLUGIN_CONFIG_LABEL, _PLUGIN_LABEL)


@dataclass(frozen=True)
class Memory:
    """What a node was given: each label with its value before, and taints."""

    labels: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()

    @classmethod
    def read(cls, item: Object) -> Memory:
        """Return what a node's annotation says; nothing where it says nothing that can be read."""
        text = (item["metadata"].get("annotations") or {}).get(MEMORY_ANNOTATION)
        try:
            raw = json.loads(text or "{}")
            return cls(
                labels={key: (entry["set"], entry["was"]) for key, entry in raw["labels"].items()},
                taints=tuple(Taint(*words) for words in raw["taints"]),
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()

    def write(self) -> str | None:
        """Return the annotation; None where there is nothing to remember."""
        if not self.labels and not self.taints:
            return None
        labels = {key: {"set": value, "was": was} for key, (value, was) in self.labels.items()}
        taints = [[taint.key, taint.value, taint.effect] for taint in self.taints]
        return json.dumps({"labels": labels, "taints": taints}, sort_keys=True)


@dataclass(frozen=True)
class NodePlan:
    """What is to become of one node."""

    name: str
    pool: str
    #: A merge patch; empty where the node is as it should be.
    patch: Object = field(default_factory=dict)
    #: What others say of the node that contradicts the pool.
    conflicts: tuple[str, ...] = ()


def labels_of(pool: Pool, sharing: bool) -> dict[str, str]:
    """Return the labels that a pool's nodes get.

    Those by which an operator learns how GPUs are shared only with sharing: somebody else may
    have arranged that.
    """
    labels = {POOL_LABEL: pool.name, **pool.labels}
    if sharing and pool.sharing == "time_slicing":
        labels[PLUGIN_CONFIG_LABEL] = pool.name
    if sharing and pool.sharing == "mig":
        labels[MIG_CONFIG_LABEL] = f"all-{pool.profile}"
    if sharing and pool.sharing == "dra":
        labels[_PLUGIN_LABEL] = "false"
    return labels


def plan_node(item: Object, pool: Pool | None, sharing: bool = True) -> NodePlan:
    """Return what a node needs to be in this pool, or in none."""
    name = item["metadata"]["name"]
    wanted = labels_of(pool, sharing) if pool else {}
    taints = pool.taints if pool else ()
    memory = Memory.read(item)
    conflicts: list[str] = []
    labels = _plan_labels(item, wanted, memory, conflicts)
    kept = _plan_taints(item, taints, memory, conflicts)
    now = {**(item["metadata"].get("labels") or {}), **labels[0]}
    after = Memory(
        {key: entry for key, entry in labels[1].items() if now.get(key) == entry[0]}, kept[1]
    )
    annotations = item["metadata"].get("annotations") or {}
    metadata: Object = {}
    if labels[0]:
        metadata["labels"] = labels[0]
    if annotations.get(MEMORY_ANNOTATION) != after.write():
        metadata["annotations"] = {MEMORY_ANNOTATION: after.write()}
    patch: Object = {"metadata": metadata} if metadata else {}
    if kept[0] is not None:
        patch["spec"] = {"taints": kept[0]}
    return NodePlan(name, pool.name if pool else "", patch, tuple(conflicts))


def _plan_labels(
    item: Object, wanted: Mapping[str, str], memory: Memory, conflicts: list[str]
) -> tuple[dict[str, str | None], dict[str, tuple[str, str | None]]]:
    """Return the labels to change (None: to remove), and what to remember of labels."""
    live = item["metadata"].get("labels") or {}
    changed: dict[str, str | None] = {}
    remembered: dict[str, tuple[str, str | None]] = {}
    for key, value in wanted.items():
        ours = key in memory.labels and live.get(key) == memory.labels[key][0]
        if live.get(key) == value:
            if ours:
                remembered[key] = memory.labels[key]
            continue
        if key in live and not ours and key not in (*_SHARING_LABELS, POOL_LABEL):
            conflicts.append(f"label {key} is {show(live[key])} there, the pool says {show(value)}")
            continue
        changed[key] = value
        remembered[key] = (value, memory.labels[key][1] if ours else live.get(key))
    for key, (value, was) in memory.labels.items():
        # Whoever changed it since has made it theirs.
        if key not in wanted and live.get(key) == value:
            changed[key] = was
    return changed, remembered


def _plan_taints(
    item: Object, wanted: tuple[Taint, ...], memory: Memory, conflicts: list[str]
) -> tuple[list[dict[str, Any]] | None, tuple[Taint, ...]]:
    """Return the taints a node is to have (None: as it has), and those to remember."""
    live: list[dict[str, Any]] = list((item.get("spec") or {}).get("taints") or [])
    gone = {taint for taint in memory.taints if taint not in wanted}
    kept = [taint for taint in live if _read(taint) not in gone]
    remembered = [taint for taint in memory.taints if taint in wanted and taint in map(_read, live)]
    for taint in wanted:
        same = [found for found in kept if _is_same_place(found, taint)]
        if not same:
            kept.append(_write(taint))
            remembered.append(taint)
        elif _read(same[0]) != taint:
            conflicts.append(f"taint {_read(same[0])} is there, the pool says {taint}")
    return (kept if kept != live else None), tuple(remembered)


def _read(raw: Mapping[str, Any]) -> Taint:
    return Taint(raw["key"], raw.get("value") or "", raw["effect"])


def _write(taint: Taint) -> dict[str, Any]:
    written = {"key": taint.key, "effect": taint.effect}
    return {**written, "value": taint.value} if taint.value else written


def _is_same_place(found: Mapping[str, Any], taint: Taint) -> bool:
    """Return whether a node cannot have both: it has one taint for each key and effect."""
    return (found["key"], found["effect"]) == (taint.key, taint.effect)
