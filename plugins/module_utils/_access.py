# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Rendering who may do what: namespaces and RBAC. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from ._manifests import Manifest, manifest
from ._models import ModelRef
from ._names import (
    API_SERVICE,
    MODELS_LABEL,
    SERVING_GROUP,
    SERVING_RESOURCE,
    SERVING_VERB,
    TIER_LABEL,
)
from ._tiers import Tier

_RBAC = "rbac.authorization.k8s.io"
_Rule = dict[str, list[str]]

# Nothing that runs in these namespaces needs more, and tier namespaces run nothing at all.
_RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


def render_namespaces(
    tiers: Iterable[Tier], model_namespaces: Iterable[str], api_namespace: str
) -> list[Manifest]:
    """Render the MaaS API's namespace, the tiers' and the models'.

    A models' namespace carries no part: it holds models and is never pruned from here.
    """
    return [
        manifest("v1", "Namespace", api_namespace, part="api", labels=_RESTRICTED),
        *(
            manifest(
                "v1",
                "Namespace",
                tier.namespace,
                part="namespaces",
                labels={**_RESTRICTED, TIER_LABEL: tier.name},
            )
            for tier in tiers
        ),
        *(
            manifest("v1", "Namespace", namespace, labels={MODELS_LABEL: "true"})
            for namespace in sorted(set(model_namespaces))
        ),
    ]


def render_access(
    tiers: Sequence[Tier], model_namespaces: Iterable[str], api_namespace: str
) -> list[Manifest]:
    """Render what each tier may call, and what the MaaS API may do there."""
    manifests = []
    for tier in tiers:
        manifests += _render_tier(tier)
        manifests += _render_api(
            tier.namespace,
            api_namespace,
            [
                _rule("", ["serviceaccounts"], ["create", "delete", "get", "list", "watch"]),
                _rule("", ["serviceaccounts/token"], ["create"]),
            ],
        )
    for namespace in sorted(set(model_namespaces)):
        manifests += _render_api(
            namespace,
            api_namespace,
            [_rule(SERVING_GROUP, [SERVING_RESOURCE], ["get", "list", "watch"])],
        )
    return manifests


def _render_tier(tier: Tier) -> list[Manifest]:
    names: dict[str, list[str]] = defaultdict(list)
    for ref in tier.models:
        names[ref.namespace].append(ref.name)
    manifests = []
    for namespace in sorted(names):
        rule = _rule(SERVING_GROUP, [SERVING_RESOURCE], [SERVING_VERB])
        rule["resourceNames"] = sorted(names[namespace])
        members = {
            "apiGroup": _RBAC,
            "kind": "Group",
            "name": f"system:serviceaccounts:{tier.namespace}",
        }
        manifests += _bind(
            f"maas-tier-{tier.name}", namespace, [rule], members, {TIER_LABEL: tier.name}
        )
    return manifests


def _render_api(namespace: str, api_namespace: str, rules: list[_Rule]) -> list[Manifest]:
    api = {"kind": "ServiceAccount", "name": API_SERVICE, "namespace": api_namespace}
    return _bind(API_SERVICE, namespace, rules, api, {})


def _bind(
    name: str, namespace: str, rules: list[_Rule], subject: dict[str, str], labels: dict[str, str]
) -> list[Manifest]:
    version = f"{_RBAC}/v1"
    role = {"apiGroup": _RBAC, "kind": "Role", "name": name}
    return [
        manifest(version, "Role", name, namespace, part="access", labels=labels, rules=rules),
        manifest(
            version,
            "RoleBinding",
            name,
            namespace,
            part="access",
            labels=labels,
            roleRef=role,
            subjects=[subject],
        ),
    ]


def _rule(group: str, resources: list[str], verbs: list[str]) -> _Rule:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


def namespaces_of(refs: Iterable[ModelRef]) -> list[str]:
    """Return the namespaces that hold these models."""
    return sorted({ref.namespace for ref in refs})
