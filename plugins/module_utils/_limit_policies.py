# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Rendering the limits of the tiers: RateLimitPolicy and TokenRateLimitPolicy. Pure.

Both target the one route in front of all models: a quota is a user's, over all models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._durations import write_seconds
from ._manifests import Manifest, manifest
from ._names import REQUEST_POLICY, REVISION_ANNOTATION, ROUTE_NAME, TOKEN_POLICY
from ._tiers import UNLIMITED, Quota, Tier

_REQUESTS = ("kuadrant.io/v1", "RateLimitPolicy", REQUEST_POLICY)
_TOKENS = ("kuadrant.io/v1alpha1", "TokenRateLimitPolicy", TOKEN_POLICY)


def render_limit_policies(
    tiers: Sequence[Tier], gateway_namespace: str, revision: str
) -> list[Manifest]:
    """Render both policies; one without any limit is left out, Kuadrant refuses it."""
    quotas = (
        (_REQUESTS, {tier.name: tier.requests for tier in tiers}),
        (_TOKENS, {tier.name: tier.tokens for tier in tiers}),
    )
    manifests = []
    for (api_version, kind, name), by_tier in quotas:
        limits = {
            tier: _limit(tier, quota) for tier, quota in by_tier.items() if quota != UNLIMITED
        }
        if limits:
            manifests.append(
                manifest(
                    api_version,
                    kind,
                    name,
                    gateway_namespace,
                    part="policies",
                    annotations={REVISION_ANNOTATION: revision},
                    spec={
                        "targetRef": {
                            "group": "gateway.networking.k8s.io",
                            "kind": "HTTPRoute",
                            "name": ROUTE_NAME,
                        },
                        "limits": limits,
                    },
                )
            )
    return manifests


def _limit(tier: str, quota: Quota) -> dict[str, Any]:
    if quota == UNLIMITED:
        raise ValueError(f"tier {tier} has no limit to render")
    return {
        "rates": [
            {"limit": rate.limit, "window": write_seconds(rate.window_seconds)} for rate in quota
        ],
        "when": [{"predicate": f'auth.identity.tier == "{tier}"'}],
        "counters": [{"expression": "auth.identity.userid"}],
    }
