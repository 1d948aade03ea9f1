# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""How often a user may do something, by each replica."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from .errors import ApiError

#: Users whose allowance is whole again are forgotten when so many are remembered.
_MOST = 10_000


class Throttle:
    """So many in so long for each user; the allowance comes back evenly, not all at once.

    Args:
        limit: How many; 0 for no limit.
        window_seconds: In how long.
        now: The clock, which tests set.
    """

    def __init__(
        self, limit: int, window_seconds: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = limit
        self._window = window_seconds
        self._now = now
        #: When each user's allowance will be whole again.
        self._whole_at: dict[str, float] = {}

    def take(self, user: str) -> None:
        """Use one up; ApiError 429 says when the next will be there."""
        if not self._limit:
            return
        now = self._now()
        whole_at = max(now, self._whole_at.get(user, now)) + self._window / self._limit
        wait = whole_at - now - self._window
        # Sums of fractions: the last of so many is not refused for a rounding error.
        if wait > 1e-6:
            seconds = math.ceil(wait)
            raise ApiError(
                429,
                f"Too many tokens asked for: at most {self._limit} in {self._window:g} seconds; "
                f"try again in {seconds} seconds, or use a token you have until it expires.",
                headers={"Retry-After": str(seconds)},
            )
        if len(self._whole_at) >= _MOST:
            self._whole_at = {name: at for name, at in self._whole_at.items() if at > now}
        self._whole_at[user] = whole_at
