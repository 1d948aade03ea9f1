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
    TIER_QUOTA,
)
from ._plan import Holding
from ._tier import Tier

_RBAC = "rbac.authorization.k8s.io"
_Rule = dict[str, list[str]]

# Nothing that runs in these namespaces needs more, and tier namespaces run nothing at all.
_RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


def render_namespaces(
    holdings: Iterable[Holding], model_namespaces: Iterable[str], api_namespace: str
) -> list[Manifest]:
    """Render the MaaS API's namespace, the tiers' and the models'.

    A models' namespace carries no part: it holds models and is never pruned from here.
    """
    kept = list(holdings)
    return [
        manifest("v1", "Namespace", api_namespace, part="api", labels=_RESTRICTED),
        *(
            manifest(
                "v1",
                "Namespace",
                holding.namespace,
                part="namespaces",
                labels={**_RESTRICTED, TIER_LABEL: holding.tier},
                annotations=holding.annotations,
            )
            for holding in kept
        ),
        *(
            manifest("v1", "Namespace", namespace, labels={MODELS_LABEL: "true"})
            for namespace in sorted(set(model_namespaces))
        ),
        *(_render_quota(holding) for holding in kept),
    ]


def render_access(
    tiers: Iterable[Tier],
    holdings: Iterable[Holding],
    model_namespaces: Iterable[str],
    api_namespace: str,
) -> list[Manifest]:
    """Render what each tier may call, and what the MaaS API may do there."""
    kept = list(holdings)
    manifests = []
    for tier in tiers:
        held = [holding.namespace for holding in kept if holding.tier == tier.name]
        manifests += _render_tier(tier, held)
    for holding in kept:
        manifests += _render_api(holding.namespace, api_namespace, _keeping(holding))
    for namespace in sorted(set(model_namespaces)):
        manifests += _render_api(
            namespace,
            api_namespace,
            [_rule(SERVING_GROUP, [SERVING_RESOURCE], ["get", "list", "watch"])],
        )
    return manifests


def _render_quota(holding: Holding) -> Manifest:
    # A pod in there would run with a user's account, and so with the tier's rights.
    return manifest(
        "v1",
        "ResourceQuota",
        TIER_QUOTA,
        holding.namespace,
        part="namespaces",
        labels={TIER_LABEL: holding.tier},
        spec={"hard": {"count/pods": "0"}},
    )


def _keeping(holding: Holding) -> list[_Rule]:
    """Return what the MaaS API may do with accounts; nobody gets a token of a former tier."""
    verbs = ["delete", "get", "list", "patch", "watch"]
    if holding.state != "present":
        return [_rule("", ["serviceaccounts"], verbs)]
    return [
        _rule("", ["serviceaccounts"], ["create", *verbs]),
        _rule("", ["serviceaccounts/token"], ["create"]),
    ]


def _render_tier(tier: Tier, held: Sequence[str]) -> list[Manifest]:
    names: dict[str, list[str]] = defaultdict(list)
    for ref in tier.models:
        names[ref.namespace].append(ref.name)
    members = [
        {"apiGroup": _RBAC, "kind": "Group", "name": f"system:serviceaccounts:{namespace}"}
        for namespace in sorted(held)
    ]
    manifests = []
    for namespace in sorted(names):
        rule = _rule(SERVING_GROUP, [SERVING_RESOURCE], [SERVING_VERB])
        rule["resourceNames"] = sorted(names[namespace])
        manifests += _bind(
            f"maas-tier-{tier.name}", namespace, [rule], members, {TIER_LABEL: tier.name}
        )
    return manifests


def _render_api(namespace: str, api_namespace: str, rules: list[_Rule]) -> list[Manifest]:
    api = {"kind": "ServiceAccount", "name": API_SERVICE, "namespace": api_namespace}
    return _bind(API_SERVICE, namespace, rules, [api], {})


def _bind(
    name: str,
    namespace: str,
    rules: list[_Rule],
    subjects: list[dict[str, str]],
    labels: dict[str, str],
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
            subjects=subjects,
        ),
    ]


def _rule(group: str, resources: list[str], verbs: list[str]) -> _Rule:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


def namespaces_of(refs: Iterable[ModelRef]) -> list[str]:
    """Return the namespaces that hold these models."""
    return sorted({ref.namespace for ref in refs})
