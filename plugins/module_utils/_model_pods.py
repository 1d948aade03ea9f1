# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Rendering the pods of a model: its server, and what asks whether it answers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._model import Model
from ._model_cut import OWN_ADDRESS, cut_args, worker_of
from ._model_defaults import merge
from ._model_engines import Server, server_of
from ._model_settings import ServingSettings

#: KServe's name for the container that callers reach; its preset is merged under it.
MAIN = "main"
PROMPT_CHECK = "prompt-check"
PORT = 8000
_CHECK_PORT = 8001
_CHECK_SECONDS = 2
_CLAIM = "gpu"
_TOPOLOGY = {"node": "kubernetes.io/hostname", "zone": "topology.kubernetes.io/zone"}
_HARDENED = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def render_pods(version: Model, settings: ServingSettings) -> dict[str, Any]:
    """Return what a version's spec says of pods: template, and worker where there are nodes."""
    server = server_of(version, settings.engines)
    placement = _render_placement(version, settings)
    containers = [_render_main(version, server, settings)]
    if settings.prompt_check:
        containers.append(_render_check(version, settings))
    pods: dict[str, Any] = {"template": {"containers": containers, **placement}}
    if version.nodes > 1:
        pods["worker"] = {**_render_worker(version, server, settings), **placement}
    return pods


def workload_labels(service: str) -> dict[str, str]:
    """Return the labels by which KServe's pods that callers reach are found."""
    return {"app.kubernetes.io/name": service, "kserve.io/component": "workload"}


def claim_name(version: Model) -> str:
    """Return the name of the template of claims: what it claims is in it and cannot change."""
    return f"{version.service}-{version.pool}-{version.gpus}"


def _render_main(version: Model, server: Server, settings: ServingSettings) -> dict[str, Any]:
    main = _render_server(version, server, settings)
    if server.command is not None:
        main["command"] = _literal(server.command)
    args = (*server.args, *cut_args(version, server), *server.extra_args)
    if args or version.runtime.args is not None:
        main["args"] = _literal(args)
    if version.nodes > 1:
        own = {"fieldRef": {"fieldPath": "status.podIP"}}
        main["env"] = [*main["env"], {"name": OWN_ADDRESS, "valueFrom": own}]
    if settings.prompt_check:
        main["startupProbe"] = _render_probe(version, settings)
    return main


def _render_server(version: Model, server: Server, settings: ServingSettings) -> dict[str, Any]:
    """Return what the server's container has on every node."""
    env = {"MODEL_NAME": version.name, **server.env}
    return {
        "name": MAIN,
        "image": settings.mirrored(server.image),
        "env": [{"name": name, "value": _escape(value)} for name, value in env.items()],
        "resources": merge(server.resources, _gpu_resources(version, settings)),
    }


def _render_worker(version: Model, server: Server, settings: ServingSettings) -> dict[str, Any]:
    """Return a pod of another node: no caller reaches it, so nothing is asked of it.

    KServe's preset has nothing for it; it is as hardened as the first one.
    """
    container = _render_server(version, server, settings)
    container["env"] = [*container["env"], {"name": "HOME", "value": "/tmp"}]  # noqa: S108
    command, args = worker_of(version, server)
    if command:
        container["command"] = _literal(command)
    container |= {
        "args": _literal(args),
        "imagePullPolicy": "IfNotPresent",
        "securityContext": _HARDENED,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - in the container
            {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108
        ],
    }
    return {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 90,
        "containers": [container],
        "volumes": [
            {"name": "tmp", "emptyDir": {}},
            {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
        ],
    }


def _render_probe(version: Model, settings: ServingSettings) -> dict[str, Any]:
    probe: dict[str, Any] = {
        "httpGet": {"path": "/started", "port": _CHECK_PORT},
        "timeoutSeconds": _CHECK_SECONDS,
    }
    # The preset tries every two seconds, for as long as any model may take.
    if version.ready_seconds is not None and version.ready_seconds > settings.start_timeout_seconds:
        probe["failureThreshold"] = -(-version.ready_seconds // 2)
    return probe


def _render_check(version: Model, settings: ServingSettings) -> dict[str, Any]:
    return {
        "name": PROMPT_CHECK,
        "image": settings.check_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-m", "maas_api.model_check"],
        "args": [
            *("--model", version.name, "--task", version.task),
            *("--server", f"http://127.0.0.1:{PORT}", "--port", str(_CHECK_PORT)),
        ],
        "resources": merge({}, settings.check_resources),
        "securityContext": {**_HARDENED, "readOnlyRootFilesystem": True},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _gpu_resources(version: Model, settings: ServingSettings) -> dict[str, Any]:
    if not version.gpus:
        return {}
    pool = settings.pools.get(version.pool or "")
    if pool is not None and pool.device_class:
        return {"claims": [{"name": _CLAIM}]}
    amount = {pool.resource if pool else settings.gpu_resource: version.gpus}
    return {"requests": amount, "limits": dict(amount)}


def _render_placement(version: Model, settings: ServingSettings) -> dict[str, Any]:
    placed: dict[str, Any] = {}
    pool = settings.pools.get(version.pool or "")
    if pool is not None:
        placed["nodeSelector"] = dict(pool.selector)
        if pool.tolerations:
            placed["tolerations"] = pool.tolerations
        if version.gpus and pool.device_class:
            claim = {"name": _CLAIM, "resourceClaimTemplateName": claim_name(version)}
            placed["resourceClaims"] = [claim]
    elif version.gpus:
        tainted = {"key": settings.gpu_resource, "operator": "Exists", "effect": "NoSchedule"}
        placed["tolerations"] = [tainted]
    if version.priority_class is not None:
        placed["priorityClassName"] = version.priority_class
    if version.spread is not None:
        placed["topologySpreadConstraints"] = [_render_spread(version, _TOPOLOGY[version.spread])]
    return placed


def _render_spread(version: Model, topology: str) -> dict[str, Any]:
    # A preference: a pod in the wrong place serves, one that waits for the right place does not.
    return {
        "maxSkew": 1,
        "topologyKey": topology,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": workload_labels(version.service)},
        "matchLabelKeys": ["pod-template-hash"],
    }


def _literal(words: Iterable[str]) -> list[str]:
    return [_escape(word) for word in words]


def _escape(text: str) -> str:
    """Return text that KServe's templates leave as it was: it runs every spec through them."""
    return text.replace("{{", "{{`{{`}}")


def merge_spec(rendered: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an entry's spec adds over a rendered one.

    Mappings are merged, lists replaced, except for what pods list by name: containers are
    merged by it, and volumes, environment and init containers put in each other's place.
    """
    merged = dict(rendered)
    for key, value in extra.items():
        under = merged.get(key)
        if isinstance(under, Mapping) and isinstance(value, Mapping):
            merged[key] = merge_spec(under, value)
        elif key in _BY_NAME and _are_named(under) and _are_named(value):
            merged[key] = _merge_named(under, value, whole=key != "containers")
        else:
            merged[key] = value
    return merged


_BY_NAME = ("containers", "initContainers", "volumes", "env")


def _are_named(items: Any) -> bool:
    return isinstance(items, (list, tuple)) and all(
        isinstance(item, Mapping) and isinstance(item.get("name"), str) for item in items
    )


def _merge_named(below: Any, above: Any, *, whole: bool) -> list[Any]:
    found = {item["name"]: dict(item) for item in below}
    for item in above:
        under = found.get(item["name"])
        found[item["name"]] = dict(item) if whole or under is None else merge_spec(under, item)
    return list(found.values())
