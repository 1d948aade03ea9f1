# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""A bar chart as SVG: drawn here, so that it needs no script and no inline style. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from .words import short_count

_WIDTH, _HEIGHT = 760, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 8, 12, 30
_GAP = 0.18
_LEAST_LABEL_WIDTH = 92
#: More than this, in one step, is a mistake somewhere; it must not break the page.
_MOST = 1e18
#: Style sheets know so many colours.
COLOURS = 9


@dataclass(frozen=True)
class Bar:
    """One part of one column."""

    x: float
    y: float
    width: float
    height: float
    colour: int
    title: str


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    position: float
    label: str


@dataclass(frozen=True)
class Row:
    """One series, for the table that is also the key."""

    name: str
    colour: int
    total: float
    share: float


@dataclass(frozen=True)
class Plot:
    """Everything a template needs to draw."""

    width: int
    height: int
    left: float
    right: float
    base: float
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    times: tuple[Tick, ...]
    rows: tuple[Row, ...]
    total: float


def draw(
    begin: int, step_seconds: int, series: Sequence[tuple[str, Sequence[float]]], unit: str
) -> Plot:
    """Return stacked bars, one column a step; what is not a number counts as nothing."""
    clean = [(name, [_number(value) for value in values]) for name, values in series]
    steps = max((len(values) for _, values in clean), default=0)
    totals = [sum(values) for _, values in clean]
    whole = sum(totals)
    heights = [
        sum(values[index] for _, values in clean if index < len(values)) for index in range(steps)
    ]
    step = _nice(max(heights, default=0) / 4)
    top = max(step, math.ceil(max(heights, default=0) / step) * step)
    base, room = _HEIGHT - _BOTTOM, _HEIGHT - _BOTTOM - _TOP
    column = (_WIDTH - _LEFT - _RIGHT) / max(1, steps)
    bars = []
    for index in range(steps):
        y: float = base
        for colour, (name, values) in enumerate(clean):
            value = values[index] if index < len(values) else 0
            if not value:
                continue
            height = value / top * room
            y -= height
            title = f"{_moment(begin + index * step_seconds, step_seconds)}, {name}: "
            bars.append(
                Bar(
                    x=round(_LEFT + (index + _GAP / 2) * column, 2),
                    y=round(y, 2),
                    width=round(column * (1 - _GAP), 2),
                    height=round(height, 2),
                    colour=colour % COLOURS,
                    title=f"{title}{short_count(value)} {unit}",
                )
            )
    return Plot(
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        right=_WIDTH - _RIGHT,
        base=base,
        bars=tuple(bars),
        ticks=_ticks(top, step, base, room),
        times=_times(begin, step_seconds, steps, column),
        rows=tuple(
            Row(name, colour % COLOURS, total, total / whole if whole else 0)
            for colour, ((name, _), total) in enumerate(zip(clean, totals, strict=True))
        ),
        total=whole,
    )


def _number(value: float) -> float:
    return min(value, _MOST) if value > 0 else 0


def _nice(least: float) -> float:
    """Return the smallest of 1, 2, 2.5, 5, 10, 20, … that is at least this."""
    if least <= 1:
        return 1
    scale: float = 10 ** math.floor(math.log10(least))
    return next((scale * size for size in (1, 2, 2.5, 5, 10) if scale * size >= least), scale * 10)


def _ticks(top: float, step: float, base: float, room: float) -> tuple[Tick, ...]:
    marks = round(top / step)
    return tuple(
        Tick(round(base - mark / marks * room, 2), short_count(mark * step))
        for mark in range(marks + 1)
    )


def _times(begin: int, step_seconds: int, steps: int, column: float) -> tuple[Tick, ...]:
    every = max(1, math.ceil(_LEAST_LABEL_WIDTH / column))
    return tuple(
        Tick(
            round(_LEFT + (index + 0.5) * column, 2),
            _moment(begin + index * step_seconds, step_seconds),
        )
        for index in range(every // 2, steps, every)
    )


def _moment(unix: int, step_seconds: int) -> str:
    form = "%b %-d %H:%M" if step_seconds >= 1800 else "%H:%M"
    return datetime.fromtimestamp(unix, UTC).strftime(form)
