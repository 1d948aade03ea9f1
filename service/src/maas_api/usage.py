# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Usage against the limits: which counter belongs to which limit of which user."""

from __future__ import annotations

from .limitador import Counter, Counters
from .limits import SingleLimit, limits_of
from .messages import UsageBody, UsageOfLimit
from .shared._overrides import Override
from .shared._tiers import Tier


def usage_of(
    user: str, account: str, tier: Tier, override: Override | None, counters: Counters
) -> UsageBody:
    """Return what a user has used of each limit of his.

    Args:
        user: Whose.
        account: The full user name of the account that his calls count for.
        tier: Whose rights it has.
        override: What an administrator set for the user.
        counters: Everybody's.
    """
    own = counters.of(account)
    limits = [_of_limit(limit, own) for limit in limits_of(tier, override)]
    return UsageBody(user, tier.name, limits, int(counters.as_of))


def _of_limit(limit: SingleLimit, own: list[Counter]) -> UsageOfLimit:
    wanted = (limit.kind, limit.name, limit.rate.window_seconds)
    found = next((one for one in own if (one.kind, one.name, one.window_seconds) == wanted), None)
    used = found.used if found else 0
    return UsageOfLimit(
        kind=limit.kind,
        model=limit.model.name if limit.model else None,
        limit=limit.rate.limit,
        window_seconds=limit.rate.window_seconds,
        used=used,
        remaining=max(0, limit.rate.limit - used),
        resets_in_seconds=found.resets_in_seconds if found else None,
    )
