# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The two kinds of policies that are compared, each for one route of a benchmark.

Upstream's kind does what such platforms usually do: expressions wherever one may stand, the tier
read at the gateway, a request and a token limit for each tier, labels for metrics. It was written
for this comparison, after how those policies work.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.maas.platform.plugins.module_utils._names import (
    API_NAMESPACE,
    API_PORT,
    API_SERVICE,
    REVISION_HEADER,
    SERVING_GROUP,
    SERVING_RESOURCE,
    SERVING_VERB,
    TOKEN_AUDIENCE,
)
from ansible_collections.maas.platform.plugins.module_utils._policies import Platform, render
from ansible_collections.maas.platform.plugins.module_utils._tiers import Rate, Tier

from benchmarks.front_doors import NAMESPACE, target
from benchmarks.lab import LABELS

#: So much that no measurement meets it, and still a limit that is counted.
_PLENTY = (Rate(1_000_000_000, 3600),)

Policy = dict[str, Any]


def our_policies(tiers: Sequence[Tier], route: str) -> list[Policy]:
    """Return the collection's policies for these tiers, put onto a route."""
    plenty = [replace(tier, requests=_PLENTY, tokens=_PLENTY, model_limits=()) for tier in tiers]
    return retarget(render(plenty, (), Platform(NAMESPACE, API_NAMESPACE)).policies, route)


def retarget(policies: Sequence[Policy], route: str) -> list[Policy]:
    """Return policies of the platform as a benchmark's, for a route of its own."""
    moved = []
    for policy in copy.deepcopy(list(policies)):
        name = f"{route}-{policy['metadata']['name']}"
        policy["metadata"] = {"name": name, "namespace": NAMESPACE, "labels": dict(LABELS)}
        policy["spec"]["targetRef"] = dict(target("HTTPRoute", route))
        response = policy["spec"].get("rules", {}).get("response", {})
        for refusal in ("unauthenticated", "unauthorized"):
            # The platform's own runs wait until every AuthConfig with this header is current.
            response.get(refusal, {}).get("headers", {}).pop(REVISION_HEADER, None)
        moved.append(policy)
    return moved


def upstream_policies(tiers: Sequence[Tier], route: str, cached: bool) -> list[Policy]:
    """Return policies of the usual kind; cached: with caches that work.

    Authorino stores nothing larger than a thousandth of its cache: at the default size, reviews
    are asked for again at every request, whatever the policy says.
    """
    return [
        _policy("kuadrant.io/v1", "AuthPolicy", route, {"rules": _rules(cached)}),
        _policy("kuadrant.io/v1", "RateLimitPolicy", route, {"limits": _limits(tiers, "requests")}),
        _policy(
            "kuadrant.io/v1alpha1",
            "TokenRateLimitPolicy",
            route,
            {"limits": _limits(tiers, "tokens")},
        ),
    ]


def telemetry_policy(gateway: str) -> Policy:
    """Return metrics' labels from who calls, of which tier, what."""
    labels = {
        "user": "auth.identity.userid",
        "tier": "auth.identity.tier",
        "model": 'responseBodyJSON("/model")',
    }
    return {
        "apiVersion": "extensions.kuadrant.io/v1alpha1",
        "kind": "TelemetryPolicy",
        "metadata": {"name": gateway, "namespace": NAMESPACE, "labels": dict(LABELS)},
        "spec": {
            "metrics": {"default": {"labels": labels}},
            "targetRef": dict(target("Gateway", gateway)),
        },
    }


def _policy(version: str, kind: str, route: str, spec: dict[str, Any]) -> Policy:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": route, "namespace": NAMESPACE, "labels": dict(LABELS)},
        "spec": {"targetRef": dict(target("HTTPRoute", route)), **spec},
    }


def _rules(cached: bool) -> dict[str, Any]:
    def cache(expression: str, seconds: int) -> dict[str, Any]:
        return {"cache": {"key": {"expression": expression}, "ttl": seconds}} if cached else {}

    user = "auth.identity.user.username"
    part = 'request.path.split("/")[{}]'
    groups, uid = "auth.identity.user.groups", "auth.identity.user.uid"
    lookup = {
        "url": f"http://{API_SERVICE}.{API_NAMESPACE}.svc.cluster.local:{API_PORT}/v1/tiers/lookup",
        "method": "POST",
        "contentType": "application/json",
        "body": {
            "expression": f'{{"groups": {groups}, "username": {user}, "uid": {uid}}}',
        },
    }
    access = {
        "user": {"expression": user},
        "authorizationGroups": {"expression": groups},
        "resourceAttributes": {
            "verb": {"value": SERVING_VERB},
            "group": {"value": SERVING_GROUP},
            "resource": {"value": SERVING_RESOURCE},
            "namespace": {"expression": part.format(1)},
            "name": {"expression": part.format(2)},
        },
    }
    where = f'{user} + ":" + {part.format(1)} + "/" + {part.format(2)}'
    properties = {
        "userid": {"expression": f'{user}.split(":")[3]'},
        "tier": {"expression": "auth.metadata.tier.tier"},
    }
    return {
        "authentication": {
            "accounts": {
                "kubernetesTokenReview": {"audiences": [TOKEN_AUDIENCE]},
                **cache("request.headers.authorization", 300),
            }
        },
        # Its answer is small enough to be cached at any size.
        "metadata": {
            "tier": {"http": lookup, "cache": {"key": {"expression": user}, "ttl": 300}},
        },
        "authorization": {"access": {"kubernetesSubjectAccessReview": access, **cache(where, 60)}},
        "response": {"success": {"filters": {"identity": {"json": {"properties": properties}}}}},
    }


def _limits(tiers: Sequence[Tier], kind: str) -> dict[str, Any]:
    [rate] = _PLENTY
    listing = '!request.path.endsWith("/v1/models")'
    return {
        f"{tier.name}-{kind}": {
            "rates": [{"limit": rate.limit, "window": "1h"}],
            "when": [{"predicate": f'auth.identity.tier == "{tier.name}" && {listing}'}],
            "counters": [{"expression": "auth.identity.userid"}],
        }
        for tier in tiers
    }
