# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Whether Envoys run the scripts that EnvoyPatchPolicies give them.

Envoy Gateway calls a policy programmed once it has sent it. An Envoy may refuse it all the same:
then it keeps what it had before, and nothing in the cluster says so but the Envoy itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ._errors import MaasError
from ._kubernetes import Cluster, is_forbidden
from ._objects import conditions

_POLICY = ("gateway.envoyproxy.io/v1alpha1", "EnvoyPatchPolicy")
_LABEL = "gateway.envoyproxy.io/owning-gateway-"
_ADMIN_PORT = 19000
_DUMP = "/config_dump?resource=dynamic_listeners"
#: How long an Envoy may refuse before it is said: what it refuses may be the last version.
PATIENCE_SECONDS = 10


def await_scripts(
    cluster: Cluster, namespace: str, selector: str, timeout_seconds: float
) -> tuple[list[str], str]:
    """Return the Envoys that run the scripts, and why they could not be asked, if so."""
    policies = list(cluster.select(*_POLICY, namespace, selector))
    begun = cluster.clock()
    names: list[str] = []

    def missing() -> str:
        names.clear()
        for policy in policies:
            gateway = policy["spec"]["targetRef"]["name"]
            pods = _pods(cluster, namespace, gateway)
            if not pods:
                return f"no Envoy of Gateway {namespace}/{gateway} is ready"
            for place, pod in pods:
                listeners = _listeners(cluster, place, pod)
                refusal = _refusal(listeners)
                if refusal and cluster.clock() - begun >= PATIENCE_SECONDS:
                    raise MaasError(f"Envoy {pod} of Gateway {namespace}/{gateway} {refusal}")
                if refusal or not _has_all(listeners, policy):
                    wanted = f"what EnvoyPatchPolicy {policy['metadata']['name']} says"
                    return f"Envoy {pod} does not do {wanted}" + (f": it {refusal}" * bool(refusal))
                names.append(pod)
        return ""

    try:
        cluster.wait("Envoys to run the scripts that they are given", missing, timeout_seconds)
    except MaasError as exc:
        if not is_forbidden(exc):
            raise
        return [], exc.message
    return names, ""


def _pods(cluster: Cluster, namespace: str, gateway: str) -> list[tuple[str, str]]:
    selector = f"{_LABEL}name={gateway},{_LABEL}namespace={namespace}"
    return [
        (pod["metadata"]["namespace"], pod["metadata"]["name"])
        for pod in cluster.select("v1", "Pod", "", selector)
        if (conditions(pod).get("Ready") or {}).get("status") == "True"
        and not pod["metadata"].get("deletionTimestamp")
    ]


def _listeners(cluster: Cluster, namespace: str, pod: str) -> list[Mapping[str, Any]]:
    status, dump = cluster.read_pod(namespace, pod, _ADMIN_PORT, _DUMP)
    if status != 200 or not isinstance(dump, Mapping):
        raise MaasError(f"Envoy {namespace}/{pod} answered {status} when asked for its listeners")
    return list(dump.get("configs") or [])


def _refusal(listeners: list[Mapping[str, Any]]) -> str:
    for listener in listeners:
        error = (listener.get("error_state") or {}).get("details")
        if error:
            return f"refuses every change of listener {listener.get('name')}: {error}"
    return ""


def _has_all(listeners: list[Mapping[str, Any]], policy: Mapping[str, Any]) -> bool:
    # A listener that drains serves only what was open before.
    active = {one.get("name"): set(_scripts(one.get("active_state"))) for one in listeners}
    return all(
        text in active.get(patch["name"], set())
        for patch in policy["spec"]["jsonPatches"]
        for text in _scripts(_value(patch["operation"].get("value")))
    )


def _value(value: Any) -> Any:
    # The API server keeps it as it was sent; some clients write text.
    return json.loads(value) if isinstance(value, str) and value[:1] in "{[" else value


def _scripts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if "default_source_code" in value:
            yield value["default_source_code"]["inline_string"]
        for inside in value.values():
            yield from _scripts(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from _scripts(inside)
