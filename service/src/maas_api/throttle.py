# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""How often somebody may do something, by each replica."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from .errors import ApiError

#: Those whose allowance is whole again are forgotten when so many are remembered.
_MOST = 10_000


class Throttle:
    """So many in so long for each; the allowance comes back evenly, not all at once.

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
        #: When each one's allowance will be whole again.
        self._whole_at: dict[str, float] = {}

    def wait_seconds(self, who: str) -> int:
        """Return in how many seconds there is one left; 0 where there is one now."""
        if not self._limit:
            return 0
        now = self._now()
        wait = self._next_whole(who, now) - now - self._window
        # Sums of fractions: the last of so many is not refused for a rounding error.
        return math.ceil(wait) if wait > 1e-6 else 0

    def use(self, who: str) -> None:
        """Use one up, also where none is left: whoever asks first is counted afterwards."""
        if not self._limit:
            return
        now = self._now()
        if len(self._whole_at) >= _MOST:
            self._whole_at = {name: at for name, at in self._whole_at.items() if at > now}
        self._whole_at[who] = self._next_whole(who, now)

    def take(self, user: str) -> None:
        """Use one up; ApiError 429 says when the next will be there."""
        seconds = self.wait_seconds(user)
        if seconds:
            raise ApiError(
                429,
                f"Too many tokens asked for: at most {self._limit} in {self._window:g} seconds; "
                f"try again in {seconds} seconds, or use a token you have until it expires.",
                headers={"Retry-After": str(seconds)},
            )
        self.use(user)

    def _next_whole(self, who: str, now: float) -> float:
        """Return when the allowance would be whole again after one more."""
        return max(now, self._whole_at.get(who, now)) + self._window / self._limit
