# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""One entry of the catalog: tiers and overrides as plain data. Pure.

Writer and reader stand together, so that what one writes the other reads. The first five keys of
a tier are the ones that existing clients of the ConfigMap know; the others are this platform's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._accounts import account_name
from ._errors import MaasError, show
from ._models import ModelRef
from ._overrides import Override
from ._quotas import UNLIMITED, ModelLimits, Quota, Rate
from ._tier import Tier

_KINDS = ("requests", "tokens")


def write_tier(tier: Tier) -> dict[str, Any]:
    """Return a tier as plain data."""
    return {
        "name": tier.name,
        "displayName": tier.display_name,
        "description": tier.description,
        "level": tier.level,
        "groups": list(tier.groups),
        "namespace": tier.namespace,
        "enabled": tier.enabled,
        "priority": tier.priority,
        "models": [_write_ref(ref) for ref in tier.models],
        "token": {
            "defaultTtlSeconds": tier.default_ttl_seconds,
            "maxTtlSeconds": tier.max_ttl_seconds,
        },
        "limits": _write_limits(tier.requests, tier.tokens, tier.model_limits),
    }


def read_tier(raw: Mapping[str, Any]) -> Tier:
    """Return the tier; catalogs written before there were all of these keys are read, too."""
    limits = raw["limits"]
    tier = Tier(
        name=typed(raw["name"], str),
        display_name=typed(raw["displayName"], str),
        description=typed(raw["description"], str),
        level=typed(raw["level"], int),
        groups=tuple(typed(group, str) for group in typed(raw["groups"], list)),
        models=tuple(_read_ref(ref) for ref in typed(raw["models"], list)),
        default_ttl_seconds=typed(raw["token"]["defaultTtlSeconds"], int),
        max_ttl_seconds=typed(raw["token"]["maxTtlSeconds"], int),
        requests=_read_quota(limits["requests"]),
        tokens=_read_quota(limits["tokens"]),
        enabled=_boolean(raw.get("enabled", True)),
        priority=typed(raw.get("priority", 0), int),
        model_limits=_read_models(limits.get("models", [])),
    )
    if raw.get("namespace") != tier.namespace:
        raise MaasError(
            f"tier {show(tier.name)} in the catalog names namespace {show(raw.get('namespace'))} "
            f"instead of {tier.namespace}; run the role tiers again"
        )
    return tier


def write_override(override: Override) -> dict[str, Any]:
    """Return an override as plain data."""
    limits = _write_limits(override.requests, override.tokens, override.model_limits)
    return {
        "user": override.user,
        "account": override.account,
        "suspended": override.suspended,
        "reason": override.reason,
        "limits": limits if override.limits_anything else None,
    }


def read_override(raw: Mapping[str, Any]) -> Override:
    """Return the override."""
    limits = raw["limits"] or {}
    override = Override(
        user=typed(raw["user"], str),
        account=typed(raw["account"], str),
        suspended=_boolean(raw["suspended"]),
        reason=typed(raw["reason"], str),
        model_limits=_read_models(limits.get("models", [])),
        **_read_kinds(limits),
    )
    if override.account != account_name(override.user):
        raise ValueError(f"{show(override.account)} is not the account of {show(override.user)}")
    return override


def _write_ref(ref: ModelRef) -> dict[str, str]:
    return {"namespace": ref.namespace, "name": ref.name}


def _read_ref(raw: Mapping[str, Any]) -> ModelRef:
    return ModelRef(typed(raw["namespace"], str), typed(raw["name"], str))


def _write_limits(
    requests: Quota | None, tokens: Quota | None, models: Iterable[ModelLimits]
) -> dict[str, Any]:
    return {
        **_write_kinds(requests, tokens),
        "models": [
            {**_write_ref(limits.model), **_write_kinds(limits.requests, limits.tokens)}
            for limits in models
        ],
    }


def _write_kinds(requests: Quota | None, tokens: Quota | None) -> dict[str, Any]:
    quotas = {"requests": requests, "tokens": tokens}
    return {kind: _write_quota(quota) for kind, quota in quotas.items() if quota is not None}


def _write_quota(quota: Quota) -> str | list[dict[str, int]]:
    if quota == UNLIMITED:
        return UNLIMITED
    return [{"limit": rate.limit, "windowSeconds": rate.window_seconds} for rate in quota]


def _read_models(raw: Any) -> tuple[ModelLimits, ...]:
    return tuple(
        ModelLimits(model=_read_ref(entry), **_read_kinds(entry)) for entry in typed(raw, list)
    )


def _read_kinds(raw: Mapping[str, Any]) -> dict[str, Quota]:
    return {kind: _read_quota(raw[kind]) for kind in _KINDS if kind in raw}


def _read_quota(raw: Any) -> Quota:
    if raw == UNLIMITED:
        return UNLIMITED
    rates = tuple(
        Rate(typed(entry["limit"], int), typed(entry["windowSeconds"], int))
        for entry in typed(raw, list)
    )
    if not rates:
        raise ValueError("limits are empty")
    return rates


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{show(value)} is neither true nor false")
    return value


def typed(value: Any, kind: type[Any]) -> Any:
    """Return the value where it is of this kind; true is no number here."""
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{show(value)} is no {kind.__name__}")
    return value
