# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What a cluster says of its models, for people and playbooks to read. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ._catalog import Catalog
from ._gpu_nodes import asked_by, is_running
from ._kubernetes import Cluster
from ._model import CANARY_SUFFIX, ModelRef
from ._names import (
    CANARY_LABEL,
    CATALOG_NAME,
    FIELD_MANAGER,
    GATEWAY_NAME,
    HTTPS_LISTENER,
    MODEL_LABEL,
)
from ._objects import Key, Object, key_of
from ._pools import POOL_LABEL
from ._read_catalog import parse_config_map
from ._serving_record import STOP_ANNOTATION, proven_version, version_of
from ._serving_retirement import read_retirement
from ._serving_rollout import Verdict, current_pods, is_stopped, judge, judge_route
from ._serving_snapshot import OURS, ROUTE, SERVICE, Snapshot, take_snapshot
from ._serving_words import tell_failure
from ._times import write_time

_SCALER = ("autoscaling/v2", "HorizontalPodAutoscaler")
_BACKEND_SUFFIX = "-kserve-workload-svc"


@dataclass(frozen=True)
class Seen:
    """Everything that was read, at about the same time."""

    snapshot: Snapshot
    scalers: Mapping[Key, Object] = field(default_factory=dict)
    #: The pool of each node that has one.
    pools: Mapping[str, str] = field(default_factory=dict)
    catalog: Catalog = field(default_factory=lambda: Catalog(()))
    #: Where callers reach the platform; empty where no Gateway says it.
    url: str = ""

    @property
    def services(self) -> list[Object]:
        """Return the LLMInferenceServices, those of others included."""
        return [item for key, item in self.snapshot.objects.items() if key.kind == SERVICE[1]]


def look(cluster: Cluster, gateway_namespace: str, api_namespace: str, url: str) -> Seen:
    """Read what there is of models, whoever made them."""
    services = cluster.select(*SERVICE)
    groups = any((item.get("spec") or {}).get("worker") for item in services)
    places = {item["metadata"]["namespace"] for item in services}
    snapshot = take_snapshot(cluster, places, groups)
    objects = {**snapshot.objects, **{key_of(item): item for item in services}}
    catalog = cluster.find(Key("v1", "ConfigMap", api_namespace, CATALOG_NAME))
    nodes = cluster.select("v1", "Node") if services else []
    return Seen(
        snapshot=Snapshot(objects),
        scalers={key_of(item): item for item in cluster.select(*_SCALER, selector=OURS)},
        pools={
            node["metadata"]["name"]: pool
            for node in nodes
            if (pool := (node["metadata"].get("labels") or {}).get(POOL_LABEL))
        },
        catalog=parse_config_map(catalog) if catalog else Catalog(()),
        url=url.rstrip("/") or _public_url(cluster, gateway_namespace),
    )


def _public_url(cluster: Cluster, namespace: str) -> str:
    """Return where the public Gateway listens; the port people type is not known to it."""
    key = Key("gateway.networking.k8s.io/v1", "Gateway", namespace, GATEWAY_NAME)
    gateway = cluster.find(key) or {}
    for listener in (gateway.get("spec") or {}).get("listeners") or []:
        if listener.get("name") == HTTPS_LISTENER and listener.get("hostname"):
            return f"https://{listener['hostname']}"
    return ""


def describe(
    cluster: Cluster, seen: Seen, wanted: Iterable[ModelRef], now: datetime
) -> list[dict[str, Any]]:
    """Return every model: those that are there, and those that are wanted and missing."""
    stable = {
        ModelRef(item["metadata"]["namespace"], item["metadata"]["name"]): item
        for item in seen.services
        if not _is_canary(item)
    }
    missing = [ref for ref in wanted if ref not in stable]
    found = [_describe(cluster, seen, ref, item, now) for ref, item in stable.items()]
    found += [_missing(seen, ref) for ref in missing]
    return sorted(found, key=lambda it: (it["namespace"], it["name"]))


def _describe(
    cluster: Cluster, seen: Seen, ref: ModelRef, service: Object, now: datetime
) -> dict[str, Any]:
    versions = [service]
    canary = seen.snapshot.find(_canary_key(ref))
    if canary is not None and _is_canary(canary):
        versions.append(canary)
    pods = [pod for version in versions for pod in _pods(version, seen.snapshot)]
    held = [pod for pod in pods if is_running(pod)]
    nodes = sorted({str(pod["spec"]["nodeName"]) for pod in held})
    replicas = _replicas(service, seen.snapshot)
    state, until, error = _state(cluster, seen, service, replicas["ready"], now)
    route = seen.snapshot.find(Key(*ROUTE, ref.namespace, ref.name))
    return {
        **_missing(seen, ref),
        "state": state,
        "until": until,
        "error": error,
        "replicas": replicas,
        "canary": _canary(cluster, seen, versions[1], route) if len(versions) > 1 else {},
        "autoscaling": _autoscaling(seen, ref),
        "gpus": {
            "asked": sum(_gpus(it) * _replicas(it, seen.snapshot)["wanted"] for it in versions),
            "used": sum(_held(pod) for pod in held),
        },
        "nodes": nodes,
        "pools": sorted({seen.pools[node] for node in nodes if node in seen.pools}),
        "proven": _is_proven(service),
    }


def _missing(seen: Seen, ref: ModelRef) -> dict[str, Any]:
    """Return a model that is not there; what is there fills in the rest."""
    return {
        "namespace": ref.namespace,
        "name": ref.name,
        "state": "missing",
        "until": "",
        "url": f"{seen.url}/{ref.namespace}/{ref.name}/v1" if seen.url else "",
        "replicas": {"wanted": 0, "ready": 0},
        "canary": {},
        "autoscaling": {},
        "gpus": {"asked": 0, "used": 0},
        "nodes": [],
        "pools": [],
        "tiers": [tier.name for tier in seen.catalog.tiers if tier.enabled and ref in tier.models],
        "proven": False,
        "error": "",
    }


def _state(
    cluster: Cluster, seen: Seen, service: Object, ready: int, now: datetime
) -> tuple[str, str, str]:
    """Return the state, until when it is served, and what is wrong in words."""
    key = key_of(service)
    verdict = judge(key, seen.snapshot)
    words = "" if verdict.ready else tell_failure(cluster, key, verdict, seen.snapshot)
    if not _is_ours(service):
        return "unmanaged", "", words
    if (service["metadata"].get("annotations") or {}).get(STOP_ANNOTATION) == "true":
        return "paused", "", is_stopped(key, seen.snapshot)
    retirement = read_retirement(service)
    if retirement is not None:
        over = retirement.until <= now
        end = "its time is over: the next run of the playbook maas.platform.models removes it"
        return "retired", write_time(retirement.until), end if over else words
    route_key = Key(*ROUTE, key.namespace, key.name)
    way = judge_route(seen.snapshot.find(route_key), route_key)
    if verdict.ready:
        return ("degraded", "", way) if way else ("serving", "", "")
    if ready and not way:
        return "degraded", "", words
    return ("starting" if _may_come(verdict) else "failed"), "", words


def _may_come(verdict: Verdict) -> bool:
    return verdict.finding is not None and verdict.finding.severity == "waiting"


def _canary(cluster: Cluster, seen: Seen, service: Object, route: Object | None) -> dict[str, Any]:
    verdict = judge(key_of(service), seen.snapshot)
    words = "" if verdict.ready else tell_failure(cluster, key_of(service), verdict, seen.snapshot)
    return {
        "weight": _weight(route, service["metadata"]["name"]),
        "ready": verdict.ready,
        "replicas": _replicas(service, seen.snapshot),
        "proven": _is_proven(service),
        "error": words,
    }


def _weight(route: Object | None, service: str) -> int:
    """Return how many of a hundred requests the route sends there."""
    rules = ((route or {}).get("spec") or {}).get("rules") or [{}]
    weights = {
        str(backend.get("name")): int(backend.get("weight", 1))
        for backend in rules[0].get("backendRefs") or []
    }
    total = sum(weights.values())
    return round(100 * weights.get(f"{service}{_BACKEND_SUFFIX}", 0) / total) if total else 0


def _autoscaling(seen: Seen, ref: ModelRef) -> dict[str, int]:
    scaler = seen.scalers.get(Key(*_SCALER, ref.namespace, ref.name))
    if scaler is None:
        return {}
    spec, status = scaler.get("spec") or {}, scaler.get("status") or {}
    return {
        "min": int(spec.get("minReplicas") or 1),
        "max": int(spec.get("maxReplicas") or 0),
        "current": int(status.get("currentReplicas") or 0),
        "desired": int(status.get("desiredReplicas") or 0),
    }


def _workloads(service: Object, snapshot: Snapshot) -> list[Object]:
    kinds = ("Deployment", "LeaderWorkerSet")
    return [item for kind in kinds for item in snapshot.owned(kind, service)]


def _replicas(service: Object, snapshot: Snapshot) -> dict[str, int]:
    wanted, ready = 0, 0
    for workload in _workloads(service, snapshot):
        status = workload.get("status") or {}
        wanted += int((workload.get("spec") or {}).get("replicas", 1))
        ready += int(status.get("availableReplicas", status.get("readyReplicas")) or 0)
    return {"wanted": wanted, "ready": ready}


def _pods(service: Object, snapshot: Snapshot) -> list[Object]:
    """Return a service's pods, those of its older version included: they hold GPUs, too."""
    found: list[Object] = []
    for workload in _workloads(service, snapshot):
        if workload["kind"] == "LeaderWorkerSet":
            found += current_pods(workload, snapshot)
            continue
        for replica_set in snapshot.owned("ReplicaSet", workload):
            found += snapshot.owned("Pod", replica_set)
    return found


def _gpus(service: Object) -> int:
    """Return what one copy of the server asks for, over all of its nodes."""
    spec = service.get("spec") or {}
    first, worker = spec.get("template") or {}, spec.get("worker") or {}
    cut = spec.get("parallelism") or {}
    local = int(cut.get("dataLocal") or 1)
    nodes = int(cut.get("data") or 1) // local if cut.get("data") else int(cut.get("pipeline") or 1)
    more = (nodes - 1) * _held({"spec": worker}) if worker else 0
    return _held({"spec": first}) + more


def _held(pod: Mapping[str, Any]) -> int:
    """Return the devices of vendors that a pod asks for, whatever they are called."""
    spec = pod.get("spec") or {}
    containers: Sequence[Mapping[str, Any]] = spec.get("containers") or []
    names = {
        name
        for container in containers
        for amounts in (container.get("resources") or {}).values()
        if isinstance(amounts, Mapping)
        for name in amounts
        if "/" in name
    }
    return sum(asked_by(dict(pod), name) for name in names)


def _is_proven(service: Object) -> bool:
    """Return whether the present version has answered a prompt before."""
    proven = proven_version(service)
    return proven is not None and _as_text(proven) == _as_text(version_of(service))


def _as_text(value: Any) -> Any:
    """Return a copy with numbers as text: the API server writes amounts of resources so."""
    if isinstance(value, Mapping):
        return {name: _as_text(inside) for name, inside in value.items()}
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _is_ours(item: Object) -> bool:
    labels = item["metadata"].get("labels") or {}
    return labels.get("app.kubernetes.io/managed-by") == FIELD_MANAGER and MODEL_LABEL in labels


def _is_canary(item: Object) -> bool:
    return _is_ours(item) and item["metadata"]["labels"].get(CANARY_LABEL) == "true"


def _canary_key(ref: ModelRef) -> Key:
    return Key(*SERVICE, ref.namespace, f"{ref.name}{CANARY_SUFFIX}")


def table(models: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the models as a table, a line each, headed."""
    rows = [("model", "state", "replicas", "GPUs", "tiers", "URL")]
    for model in models:
        until = f" until {model['until']}" if model["until"] else ""
        canary = f" + {model['canary']['weight']} % canary" if model["canary"] else ""
        count = model["replicas"]
        rows.append(
            (
                f"{model['namespace']}/{model['name']}",
                f"{model['state']}{until}",
                f"{count['ready']}/{count['wanted']}{canary}",
                f"{model['gpus']['used']}/{model['gpus']['asked']}",
                ", ".join(model["tiers"]) or "-",
                model["url"] or "-",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
