# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Limits as the pages list them: one row each, with its use where that is known. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..limits import Kind
from ..messages import Limits, QuotaBody, UsageBody, UsageOfLimit


@dataclass(frozen=True)
class LimitRow:
    """One limit; without a number where there is none."""

    kind: Kind
    model: str | None
    limit: int | None
    window_seconds: int = 0
    used: int | None = None
    remaining: int = 0
    resets_in_seconds: int | None = None

    @property
    def is_spent(self) -> bool:
        """Whether the next call is refused."""
        return self.limit is not None and self.used is not None and self.used >= self.limit

    @property
    def shown(self) -> int:
        """Return what fits on the bar: more can be used, as the crossing call is served."""
        return min(self.used or 0, self.limit or 0)

    @classmethod
    def of(cls, use: UsageOfLimit) -> LimitRow:
        """Return a limit with its use."""
        return cls(
            kind=use.kind,
            model=use.model,
            limit=use.limit,
            window_seconds=use.window_seconds,
            used=use.used,
            remaining=use.remaining,
            resets_in_seconds=use.resets_in_seconds,
        )


def limit_rows(limits: Limits, usage: UsageBody | None = None) -> list[LimitRow]:
    """Return all limits, those without a number too; with their use if it is given."""
    used = {(row.kind, row.model, row.window_seconds): row for row in _used(usage)}
    return [used.get((row.kind, row.model, row.window_seconds), row) for row in _plain(limits)]


def fullest(usage: UsageBody) -> LimitRow | None:
    """Return the limit of which the largest part is used; None where nothing is."""
    rows = [row for row in _used(usage) if row.used]
    return max(rows, key=lambda row: (row.used or 0) / (row.limit or 1), default=None)


def _used(usage: UsageBody | None) -> list[LimitRow]:
    return [LimitRow.of(use) for use in usage.limits] if usage else []


def _plain(limits: Limits) -> Iterator[LimitRow]:
    yield from _rows("requests", None, limits.requests)
    yield from _rows("tokens", None, limits.tokens)
    for model, own in limits.models.items():
        if own.requests is not None:
            yield from _rows("requests", model, own.requests)
        if own.tokens is not None:
            yield from _rows("tokens", model, own.tokens)


def _rows(kind: Kind, model: str | None, quota: QuotaBody) -> Iterable[LimitRow]:
    if isinstance(quota, str):
        return [LimitRow(kind, model, None)]
    return [LimitRow(kind, model, rate.limit, rate.window_seconds) for rate in quota]
