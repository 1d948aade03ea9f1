# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Every single limit that one user meets in a tier, and what it is called. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .shared._effective import effective_tier
from .shared._limit_names import common_limit, model_limit, user_limit
from .shared._models import ModelRef
from .shared._overrides import Override
from .shared._tiers import UNLIMITED, Quota, Rate, Tier

Kind = Literal["requests", "tokens"]
KINDS: tuple[Kind, Kind] = ("requests", "tokens")


@dataclass(frozen=True)
class SingleLimit:
    """One limit: so many of a kind in so long."""

    kind: Kind
    #: The model it is for; None for all that have none of their own.
    model: ModelRef | None
    #: What the policies, and so Limitador, call it.
    name: str
    rate: Rate


def limits_of(tier: Tier, override: Override | None) -> Iterator[SingleLimit]:
    """Yield every limit of somebody in this tier, for whom an administrator may have set others."""
    effective = effective_tier(tier, override)
    for kind in KINDS:
        quotas: list[tuple[ModelRef | None, Quota | None]] = [(None, effective.quota(kind))]
        quotas += [(own.model, own.of(kind)) for own in effective.model_limits]
        for model, quota in quotas:
            if quota is not None and quota != UNLIMITED:
                name = _name(tier, override, kind, model)
                for rate in quota:
                    yield SingleLimit(kind, model, name, rate)


def _name(tier: Tier, override: Override | None, kind: Kind, model: ModelRef | None) -> str:
    if override is not None and _is_own(override, kind, model):
        return user_limit(override.account, model)
    return common_limit(tier.name) if model is None else model_limit(tier.name, model)


def _is_own(override: Override, kind: Kind, model: ModelRef | None) -> bool:
    """Whether this limit was set for the user himself."""
    if model is None:
        return override.quota(kind) is not None
    return any(own.model == model and own.of(kind) is not None for own in override.model_limits)
