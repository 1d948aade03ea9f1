# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What the gateway's filter has been told. Kuadrant's conditions come before Envoy has it.

Kuadrant writes the filter's configuration into an EnvoyExtensionPolicy, Envoy Gateway sends it
to Envoy, and Envoy sets the filter up anew: that takes a second or two. A tier that is let in
before would meet no limit, so Envoy itself is asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ._errors import MaasError
from ._kubernetes import Cluster, is_forbidden
from ._names import GATEWAY_NAME
from ._objects import conditions

_EXTENSION = ("gateway.envoyproxy.io/v1alpha1", "EnvoyExtensionPolicy")
_EXTENSION_NAME = f"kuadrant-{GATEWAY_NAME}"
_ADMIN_PORT = 19000
_DUMP = "/config_dump?resource=dynamic_listeners"
_FILTER = "kuadrant_wasm_shim"


class _OtherGatewayError(MaasError):
    """The filter's configuration is not where Envoy Gateway reads it."""


class Filters:
    """The filter in every Envoy of the public Gateway, where Envoy Gateway runs them."""

    def __init__(self, cluster: Cluster, gateway_namespace: str) -> None:
        """Look at the Gateway in this namespace."""
        self._cluster = cluster
        self._namespace = gateway_namespace
        #: Why they cannot be read here; then only Kuadrant's conditions tell.
        self.unreadable = ""

    def missing(self, policies: Iterable[Mapping[str, Any]]) -> str:
        """Return which limit of these policies, or which Envoy, is not there yet."""
        try:
            return self._compare(policies)
        except MaasError as exc:
            # Only who may not look, or has another kind of gateway, does without.
            if not (is_forbidden(exc) or isinstance(exc, _OtherGatewayError)):
                return exc.message
            self.unreadable = exc.message
            return ""

    def _compare(self, policies: Iterable[Mapping[str, Any]]) -> str:
        told = self._told()
        known = set(_predicates(told))
        for policy in policies:
            for name, limit in policy["spec"]["limits"].items():
                if not {when["predicate"] for when in limit.get("when") or []} <= known:
                    return f"Kuadrant has not told the gateway of limit {name} yet"
        pods = self._pods()
        if not pods:
            return f"no Envoy of Gateway {self._namespace}/{GATEWAY_NAME} is ready"
        for namespace, pod in pods:
            configs = self._listeners(namespace, pod)
            if not _have(configs, told):
                return f"Envoy {pod} does not have the limits that Kuadrant told it{_why(configs)}"
        return ""

    def _told(self) -> Any:
        for item in self._cluster.select(*_EXTENSION, self._namespace):
            if item["metadata"]["name"] == _EXTENSION_NAME:
                return item["spec"]["wasm"][0]["config"]
        raise _OtherGatewayError(
            f"there is no EnvoyExtensionPolicy {self._namespace}/{_EXTENSION_NAME}"
        )

    def _pods(self) -> list[tuple[str, str]]:
        label = "gateway.envoyproxy.io/owning-gateway-"
        selector = f"{label}name={GATEWAY_NAME},{label}namespace={self._namespace}"
        return [
            (pod["metadata"]["namespace"], pod["metadata"]["name"])
            for pod in self._cluster.select("v1", "Pod", "", selector)
            if (conditions(pod).get("Ready") or {}).get("status") == "True"
            and not pod["metadata"].get("deletionTimestamp")
        ]

    def _listeners(self, namespace: str, pod: str) -> list[Any]:
        status, dump = self._cluster.read_pod(namespace, pod, _ADMIN_PORT, _DUMP)
        if status != 200 or not isinstance(dump, Mapping):
            raise MaasError(f"Envoy {namespace}/{pod} answered {status} when asked for its filter")
        return list(dump.get("configs") or [])


def _have(listeners: Iterable[Any], told: Any) -> bool:
    # A listener that drains serves only what was open before.
    active = [listener.get("active_state") for listener in listeners]
    found = [json.loads(text) for text in _configurations(active)]
    return bool(found) and all(config == told for config in found)


def _why(listeners: Iterable[Any]) -> str:
    """Return the reason, where Envoy refuses what Envoy Gateway sends it."""
    for listener in listeners:
        error = (listener.get("error_state") or {}).get("details")
        if error:
            return f"; it refuses every change of listener {listener.get('name')}: {error}"
    return ""


def _predicates(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, inside in value.items():
            if name == "predicates" and isinstance(inside, list):
                yield from map(str, inside)
            else:
                yield from _predicates(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from _predicates(inside)


def _configurations(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if value.get("root_id") == _FILTER:
            text = value.get("configuration")
            yield str(text.get("value") if isinstance(text, Mapping) else text)
            return
        for inside in value.values():
            yield from _configurations(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from _configurations(inside)
