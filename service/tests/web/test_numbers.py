# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Numbers and times as people read them, limits as rows, and the plot."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from maas_api.messages import Limits, ModelLimits, RateBody, UsageBody, UsageOfLimit
from maas_api.web import words
from maas_api.web.plot import draw
from maas_api.web.rows import LimitRow, fullest, limit_rows


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "second"),
        (45, "45 seconds"),
        (60, "minute"),
        (90, "90 seconds"),
        (120, "2 minutes"),
        (3600, "hour"),
        (86400, "day"),
        (172800, "2 days"),
        (604800, "week"),
        (0, "0 seconds"),
    ],
)
def test_windows(seconds: int, text: str) -> None:
    assert words.window(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (0, "0 s"), (59.9, "59 s"), (61, "1 min 1 s"), (3600, "1 h"), (90061, "1 d 1 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (12345, "12,345"), (2.25, "2.2"), (12345.6, "12,346")]
)
def test_counts(number: float, text: str) -> None:
    assert words.count(number) == text


@given(st.integers(600, 10**8), st.integers(600, 10**8))
def test_lifetimes_to_choose_from(one: int, other: int) -> None:
    default, longest = sorted((one, other))
    offered = words.lifetimes(default, longest)
    assert {default, longest} <= set(offered)
    assert offered == sorted(set(offered))
    assert offered[0] >= 600
    assert offered[-1] == longest


def test_rows() -> None:
    limits = Limits(
        requests=[RateBody(5, 120)],
        tokens="unlimited",
        models={"large": ModelLimits(tokens=[RateBody(10, 60), RateBody(99, 3600)])},
    )
    usage = UsageBody("alice", "free", [UsageOfLimit("tokens", "large", 10, 60, 12, 0, 7)], 0)
    assert limit_rows(limits, usage) == [
        LimitRow("requests", None, 5, 120),
        LimitRow("tokens", None, None),
        LimitRow("tokens", "large", 10, 60, 12, 0, 7),
        LimitRow("tokens", "large", 99, 3600),
    ]
    row = fullest(usage)
    assert row is not None
    assert (row.is_spent, row.shown) == (True, 10)


def test_the_fullest_limit_is_by_its_part() -> None:
    uses = [
        UsageOfLimit("tokens", None, 1000, 60, 500, 500, 7),
        UsageOfLimit("requests", None, 5, 60, 4, 1, 7),
    ]
    row = fullest(UsageBody("alice", "free", uses, 0))
    assert row is not None
    assert row.kind == "requests"
    assert fullest(UsageBody("alice", "free", [], 0)) is None


VALUES = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(st.lists(VALUES, max_size=20), max_size=12), st.sampled_from([60, 900, 28800]))
def test_every_bar_lies_on_the_sheet(columns: list[list[float]], step: int) -> None:
    plot = draw(0, step, [(str(index), values) for index, values in enumerate(columns)], "tokens")
    for bar in plot.bars:
        assert all(math.isfinite(value) for value in (bar.x, bar.y, bar.width, bar.height))
        assert plot.left <= bar.x <= bar.x + bar.width <= plot.right + 0.01
        assert -0.1 <= bar.y <= bar.y + bar.height <= plot.base + 0.1
    assert plot.ticks[0].label == "0"
    assert len(plot.ticks) <= 6


def test_a_plot() -> None:
    plot = draw(0, 60, [("free", [1, 0, 3]), ("premium", [1, 0, math.nan])], "requests")
    assert [(bar.colour, bar.title) for bar in plot.bars] == [
        (0, "00:00, free: 1 requests"),
        (1, "00:00, premium: 1 requests"),
        (0, "00:02, free: 3 requests"),
    ]
    assert [(row.name, row.total, row.share) for row in plot.rows] == [
        ("free", 4, 0.8),
        ("premium", 1, 0.2),
    ]
    assert plot.total == 5


def test_a_plot_of_nothing() -> None:
    plot = draw(0, 60, [], "tokens")
    assert (plot.bars, plot.rows, plot.total) == ((), (), 0)
