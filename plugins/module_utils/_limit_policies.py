# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Rendering the limits of the tiers: RateLimitPolicy and TokenRateLimitPolicy. Pure.

Both target the one route in front of all models: a quota is a user's, over all models. The
conditions are evaluated in the gateway's filter, so that Limitador sees plain counters only.

One request meets one limit of each kind. That is not only easier to explain: the published
filter holds a request back for the first of several token limits alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ._durations import write_seconds
from ._limit_names import common_limit, model_limit, user_limit
from ._manifests import Manifest, manifest
from ._models import ModelRef
from ._names import REQUEST_POLICY, REVISION_ANNOTATION, ROUTE_NAME, TOKEN_POLICY
from ._overrides import Override
from ._quotas import UNLIMITED, Quota, Rate
from ._tier import Tier

_POLICIES = (
    ("requests", "kuadrant.io/v1", "RateLimitPolicy", REQUEST_POLICY),
    ("tokens", "kuadrant.io/v1alpha1", "TokenRateLimitPolicy", TOKEN_POLICY),
)
_ACCOUNT = "auth.identity.account"
_TIER = "auth.identity.tier"


def render_limit_policies(
    tiers: Sequence[Tier],
    gateway_namespace: str,
    revision: str,
    overrides: Sequence[Override] = (),
) -> list[Manifest]:
    """Render both policies; one without any limit is left out, Kuadrant refuses it."""
    manifests = []
    for kind, api_version, policy, name in _POLICIES:
        limits = render_limits(kind, tiers, overrides)
        if limits:
            manifests.append(
                manifest(
                    api_version,
                    policy,
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


def render_limits(
    kind: str, tiers: Iterable[Tier], overrides: Iterable[Override] = ()
) -> dict[str, Any]:
    """Return all limits of one kind, requests or tokens, by name."""
    special = [_Special.of(override, kind) for override in overrides]
    limits = {}
    for tier in tiers:
        limits.update(_tier_limits(kind, tier, special))
    for user in special:
        limits.update(_user_limits(user))
    return limits


@dataclass(frozen=True)
class _Special:
    """What one override says about one kind of quota."""

    account: str
    common: Quota | None
    models: dict[ModelRef, Quota]

    @classmethod
    def of(cls, override: Override, kind: str) -> _Special:
        quotas = {limits.model: limits.of(kind) for limits in override.model_limits}
        return cls(
            account=override.account,
            common=override.quota(kind),
            models={model: quota for model, quota in quotas.items() if quota is not None},
        )


def _tier_limits(kind: str, tier: Tier, special: Sequence[_Special]) -> dict[str, Any]:
    of_tier = f'{_TIER} == "{tier.name}"'
    own = {limits.model: limits.of(kind) for limits in tier.model_limits}
    models = {model: quota for model, quota in own.items() if quota is not None}
    limits = {}
    common = tier.quota(kind)
    if common != UNLIMITED:
        when = [of_tier, *_elsewhere(models), *_others(special, models)]
        limits[common_limit(tier.name)] = _limit(common, when)
    for model, quota in models.items():
        if quota != UNLIMITED:
            when = [of_tier, _path(model), *_others_at(special, model)]
            limits[model_limit(tier.name, model)] = _limit(quota, when)
    return limits


def _user_limits(user: _Special) -> dict[str, Any]:
    own = f'{_ACCOUNT} == "{user.account}"'
    limits = {}
    if user.common is not None and user.common != UNLIMITED:
        limits[user_limit(user.account)] = _limit(user.common, [own, *_elsewhere(user.models)])
    for model, quota in user.models.items():
        if quota != UNLIMITED:
            limits[user_limit(user.account, model)] = _limit(quota, [own, _path(model)])
    return limits


def _path(model: ModelRef) -> str:
    return f'request.url_path.startsWith("/{model.namespace}/{model.name}/")'


def _elsewhere(models: Iterable[ModelRef]) -> list[str]:
    """Return what holds for calls of all models but these."""
    return [f"!{_path(model)}" for model in models]


def _others(special: Sequence[_Special], elsewhere: Iterable[ModelRef]) -> list[str]:
    """Return what holds for calls that no override takes out of a tier's common quota."""
    excluded = set(elsewhere)
    when = _nobody_of(user.account for user in special if user.common is not None)
    for user in special:
        # Where the tier has a quota of its own for a model, the common one is out already.
        paths = [_path(model) for model in user.models if model not in excluded]
        if user.common is None and paths:
            when.append(f'!({_ACCOUNT} == "{user.account}" && ({" || ".join(paths)}))')
    return when


def _others_at(special: Sequence[_Special], model: ModelRef) -> list[str]:
    """Return what holds for callers whom no override takes out of a tier's quota of a model."""
    return _nobody_of(
        user.account for user in special if user.common is not None or model in user.models
    )


def _nobody_of(accounts: Iterable[str]) -> list[str]:
    listed = ", ".join(f'"{account}"' for account in accounts)
    return [f"!({_ACCOUNT} in [{listed}])"] if listed else []


def _limit(quota: Sequence[Rate] | str, when: Iterable[str]) -> dict[str, Any]:
    if isinstance(quota, str):
        raise TypeError("no limit is no limit to render")
    return {
        "rates": [
            {"limit": rate.limit, "window": write_seconds(rate.window_seconds)} for rate in quota
        ],
        "when": [{"predicate": predicate} for predicate in when],
        "counters": [{"expression": "auth.identity.userid"}],
    }
