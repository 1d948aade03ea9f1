# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Gateways of a benchmark's own: an Envoy each, whose routes answer by themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.maas.platform.plugins.module_utils._names import (
    GATEWAY_NAME,
    GATEWAY_NAMESPACE,
)

from benchmarks.lab import LABELS, PREFIX, BenchmarkError, Lab, namespace

NAMESPACE = f"{PREFIX}gateway"
#: To be removed before the gateways: Kuadrant then takes its part out of them.
POLICY_KINDS = (
    "authpolicies.kuadrant.io",
    "ratelimitpolicies.kuadrant.io",
    "tokenratelimitpolicies.kuadrant.io",
)
_ENVOYS = "envoy-gateway-system"
_GATEWAY = "gateway.networking.k8s.io"
_ENVOY_GATEWAY = "gateway.envoyproxy.io"
_LONGEST = "90s"

#: What a model might answer, with the usage that token limits count.
_ANSWER = json.dumps(
    {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}}],
        "usage": {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6},
    }
)


@dataclass(frozen=True)
class Door:
    """A route: its gateway, its name, which stands for a model in paths, and how many rules."""

    gateway: str
    route: str
    rules: int = 1

    @property
    def path(self) -> str:
        """Return what is called: namespace and model, as the policies read them."""
        return f"/{NAMESPACE}/{self.route}/v1/chat/completions"


def open_doors(lab: Lab, doors: Sequence[Door]) -> None:
    """Make the gateways and routes, and wait until their Envoys run."""
    gateways = sorted({door.gateway for door in doors})
    lab.apply(
        [
            namespace(NAMESPACE),
            _answer(),
            *(item for name in gateways for item in (_proxy(lab, name), _gateway(name))),
            *(_route(door) for door in doors),
        ]
    )
    for name in gateways:
        wait(lab, f"gateway/{name}", "Programmed")


def wait(lab: Lab, what: str, condition: str) -> None:
    """Wait for a condition of an object in the benchmark's namespace."""
    where = f"--namespace={NAMESPACE}"
    lab.kube("wait", where, what, f"--for=condition={condition}", f"--timeout={_LONGEST}")


def address(lab: Lab, gateway: str) -> tuple[str, int]:
    """Return where this machine reaches a gateway: a port of the cluster's node."""
    nodes = lab.get("nodes")["items"]
    node = next(
        entry["address"]
        for entry in nodes[0]["status"]["addresses"]
        if entry["type"] == "InternalIP"
    )
    label = f"{_ENVOY_GATEWAY}/owning-gateway"
    selector = f"--selector={label}-name={gateway},{label}-namespace={NAMESPACE}"
    services = lab.get("services", f"--namespace={_ENVOYS}", selector)["items"]
    if not services:
        raise BenchmarkError(f"Gateway {gateway} has no Service in {_ENVOYS}")
    return node, int(services[0]["spec"]["ports"][0]["nodePort"])


def filter_bytes(lab: Lab, gateway: str) -> int:
    """Return the size of the filter's configuration, as the cluster stores it."""
    name = f"kuadrant-{gateway}"
    found = lab.get("envoyextensionpolicy", name, f"--namespace={NAMESPACE}")
    return len(json.dumps(found["spec"], separators=(",", ":")))


def _meta(name: str) -> dict[str, Any]:
    return {"name": name, "namespace": NAMESPACE, "labels": dict(LABELS)}


def _proxy(lab: Lab, name: str) -> dict[str, Any]:
    """Return Envoy's settings: those of the platform's own, reached by a port of the node."""
    found = lab.get("envoyproxy", GATEWAY_NAME, f"--namespace={GATEWAY_NAMESPACE}")
    spec = found["spec"]
    kubernetes = spec["provider"]["kubernetes"]
    kubernetes["envoyService"] = {"type": "NodePort", "externalTrafficPolicy": "Cluster"}
    return {
        "apiVersion": f"{_ENVOY_GATEWAY}/v1alpha1",
        "kind": "EnvoyProxy",
        "metadata": _meta(name),
        "spec": spec,
    }


def _gateway(name: str) -> dict[str, Any]:
    parameters = {"group": _ENVOY_GATEWAY, "kind": "EnvoyProxy", "name": name}
    listener = {"name": "http", "port": 8080, "protocol": "HTTP"}
    return {
        "apiVersion": f"{_GATEWAY}/v1",
        "kind": "Gateway",
        "metadata": _meta(name),
        "spec": {
            "gatewayClassName": "maas",
            "infrastructure": {"parametersRef": parameters},
            "listeners": [listener],
        },
    }


def _answer() -> dict[str, Any]:
    body = {"type": "Inline", "inline": _ANSWER}
    answer = {"statusCode": 200, "contentType": "application/json", "body": body}
    return {
        "apiVersion": f"{_ENVOY_GATEWAY}/v1alpha1",
        "kind": "HTTPRouteFilter",
        "metadata": _meta("answer"),
        "spec": {"directResponse": answer},
    }


def _route(door: Door) -> dict[str, Any]:
    reference = {"group": _ENVOY_GATEWAY, "kind": "HTTPRouteFilter", "name": "answer"}
    prefix = f"/{NAMESPACE}/{door.route}"
    # The first rule takes every call; further ones are there to be counted.
    paths = [prefix, *(f"{prefix}/v1/rule-{number}" for number in range(1, door.rules))]
    rules = [
        {
            "matches": [{"path": {"type": "PathPrefix", "value": path}}],
            "filters": [{"type": "ExtensionRef", "extensionRef": reference}],
        }
        for path in paths
    ]
    return {
        "apiVersion": f"{_GATEWAY}/v1",
        "kind": "HTTPRoute",
        "metadata": _meta(door.route),
        "spec": {
            "parentRefs": [{"name": door.gateway}],
            "hostnames": [f"{door.gateway}.maas-bench.test"],
            "rules": rules,
        },
    }


def host(door: Door) -> str:
    """Return the name that a caller of this door puts into the request."""
    return f"{door.gateway}.maas-bench.test"


def target(kind: str, name: str) -> Mapping[str, str]:
    """Return a policy's reference to an object of the benchmark."""
    return {"group": _GATEWAY, "kind": kind, "name": name}
