# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Rendering the models' namespaces, and who gets to the servers there. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ._manifests import Manifest, manifest
from ._model import Model
from ._model_pods import PORT
from ._model_settings import OPENSHIFT, ServingSettings
from ._names import INTERNAL_GATEWAY, MODELS_LABEL, MODELS_POLICY

_NAMESPACE_NAME = "kubernetes.io/metadata.name"


def render_namespaces(models: Iterable[Model], settings: ServingSettings) -> list[Manifest]:
    """Return the models' namespaces, then what guards the servers in each.

    Role tiers makes the same namespaces, so that it can bind rights before there is a model.
    """
    names = sorted({model.namespace for model in models})
    return [
        *(manifest("v1", "Namespace", name, labels={MODELS_LABEL: "true"}) for name in names),
        *(_render_guard(name, settings) for name in names),
    ]


def _render_guard(namespace: str, settings: ServingSettings) -> Manifest:
    """Let the internal Gateway's pods alone reach the servers: there nobody checks a request."""
    peers = [_gateway_pods(settings), *(dict(peer) for peer in settings.network_peers)]
    return manifest(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        MODELS_POLICY,
        namespace,
        spec={
            "podSelector": {"matchLabels": {"kserve.io/component": "workload"}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": peers, "ports": [{"port": PORT, "protocol": "TCP"}]}],
        },
    )


def _gateway_pods(settings: ServingSettings) -> dict[str, Any]:
    """Return the pods of the internal Gateway, as its provider labels them.

    Envoy Gateway runs those of every namespace's Gateways in one place.
    """
    if settings.provider == OPENSHIFT:
        namespace = settings.gateway_namespace
        labels = {"gateway.networking.k8s.io/gateway-name": INTERNAL_GATEWAY}
    else:
        namespace = "envoy-gateway-system"
        labels = {
            "gateway.envoyproxy.io/owning-gateway-name": INTERNAL_GATEWAY,
            "gateway.envoyproxy.io/owning-gateway-namespace": settings.gateway_namespace,
        }
    return {
        "namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: namespace}},
        "podSelector": {"matchLabels": labels},
    }
