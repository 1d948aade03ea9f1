# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Kubernetes objects as plain data: where they live, what they say, how two differ. Pure."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from ._errors import MaasError

Object = dict[str, Any]

#: (apiVersion, kind) of every object this collection touches -> (plural, in a namespace).
_KINDS = {
    ("v1", "Namespace"): ("namespaces", False),
    ("v1", "ConfigMap"): ("configmaps", True),
    ("v1", "Node"): ("nodes", False),
    ("v1", "Pod"): ("pods", True),
    ("v1", "ResourceQuota"): ("resourcequotas", True),
    ("v1", "ServiceAccount"): ("serviceaccounts", True),
    ("apps/v1", "DaemonSet"): ("daemonsets", True),
    ("apps/v1", "Deployment"): ("deployments", True),
    ("apps/v1", "ReplicaSet"): ("replicasets", True),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"): ("customresourcedefinitions", False),
    ("authorization.k8s.io/v1", "SelfSubjectAccessReview"): ("selfsubjectaccessreviews", False),
    ("authorino.kuadrant.io/v1beta3", "AuthConfig"): ("authconfigs", True),
    ("autoscaling/v2", "HorizontalPodAutoscaler"): ("horizontalpodautoscalers", True),
    ("gateway.envoyproxy.io/v1alpha1", "EnvoyExtensionPolicy"): ("envoyextensionpolicies", True),
    ("gateway.envoyproxy.io/v1alpha1", "EnvoyPatchPolicy"): ("envoypatchpolicies", True),
    ("gateway.envoyproxy.io/v1alpha1", "HTTPRouteFilter"): ("httproutefilters", True),
    ("gateway.networking.k8s.io/v1", "Gateway"): ("gateways", True),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"): ("httproutes", True),
    ("kuadrant.io/v1", "AuthPolicy"): ("authpolicies", True),
    ("kuadrant.io/v1", "RateLimitPolicy"): ("ratelimitpolicies", True),
    ("kuadrant.io/v1alpha1", "TokenRateLimitPolicy"): ("tokenratelimitpolicies", True),
    ("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet"): ("leaderworkersets", True),
    ("monitoring.coreos.com/v1", "PodMonitor"): ("podmonitors", True),
    ("networking.k8s.io/v1", "NetworkPolicy"): ("networkpolicies", True),
    ("nfd.k8s-sigs.io/v1alpha1", "NodeFeature"): ("nodefeatures", True),
    ("nvidia.com/v1", "ClusterPolicy"): ("clusterpolicies", False),
    ("policy/v1", "PodDisruptionBudget"): ("poddisruptionbudgets", True),
    ("rbac.authorization.k8s.io/v1", "Role"): ("roles", True),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): ("rolebindings", True),
    ("resource.k8s.io/v1", "ResourceClaimTemplate"): ("resourceclaimtemplates", True),
    ("serving.kserve.io/v1alpha2", "LLMInferenceService"): ("llminferenceservices", True),
}

#: What the API server writes into metadata on its own.
_SERVER_SIDE = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)


@dataclass(frozen=True, order=True)
class Key:
    """Which object."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """Return how people write it."""
        return (
            f"{self.kind} {self.namespace}/{self.name}"
            if self.namespace
            else (f"{self.kind} {self.name}")
        )


@dataclass(frozen=True)
class Change:
    """What became of one object, or would become."""

    key: Key
    action: Literal["created", "updated", "deleted", "unchanged"]
    before: Object | None = None
    after: Object | None = None

    @property
    def changed(self) -> bool:
        """Return whether the object differs now."""
        return self.action != "unchanged"


def key_of(item: Mapping[str, Any]) -> Key:
    """Return which object this is."""
    metadata = item["metadata"]
    return Key(item["apiVersion"], item["kind"], metadata.get("namespace") or "", metadata["name"])


def path_of(
    api_version: str, kind: str, namespace: str = "", name: str = "", subresource: str = ""
) -> str:
    """Return the path of an object, or of a collection where there is no name."""
    if (api_version, kind) not in _KINDS:
        raise MaasError(f"{api_version} {kind} is no kind that this collection knows")
    plural, namespaced = _KINDS[api_version, kind]
    path = f"/api/{api_version}" if api_version == "v1" else f"/apis/{api_version}"
    if namespaced and namespace:
        path += f"/namespaces/{quote(namespace, safe='')}"
    path += f"/{plural}"
    for part in (name, subresource):
        if part:
            path += f"/{quote(part, safe=':')}"
    return path


def clean(item: Mapping[str, Any] | None) -> Object:
    """Return the object without what the server adds: what is left is what somebody wants."""
    if item is None:
        return {}
    kept = copy.deepcopy({key: value for key, value in item.items() if key != "status"})
    for key in _SERVER_SIDE:
        kept["metadata"].pop(key, None)
    return kept


def differ(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> bool:
    """Return whether two states of an object differ in more than the server's own marks."""
    return clean(before) != clean(after)


def conditions(item: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the conditions of an object by type."""
    found = (item.get("status") or {}).get("conditions") or []
    return {condition["type"]: condition for condition in found}
