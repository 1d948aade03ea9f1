# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The catalog of tiers: the list in the ConfigMap that the MaaS API reads. Pure.

Writer and reader stand together, so that what one writes the other reads. The first five keys
are the ones that existing clients of the ConfigMap know; the others are this platform's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._errors import MaasError, show
from ._models import ModelRef
from ._tiers import UNLIMITED, Quota, Rate, Tier


def catalog_entries(tiers: Iterable[Tier]) -> list[dict[str, Any]]:
    """Return the tiers as plain data, lowest level first."""
    return [_write(tier) for tier in sorted(tiers, key=lambda tier: tier.level)]


def parse_catalog(raw: Any) -> list[Tier]:
    """Return the tiers of a catalog; MaasError where it is not one that was written here."""
    if not isinstance(raw, list):
        raise MaasError(f"the tier catalog is no list but {show(raw)}; run the role tiers again")
    return [_read(index, entry) for index, entry in enumerate(raw)]


def _write(tier: Tier) -> dict[str, Any]:
    return {
        "name": tier.name,
        "displayName": tier.display_name,
        "description": tier.description,
        "level": tier.level,
        "groups": list(tier.groups),
        "namespace": tier.namespace,
        "models": [{"namespace": ref.namespace, "name": ref.name} for ref in tier.models],
        "token": {
            "defaultTtlSeconds": tier.default_ttl_seconds,
            "maxTtlSeconds": tier.max_ttl_seconds,
        },
        "limits": {"requests": _write_quota(tier.requests), "tokens": _write_quota(tier.tokens)},
    }


def _write_quota(quota: Quota) -> str | list[dict[str, int]]:
    if quota == UNLIMITED:
        return UNLIMITED
    return [{"limit": rate.limit, "windowSeconds": rate.window_seconds} for rate in quota]


def _read(index: int, raw: Any) -> Tier:
    try:
        tier = Tier(
            name=_typed(raw["name"], str),
            display_name=_typed(raw["displayName"], str),
            description=_typed(raw["description"], str),
            level=_typed(raw["level"], int),
            groups=tuple(_typed(group, str) for group in _typed(raw["groups"], list)),
            models=tuple(
                ModelRef(_typed(ref["namespace"], str), _typed(ref["name"], str))
                for ref in _typed(raw["models"], list)
            ),
            default_ttl_seconds=_typed(raw["token"]["defaultTtlSeconds"], int),
            max_ttl_seconds=_typed(raw["token"]["maxTtlSeconds"], int),
            requests=_read_quota(raw["limits"]["requests"]),
            tokens=_read_quota(raw["limits"]["tokens"]),
        )
    except (KeyError, TypeError, ValueError) as exc:
        name = raw.get("name") if isinstance(raw, Mapping) else None
        raise MaasError(
            f"entry {index} of the tier catalog ({show(name)}) cannot be read: "
            f"{type(exc).__name__} {exc}; run the role tiers again"
        ) from exc
    if raw.get("namespace") != tier.namespace:
        raise MaasError(
            f"tier {show(tier.name)} in the catalog names namespace {show(raw.get('namespace'))} "
            f"instead of {tier.namespace}; run the role tiers again"
        )
    return tier


def _read_quota(raw: Any) -> Quota:
    if raw == UNLIMITED:
        return UNLIMITED
    rates = tuple(
        Rate(_typed(entry["limit"], int), _typed(entry["windowSeconds"], int))
        for entry in _typed(raw, list)
    )
    if not rates:
        raise ValueError("limits are empty")
    return rates


def _typed(value: Any, kind: type[Any]) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{show(value)} is no {kind.__name__}")
    return value
