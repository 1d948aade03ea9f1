# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What a tier is, and whose it is. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ._accounts import tier_namespace
from ._errors import MaasError, nearest, show
from ._models import ModelRef
from ._quotas import ModelLimits, Quota


@dataclass(frozen=True)
class Tier:
    """One tier, its globs resolved to the models they name."""

    name: str
    display_name: str
    description: str
    level: int
    groups: tuple[str, ...]
    models: tuple[ModelRef, ...]
    default_ttl_seconds: int
    max_ttl_seconds: int
    requests: Quota
    tokens: Quota
    #: A disabled tier keeps its accounts; they are refused, and nobody gets a token.
    enabled: bool = True
    #: For serving stacks that queue by priority; higher goes first.
    priority: int = 0
    #: Quotas of single models, which hold instead of the common ones.
    model_limits: tuple[ModelLimits, ...] = ()

    @property
    def namespace(self) -> str:
        """Return the namespace of the tier's accounts."""
        return tier_namespace(self.name)

    def quota(self, kind: str) -> Quota:
        """Return the common quota of this kind, requests or tokens."""
        return self.requests if kind == "requests" else self.tokens


def resolve_tier(tiers: Iterable[Tier], groups: Iterable[str]) -> Tier | None:
    """Return the tier of somebody in these groups: of those that fit, the highest level.

    A disabled tier counts: its members are refused rather than moved to a lower one.
    """
    member = set(groups)
    fitting = (tier for tier in tiers if member.intersection(tier.groups))
    return max(fitting, key=lambda tier: tier.level, default=None)


def find_tier(tiers: Iterable[Tier], name: str) -> Tier:
    """Return the tier of this name; MaasError says which there are."""
    known = {tier.name: tier for tier in tiers}
    if name in known:
        return known[name]
    hint = nearest(name, known)
    raise MaasError(
        f"there is no tier {show(name)}; the tiers are {', '.join(known) or '(none)'}"
        + (f" ({hint})" if hint else "")
    )
