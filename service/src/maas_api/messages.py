# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Bodies of requests and answers; the OpenAPI document is written from them."""

from __future__ import annotations

from typing import Literal

import msgspec

from .models import Model
from .shared._tiers import UNLIMITED, Quota, Tier


class Health(msgspec.Struct):
    """The process is alive; the revision is the catalog's."""

    status: Literal["healthy"]
    revision: str | None


class Ready(msgspec.Struct):
    """Requests can be answered; the revision is the catalog's."""

    status: Literal["ready"]
    revision: str | None


class MintRequest(msgspec.Struct):
    """How long the token is to live: a Go duration ("4h"), seconds, or as long as is usual."""

    expiration: str | int | float | None = None


class RateBody(msgspec.Struct, rename="camel"):
    """So many in so long."""

    limit: int
    window_seconds: int


class Limits(msgspec.Struct):
    """How many requests and tokens, each in every window listed, or without limit."""

    requests: list[RateBody] | Literal["unlimited"]
    tokens: list[RateBody] | Literal["unlimited"]

    @classmethod
    def of(cls, tier: Tier) -> Limits:
        """Return a tier's limits."""
        return cls(_rates(tier.requests), _rates(tier.tokens))


class Lifetimes(msgspec.Struct, rename="camel"):
    """How long a token lives unless asked otherwise, and at most."""

    default_ttl_seconds: int
    max_ttl_seconds: int

    @classmethod
    def of(cls, tier: Tier) -> Lifetimes:
        """Return a tier's lifetimes."""
        return cls(tier.default_ttl_seconds, tier.max_ttl_seconds)


class TokenBody(msgspec.Struct, rename="camel"):
    """A new token, shown this once, and what it is good for. expiresAt is in Unix seconds."""

    token: str
    expiration: str
    expires_at: int
    user: str
    tier: str
    display_name: str
    limits: Limits
    models: list[Model]


class ModelList(msgspec.Struct):
    """The models the caller may call."""

    data: list[Model]
    object: Literal["list"] = "list"


class Me(msgspec.Struct, rename="camel"):
    """Who the caller is and what he may do; without a tier, nothing."""

    user: str
    kind: Literal["login", "tier-token"]
    tier: str | None
    display_name: str | None
    limits: Limits | None
    token: Lifetimes | None
    models: list[Model]


class TierBody(msgspec.Struct, rename="camel"):
    """A tier; models are names, some of which may not be deployed."""

    tier: str
    display_name: str
    description: str
    level: int
    limits: Limits
    token: Lifetimes
    models: list[str]

    @classmethod
    def of(cls, tier: Tier) -> TierBody:
        """Return a tier as it is told to users: without the groups that lead to it."""
        return cls(
            tier=tier.name,
            display_name=tier.display_name or tier.name,
            description=tier.description,
            level=tier.level,
            limits=Limits.of(tier),
            token=Lifetimes.of(tier),
            models=[ref.name for ref in tier.models],
        )


class TierList(msgspec.Struct):
    """All tiers, lowest first."""

    data: list[TierBody]
    object: Literal["list"] = "list"


def _rates(quota: Quota) -> list[RateBody] | Literal["unlimited"]:
    if quota == UNLIMITED:
        return UNLIMITED
    return [RateBody(rate.limit, rate.window_seconds) for rate in quota]
