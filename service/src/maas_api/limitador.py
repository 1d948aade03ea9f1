# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The counters behind the limits, as Limitador tells them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

import httpx
import msgspec
import structlog

from .answer import read_answer
from .body import UNREADABLE
from .errors import ApiError
from .limits import Kind
from .shared._names import ROUTE_NAME

log = structlog.get_logger()

_TIMEOUT = httpx.Timeout(5, connect=2)
#: One answer holds everybody's counters, so it serves everybody who asks in this time; longer
#: where taking it apart took long, because tier lookups wait meanwhile.
_KEPT_SECONDS = 1.0
_SHARE = 20
#: After so many counters others have a turn.
_AT_A_TIME = 500
_LONGEST_ANSWER = 64 * 1024 * 1024
#: What Kuadrant calls the conditions it makes of the two policies' limits.
_CONDITIONS: tuple[tuple[str, Kind], ...] = (
    ('["limit.', "requests"),
    ('["tokenlimit.', "tokens"),
)
_USER = 'descriptors[0]["auth.identity.userid"]'


class _Limit(msgspec.Struct):
    max_value: int
    seconds: int
    name: str | None = None
    conditions: list[str] = msgspec.field(default_factory=list)


class _RawCounter(msgspec.Struct):
    limit: _Limit
    set_variables: dict[str, str] = msgspec.field(default_factory=dict)
    remaining: int | None = None
    expires_in_seconds: int | None = None


_DECODER = msgspec.json.Decoder(_RawCounter)


@dataclass(frozen=True)
class Counter:
    """How much of one limit one account has used in the window that runs now."""

    kind: Kind
    name: str
    limit: int
    window_seconds: int
    used: int
    resets_in_seconds: int | None


@dataclass(frozen=True)
class Counters:
    """All counters at one moment, by the account's user name."""

    as_of: float
    by_user: dict[str, list[Counter]] = field(default_factory=dict)

    def of(self, user: str) -> list[Counter]:
        """Return an account's counters; it has none before its first request."""
        return self.by_user.get(user, [])


class Limitador:
    """Reads the counters; several who ask at once share one question."""

    def __init__(
        self, url: str, gateway_namespace: str, client: httpx.AsyncClient | None = None
    ) -> None:
        self._client = client or httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False)
        # Kuadrant counts by route: namespace, slash, name, in one segment of the path.
        self._url = f"{url}/counters/{quote(f'{gateway_namespace}/{ROUTE_NAME}', safe='')}"
        self._last: Counters | None = None
        self._read_at = float("-inf")
        self._kept_seconds = _KEPT_SECONDS
        self._lock = asyncio.Lock()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def counters(self) -> Counters:
        """Return everybody's counters; ApiError 503 where Limitador does not answer."""
        asked_at = time.monotonic()
        async with self._lock:
            # Whoever waited here while another asked takes his answer.
            if self._last is None or self._read_at < asked_at - self._kept_seconds:
                self._last = await self._read()
                self._read_at = time.monotonic()
            return self._last

    async def _read(self) -> Counters:
        try:
            content = await read_answer(self._client, self._url, _LONGEST_ANSWER)
            begun = time.perf_counter()
            by_user = await _by_user(content)
        except (httpx.HTTPError, OSError, *UNREADABLE) as exc:
            log.warning("Limitador did not answer", url=self._url, reason=str(exc) or repr(exc))
            raise ApiError(503, "Usage cannot be read now: Limitador does not answer.") from exc
        self._kept_seconds = max(_KEPT_SECONDS, _SHARE * (time.perf_counter() - begun))
        return Counters(time.time(), by_user)


async def _by_user(content: bytes) -> dict[str, list[Counter]]:
    """Take an answer apart, a piece at a time."""
    pieces = msgspec.json.decode(content, type=list[msgspec.Raw])
    found: dict[str, list[Counter]] = {}
    for first in range(0, len(pieces), _AT_A_TIME):
        raw = (_DECODER.decode(piece) for piece in pieces[first : first + _AT_A_TIME])
        for user, counter in _known(raw):
            found.setdefault(user, []).append(counter)
        await asyncio.sleep(0)
    return found


def _known(raw: Iterable[_RawCounter]) -> Iterator[tuple[str, Counter]]:
    """Yield the counters of users' limits; there may be others, of other purposes."""
    for counter in raw:
        limit = counter.limit
        kind = _kind(limit.conditions)
        user = counter.set_variables.get(_USER)
        if kind and user and limit.name:
            remaining = limit.max_value if counter.remaining is None else counter.remaining
            yield (
                user,
                Counter(
                    kind=kind,
                    name=limit.name,
                    limit=limit.max_value,
                    window_seconds=limit.seconds,
                    # Tokens are counted when they are known: the last call may go over.
                    used=max(0, limit.max_value - remaining),
                    resets_in_seconds=counter.expires_in_seconds,
                ),
            )


def _kind(conditions: list[str]) -> Kind | None:
    for text, kind in _CONDITIONS:
        if any(text in condition for condition in conditions):
            return kind
    return None
