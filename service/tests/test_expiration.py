# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Lifetimes of tokens: what clients of the existing tier API send, and everything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from maas_api.expiration import check_bounds, parse_expiration, write_go


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        ("4h", 14400),
        ("601s", 601),
        ("15m", 900),
        ("1h30m45s", 5445),
        ("1.5h", 5400),
        (".5h", 1800),
        ("1.h", 3600),
        ("+2h", 7200),
        ("30d", 2592000),
        ("1h1h", 7200),
        ("600000ms", 600),
        ("600000000us", 600),
        ("600000000\u00b5s", 600),
        ("600000000\u03bcs", 600),
        ("1999ms", 1),
        (14400, 14400),
        (14400.0, 14400),
        (600.9, 600),
    ],
)
def test_lifetimes_are_read(raw: str | float, seconds: int) -> None:
    assert parse_expiration(raw) == seconds


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("", "expiration must be positive"),
        ("0", "expiration must be positive"),
        (0, "expiration must be positive"),
        (-1, "expiration must be positive"),
        ("-30h", "expiration must be positive"),
        ("999ms", "expiration must be positive"),
        ("30", "missing unit in duration"),
        ("1.5", "missing unit in duration"),
        ("30x", "invalid duration"),
        ("abc", 'invalid duration "abc"'),
        ("1 h", "invalid duration"),
        (" 1h", "invalid duration"),
        ("1h\n", "invalid duration"),
        ("h", "invalid duration"),
        (".h", "invalid duration"),
        ("1H", "invalid duration"),
        ("--1h", "invalid duration"),
        ("\u0661h", "invalid duration"),
        ("99999999999999h", "292 years"),
        (1e300, "292 years"),
        (10**400, "292 years"),
        (float("inf"), "292 years"),
        ("9" * 5000 + "h", "invalid duration"),
    ],
)
def test_others_are_refused_in_words(raw: str | float, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        parse_expiration(raw)
    assert len(str(caught.value)) < 200


@given(st.integers(min_value=1, max_value=10**9))
def test_what_is_written_reads_the_same(seconds: int) -> None:
    assert parse_expiration(write_go(seconds)) == seconds
    assert parse_expiration(seconds) == seconds


@given(st.lists(st.tuples(st.integers(0, 99999), st.sampled_from("hms")), min_size=1, max_size=5))
def test_parts_add_up(parts: list[tuple[int, str]]) -> None:
    raw = "".join(f"{count}{unit}" for count, unit in parts)
    total = sum(count * {"h": 3600, "m": 60, "s": 1}[unit] for count, unit in parts)
    if total:
        assert parse_expiration(raw) == total
    else:
        with pytest.raises(ValueError, match="positive"):
            parse_expiration(raw)


@given(
    st.text()
    | st.text("0123456789.hmsun+-\u00b5\u03bcd", max_size=30)
    | st.floats(allow_nan=True)
    | st.integers()
)
def test_nothing_but_a_positive_number_or_a_refusal(raw: str | float) -> None:
    try:
        seconds = parse_expiration(raw)
    except ValueError:
        return
    assert isinstance(seconds, int)
    assert seconds > 0


@pytest.mark.parametrize("seconds", [600, 86400])
def test_bounds_are_allowed(seconds: int) -> None:
    check_bounds(seconds, 86400, "free")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (599, "at least 10 minutes, not 9m59s; tier free allows 10m0s to 24h0m0s"),
        (86401, "at most 24h0m0s, not 24h0m1s; tier free allows 10m0s to 24h0m0s"),
    ],
)
def test_out_of_bounds_says_what_is_allowed(seconds: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_bounds(seconds, 86400, "free")


@pytest.mark.parametrize(
    ("seconds", "text"), [(14400, "4h0m0s"), (600, "10m0s"), (45, "45s"), (5445, "1h30m45s")]
)
def test_durations_are_written_as_go_does(seconds: int, text: str) -> None:
    assert write_go(seconds) == text
