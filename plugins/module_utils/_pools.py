# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Pools of GPU nodes as the inventory writes them, and what a pod asks of one. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ._checks import Problems, dns_label, keys, mapping, sequence, whole_number
from ._errors import nearest

#: What most GPUs are called among a node's resources.
GPU_RESOURCE = "nvidia.com/gpu"
#: On every node of a pool, its value is the pool's name.
POOL_LABEL = "maas.platform/pool"
#: What NVIDIA's operator reads from a node: its part of the device plugin's settings, its cut.
PLUGIN_CONFIG_LABEL = "nvidia.com/device-plugin.config"
MIG_CONFIG_LABEL = "nvidia.com/mig.config"

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")

_KEYS = {
    "name": "a DNS label, at most 63 characters",
    "selector": "a mapping of labels that the pool's nodes have, at least one",
    "labels": "a mapping of labels that the pool's nodes get",
    "taints": "a list of mappings with key, value, effect",
    "sharing": "none, or one of time_slicing: N, mig: PROFILE, dra: DEVICE_CLASS",
    "resource": "the resource that a node offers for each GPU, such as nvidia.com/gpu",
}
_SHARING_KEYS = {
    "time_slicing": "how many pods share one GPU, 2 to 48",
    "mig": "a MIG profile such as 1g.10gb or 1g.10gb+me",
    "dra": "the DeviceClass that pods claim from, such as gpu.nvidia.com",
}
_TAINT_KEYS = {
    "key": "a label's key",
    "value": "a label's value",
    "effect": " or ".join(EFFECTS),
}
_TAKEN_LABELS = (POOL_LABEL, PLUGIN_CONFIG_LABEL, MIG_CONFIG_LABEL)

_LABEL_PART = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_DNS_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_PROFILE = re.compile(r"([1-7]g\.[1-9][0-9]{0,2}gb)([+.](me))?")
_LABEL_KEY = "a label's key, such as example.com/gpu or gpu"
_LABEL_VALUE = "a label's value: at most 63 of A-Z, a-z, 0-9, -, _ and . (quote numbers)"
_MOST_SLICES = 48


@dataclass(frozen=True)
class Taint:
    """What keeps pods off a node that do not say that they mean it."""

    key: str
    value: str
    effect: str

    def __str__(self) -> str:
        """Return how kubectl writes it."""
        return (
            f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"
        )


@dataclass(frozen=True)
class Pool:
    """Nodes that are alike, and how their GPUs are given out."""

    name: str
    #: The labels by which nodes belong to it; pods select by the same.
    selector: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    #: none, time_slicing, mig or dra.
    sharing: str = "none"
    #: How many pods share a GPU by taking turns.
    slices: int = 1
    #: The MIG profile, in the form in which resources' names have it.
    profile: str = ""
    #: The DeviceClass of claims; pods of such a pool ask for no resource.
    device_class: str = ""
    #: The resource that a pod asks for; empty where it makes a claim instead.
    resource: str = GPU_RESOURCE

    @property
    def tolerations(self) -> list[dict[str, str]]:
        """Return what a pod has to tolerate to run here.

        The last one is for clusters whose provider taints nodes by the resource's name.
        """
        found = [_toleration(taint) for taint in self.taints]
        if self.resource:
            common = {"key": self.resource, "operator": "Exists", "effect": "NoSchedule"}
            if common not in found:
                found.append(common)
        return found

    @property
    def most_per_pod(self) -> int | None:
        """Return how many of the resource one pod may ask for; None where the node says.

        Several slices are no more of a GPU than one: the device plugin refuses such pods.
        """
        return 1 if self.sharing == "time_slicing" else None


def _toleration(taint: Taint) -> dict[str, str]:
    if taint.value:
        return {
            "key": taint.key,
            "operator": "Equal",
            "value": taint.value,
            "effect": taint.effect,
        }
    return {"key": taint.key, "operator": "Exists", "effect": taint.effect}


def read_pools(problems: Problems, raw: Any, path: str = "gpu_nodes_pools") -> dict[str, Pool]:
    """Return the pools that could be read by name, and keep the problems of the others."""
    pools: dict[str, Pool] = {}
    places: dict[str, str] = {}
    for index, entry in enumerate(sequence(problems, path, raw, "a list of pools") or []):
        here = f"{path}[{index}]"
        pool = _read_pool(problems, here, entry)
        if pool is None:
            continue
        if pool.name in places:
            problems.found(f"{here}.name", pool.name, f"a name that {places[pool.name]} has not")
            continue
        for other in pools.values():
            if pool.selector and other.selector == pool.selector:
                allowed = f"other labels than those of {places[other.name]}: a node has one pool"
                problems.found(f"{here}.selector", dict(pool.selector), allowed)
        places[pool.name] = here
        pools[pool.name] = pool
    return pools


def _read_pool(problems: Problems, path: str, entry: Any) -> Pool | None:
    raw = mapping(problems, path, entry, f"a mapping with {', '.join(_KEYS)}")
    if raw is None:
        return None
    keys(problems, path, raw, _KEYS, required=("name", "selector"))
    name = dns_label(problems, f"{path}.name", raw["name"]) if "name" in raw else None
    selector: dict[str, str] = {}
    if "selector" in raw:
        selector = _read_labels(problems, f"{path}.selector", raw["selector"], _KEYS["selector"])
        if raw["selector"] == {}:
            problems.found(f"{path}.selector", {}, _KEYS["selector"])
    labels = _read_labels(problems, f"{path}.labels", raw.get("labels") or {}, _KEYS["labels"])
    _check_labels(problems, path, selector, labels)
    taints = _read_taints(problems, f"{path}.taints", raw.get("taints") or [])
    sharing, setting = _read_sharing(problems, f"{path}.sharing", raw.get("sharing"))
    resource = _read_resource(problems, path, raw.get("resource"), sharing, setting)
    if name is None:
        return None
    return Pool(
        name=name,
        selector=selector,
        labels=labels,
        taints=taints,
        sharing=sharing,
        slices=setting if sharing == "time_slicing" else 1,
        profile=setting if sharing == "mig" else "",
        device_class=setting if sharing == "dra" else "",
        resource=resource,
    )


def _read_labels(problems: Problems, path: str, raw: Any, allowed: str) -> dict[str, str]:
    found = mapping(problems, path, raw, allowed)
    labels: dict[str, str] = {}
    for key, value in (found or {}).items():
        if not _is_label_key(key):
            problems.found(f"{path}.{key}", key, _LABEL_KEY)
        elif not _is_label_value(value):
            problems.found(f"{path}.{key}", value, _LABEL_VALUE)
        else:
            labels[key] = value
    return labels


def _is_label_key(key: Any) -> bool:
    if not isinstance(key, str):
        return False
    prefix, slash, name = key.rpartition("/")
    if slash and not (len(prefix) <= 253 and _DNS_NAME.fullmatch(prefix)):
        return False
    return _LABEL_PART.fullmatch(name) is not None


def _is_label_value(value: Any) -> bool:
    return isinstance(value, str) and (value == "" or _LABEL_PART.fullmatch(value) is not None)


def _check_labels(
    problems: Problems, path: str, selector: Mapping[str, str], labels: Mapping[str, str]
) -> None:
    for key, value in labels.items():
        if key in _TAKEN_LABELS:
            problems.found(f"{path}.labels.{key}", value, "another key: the role sets this one")
        elif key in selector and selector[key] != value:
            allowed = f"{selector[key]!r} as in selector, or another key"
            problems.found(f"{path}.labels.{key}", value, allowed)


def _read_taints(problems: Problems, path: str, raw: Any) -> tuple[Taint, ...]:
    taints: list[Taint] = []
    for index, entry in enumerate(sequence(problems, path, raw, _KEYS["taints"]) or []):
        here = f"{path}[{index}]"
        found = mapping(problems, here, entry, "a mapping with key, value, effect")
        if found is None:
            continue
        keys(problems, here, found, _TAINT_KEYS, required=("key", "effect"))
        key, value, effect = found.get("key"), found.get("value", ""), found.get("effect")
        if "key" in found and not _is_label_key(key):
            problems.found(f"{here}.key", key, _LABEL_KEY)
        elif not _is_label_value(value):
            problems.found(f"{here}.value", value, _LABEL_VALUE)
        elif "effect" in found and effect not in EFFECTS:
            hint = nearest(effect, EFFECTS)
            problems.found(f"{here}.effect", effect, _TAINT_KEYS["effect"], hint)
        elif any((taint.key, taint.effect) == (key, effect) for taint in taints):
            problems.found(here, dict(found), "one taint for each key and effect")
        elif key is not None and effect is not None:
            taints.append(Taint(key, value, effect))
    return tuple(taints)


def _read_sharing(problems: Problems, path: str, raw: Any) -> tuple[str, Any]:
    """Return how GPUs are given out, and the number or name that goes with it."""
    if raw is None or raw == "none":
        return "none", None
    if not isinstance(raw, Mapping) or len(raw) != 1 or next(iter(raw)) not in _SHARING_KEYS:
        problems.found(path, raw, _KEYS["sharing"])
        return "none", None
    kind, value = next(iter(raw.items()))
    here = f"{path}.{kind}"
    if kind == "time_slicing":
        slices = whole_number(problems, here, value, 2, _MOST_SLICES)
        return ("none", None) if slices is None else (kind, slices)
    if kind == "mig":
        match = _PROFILE.fullmatch(value) if isinstance(value, str) else None
        if match:
            return kind, f"{match.group(1)}.me" if match.group(3) else match.group(1)
    elif isinstance(value, str) and len(value) <= 253 and _DNS_NAME.fullmatch(value):
        return kind, value
    problems.found(here, value, _SHARING_KEYS[kind])
    return "none", None


def _read_resource(problems: Problems, path: str, raw: Any, sharing: str, setting: Any) -> str:
    here = f"{path}.resource"
    if sharing == "dra":
        if raw is not None:
            problems.found(here, raw, "no resource: pods of this pool claim from its DeviceClass")
        return ""
    if raw is None:
        return f"nvidia.com/mig-{setting}" if sharing == "mig" else GPU_RESOURCE
    # Without a domain of its own it would be one of Kubernetes' resources, cpu for instance.
    if not _is_label_key(raw) or "/" not in raw or "kubernetes.io/" in raw:
        problems.found(here, raw, _KEYS["resource"])
        return GPU_RESOURCE
    if sharing != "none" and not raw.startswith("nvidia.com/"):
        problems.found(here, raw, f"one of nvidia.com: {sharing} is NVIDIA's")
    return str(raw)
