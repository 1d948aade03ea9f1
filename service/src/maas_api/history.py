# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Usage over time, as Prometheus keeps it: what the gateway counted, by tier, user or model."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

import httpx
import msgspec
import structlog

from .answer import read_answer
from .body import UNREADABLE
from .errors import ApiError
from .messages import UsageHistory, UsageSeries

log = structlog.get_logger()

_TIMEOUT = httpx.Timeout(15, connect=2)
#: What may be asked: nothing a caller writes gets into a query. Role observability's rules record
#: what was used since they last ran, so that sums are exact where increase() would guess.
METRICS = {"requests": "maas:requests:used", "tokens": "maas:tokens:used"}
LABELS = ("tier", "user", "model")
#: For so many hours, one value each so many seconds.
STEPS = {1: 60, 24: 900, 168: 7200, 720: 28800}
_SHOWN = 8
_LONGEST_ANSWER = 1024 * 1024
_OTHERS = "others"


class _Series(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]]


class _Data(msgspec.Struct):
    result: list[_Series]


class _Answer(msgspec.Struct):
    data: _Data


class History:
    """Reads series from Prometheus.

    Args:
        url: Where Prometheus is; None where there is none.
        user_of: Gives the user an account's name stands for.
        client: The connection; one of its own unless given.
    """

    def __init__(
        self,
        url: str | None,
        user_of: Callable[[str], str],
        client: httpx.AsyncClient | None = None,
    ) -> None:
        self._url = url
        self._user_of = user_of
        self._client = client or httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def read(self, by: str, measure: str, hours: int) -> UsageHistory | None:
        """Return usage over time, the largest series first; None where nothing keeps it."""
        if by not in LABELS or measure not in METRICS or hours not in STEPS:
            raise ApiError(
                400,
                f"Usage over time is by {', '.join(LABELS)}, of {', '.join(METRICS)}, "
                f"for {', '.join(map(str, STEPS))} hours.",
            )
        if self._url is None:
            return None
        step = STEPS[hours]
        # Ends at whole steps, so that the same moments are asked for again.
        end = int(time.time()) // step * step + step
        begin = end - hours * 3600
        # A thousandth less: a range has both its ends in it, and steps meet there.
        used = f"sum_over_time({METRICS[measure]}[{step * 1000 - 1}ms])"
        in_all = f"sum_over_time({METRICS[measure]}[{hours * 3_600_000 - 1}ms] @ end())"
        # Prometheus chooses the largest: of 10,000 users the answer has no more than these.
        largest = f"topk({_SHOWN}, sum by ({by}) ({in_all}))"
        shown, whole = await asyncio.gather(
            self._ask(f"sum by ({by}) ({used}) and on ({by}) {largest}", begin + step, end, step),
            self._ask(f"sum ({used})", begin + step, end, step),
        )
        count = hours * 3600 // step
        series = [self._series(by, entry, begin, step, count) for entry in shown]
        series.sort(key=lambda entry: (-sum(entry.values), entry.name))
        total = [0.0] * count
        for entry in whole:
            total = self._series(by, entry, begin, step, count).values
        return UsageHistory(begin, step, [*series, *_rest(total, series)])

    def _series(self, by: str, entry: _Series, begin: int, step: int, count: int) -> UsageSeries:
        values = [0.0] * count
        for moment, text in entry.values:
            # A value stands at the end of the step that it is about.
            place = round((moment - begin) / step) - 1
            value = float(text)
            if 0 <= place < count and math.isfinite(value):
                values[place] = round(value, 2)
        label = entry.metric.get(by, "")
        return UsageSeries(self._user_of(label) if by == "user" else label, values)

    async def _ask(self, query: str, begin: int, end: int, step: int) -> list[_Series]:
        params: dict[str, str | int] = {"query": query, "start": begin, "end": end, "step": step}
        try:
            url = f"{self._url}/api/v1/query_range"
            content = await read_answer(self._client, url, _LONGEST_ANSWER, params)
            return msgspec.json.decode(content, type=_Answer).data.result
        except (httpx.HTTPError, OSError, *UNREADABLE) as exc:
            log.warning("Prometheus did not answer", url=self._url, reason=str(exc) or repr(exc))
            raise ApiError(
                503, "Usage over time cannot be read now: Prometheus does not answer."
            ) from exc


def _rest(total: list[float], shown: list[UsageSeries]) -> list[UsageSeries]:
    """Return what all others used as one more series; none where there is nothing left."""
    rest = list(total)
    for series in shown:
        rest = [
            max(0.0, round(left - used, 2)) for left, used in zip(rest, series.values, strict=True)
        ]
    return [UsageSeries(_OTHERS, rest)] if any(rest) else []
