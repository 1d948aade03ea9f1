# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""How many tokens that are no good anybody may bring, before the API server hears of more."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable

import structlog

from .errors import ApiError
from .throttle import Throttle

log = structlog.get_logger()

_WINDOW_SECONDS = 60.0
#: So many addresses' worth is what all of them together have: addresses are cheap.
_ADDRESSES = 10
_EVERYBODY = "*"
#: Of IPv6 a single customer has this much.
_CUSTOMER_BITS = 64


class Guessing:
    """Counts refused tokens, by address and all together.

    Args:
        limit: So many a minute from one address, by each replica; 0 for no limit.
        now: The clock, which tests set.
    """

    def __init__(self, limit: int, now: Callable[[], float] = time.monotonic) -> None:
        self._by_address = Throttle(limit, _WINDOW_SECONDS, now)
        self._all = Throttle(limit * _ADDRESSES, _WINDOW_SECONDS, now)
        self._now = now
        self._said_at = float("-inf")

    def check(self, client: str | None) -> None:
        """Refuse, with ApiError 429, to ask about one more token of this address."""
        own = self._by_address.wait_seconds(_address(client))
        seconds = max(own, self._all.wait_seconds(_EVERYBODY))
        if not seconds:
            return
        # A flood of requests is no reason for one of log lines.
        if self._now() - self._said_at >= _WINDOW_SECONDS:
            self._said_at = self._now()
            log.warning("too many tokens that are no good", client=client, everybody=not own)
        raise ApiError(
            429,
            "Too many tokens that are not valid came from your network; "
            f"try again in {seconds} seconds, with one that is.",
            {"Retry-After": str(seconds)},
        )

    def count(self, client: str | None) -> None:
        """Note that a token of this address was no good."""
        self._by_address.use(_address(client))
        self._all.use(_EVERYBODY)


def _address(client: str | None) -> str:
    try:
        address = ipaddress.ip_address(client or "")
    except ValueError:
        return client or ""
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, _CUSTOMER_BITS), strict=False))
