# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Bodies of requests and answers; the OpenAPI document is written from them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from .expiration import GO_DURATION
from .limits import KINDS, Kind
from .models import Model
from .shared._quotas import ModelLimits as ModelQuotas
from .shared._tiers import UNLIMITED, Quota, Tier

#: The pattern is for readers of the OpenAPI document; what does not fit is told why, in words.
_Duration = Annotated[
    str,
    msgspec.Meta(
        extra_json_schema={"pattern": GO_DURATION, "examples": ["4h", "1h30m", "5400s"]},
    ),
]


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

    expiration: _Duration | int | float | None = None


class RevocationRequest(msgspec.Struct):
    """Whose tokens are to end: the name, as the list of users has it."""

    user: Annotated[str, msgspec.Meta(min_length=1)]


class RateBody(msgspec.Struct, rename="camel"):
    """So many in so long."""

    limit: int
    window_seconds: int


QuotaBody = list[RateBody] | Literal["unlimited"]


class ModelLimits(msgspec.Struct, omit_defaults=True):
    """What holds for calls of one model instead of the common limits of that kind."""

    requests: QuotaBody | None = None
    tokens: QuotaBody | None = None


class Limits(msgspec.Struct, omit_defaults=True):
    """How many requests and tokens, each in every window listed, or without limit.

    Models that are named have limits of their own; their calls count for nothing else.
    """

    requests: QuotaBody
    tokens: QuotaBody
    models: dict[str, ModelLimits] = msgspec.field(default_factory=dict)

    @classmethod
    def of(cls, tier: Tier) -> Limits:
        """Return a tier's limits."""
        return cls(
            _rates(tier.requests),
            _rates(tier.tokens),
            {own.model.name: ModelLimits(**_own(own)) for own in tier.model_limits},
        )


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
    """Who the caller is and what he may do; without a tier, nothing.

    A refusal says why he may not make calls or tokens now, though he has a tier.
    """

    user: str
    kind: Literal["login", "tier-token"]
    tier: str | None
    display_name: str | None
    limits: Limits | None
    token: Lifetimes | None
    models: list[Model]
    admin: bool
    refusal: str | None


class TierBody(msgspec.Struct, rename="camel"):
    """A tier; models are names, some of which may not be deployed."""

    tier: str
    display_name: str
    description: str
    level: int
    limits: Limits
    token: Lifetimes
    models: list[str]
    enabled: bool
    priority: int

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
            enabled=tier.enabled,
            priority=tier.priority,
        )


class TierList(msgspec.Struct):
    """All tiers, lowest first."""

    data: list[TierBody]
    object: Literal["list"] = "list"


class UsageOfLimit(msgspec.Struct, rename="camel"):
    """How much of one limit is used; a window begins with its first call and resets as a whole."""

    kind: Kind
    #: The model it is for; null for all that have no limit of their own.
    model: str | None
    limit: int
    window_seconds: int
    used: int
    remaining: int
    #: When the window ends; null while none runs.
    resets_in_seconds: int | None


class UsageBody(msgspec.Struct, rename="camel"):
    """What a user has used of each limit, at one moment in Unix seconds."""

    user: str
    tier: str | None
    limits: list[UsageOfLimit]
    as_of: int


class UsageList(msgspec.Struct):
    """The usage of everybody who called in a window that still runs."""

    data: list[UsageBody]
    object: Literal["list"] = "list"


class UsageSeries(msgspec.Struct):
    """One line of a plot: how many in each step, 0 where nothing is known."""

    name: str
    values: list[float]


class UsageHistory(msgspec.Struct, rename="camel"):
    """Usage over time, from a moment in Unix seconds on."""

    begin: int
    step_seconds: int
    series: list[UsageSeries]


class Holder(msgspec.Struct, rename="camel"):
    """An account that tokens were made for; times are Unix seconds."""

    user: str
    tier: str
    namespace: str
    account: str
    created: int
    last_token_at: int | None
    tokens_expire_at: int | None
    suspended: bool
    #: Whether its tier is on its way out, or renamed: no tokens are made there any more.
    former: bool


class HolderList(msgspec.Struct):
    """All accounts, by user."""

    data: list[Holder]
    object: Literal["list"] = "list"


class PolicyBody(msgspec.Struct, rename="camel"):
    """One of the gateway's policies; null where the cluster does not say."""

    kind: str
    name: str
    namespace: str
    exists: bool
    accepted: bool | None
    enforced: bool | None
    message: str
    revision: str | None


class AdminTier(msgspec.Struct, rename="camel"):
    """A tier as administrators see it."""

    tier: TierBody
    groups: list[str]
    users: int


class PlatformBody(msgspec.Struct, rename="camel"):
    """Whether the gateway enforces what the catalog says."""

    catalog_revision: str | None
    #: Why the two differ; empty where they do not.
    drift: list[str]
    policies: list[PolicyBody]
    tiers: list[AdminTier]


def _own(limits: ModelQuotas) -> dict[Kind, QuotaBody]:
    quotas = {kind: limits.of(kind) for kind in KINDS}
    return {kind: _rates(quota) for kind, quota in quotas.items() if quota is not None}


def _rates(quota: Quota) -> QuotaBody:
    if quota == UNLIMITED:
        return UNLIMITED
    return [RateBody(rate.limit, rate.window_seconds) for rate in quota]
