# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""How often a user may mint."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from maas_api.errors import ApiError
from maas_api.throttle import Throttle


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def tries(throttle: Throttle, user: str, times: int) -> int:
    """Return how many of so many tries were let through."""
    passed = 0
    for _ in range(times):
        try:
            throttle.take(user)
        except ApiError:
            continue
        passed += 1
    return passed


def test_so_many_and_no_more() -> None:
    throttle = Throttle(3, 60, Clock())
    assert tries(throttle, "alice", 10) == 3
    assert tries(throttle, "bob", 10) == 3


def test_it_says_when_to_come_back() -> None:
    clock = Clock()
    throttle = Throttle(3, 60, clock)
    tries(throttle, "alice", 3)
    with pytest.raises(ApiError) as caught:
        throttle.take("alice")
    assert caught.value.status == 429
    assert caught.value.headers == {"Retry-After": "20"}
    clock.seconds += 19.9
    assert tries(throttle, "alice", 1) == 0
    clock.seconds += 0.2
    assert tries(throttle, "alice", 2) == 1


def test_refusals_cost_nothing() -> None:
    clock = Clock()
    throttle = Throttle(2, 60, clock)
    tries(throttle, "alice", 1000)
    clock.seconds += 60
    assert tries(throttle, "alice", 5) == 2


def test_zero_is_no_limit() -> None:
    assert tries(Throttle(0, 60, Clock()), "alice", 1000) == 1000


@given(st.integers(1, 20), st.integers(1, 100), st.lists(st.floats(0, 30), max_size=60))
def test_never_more_than_twice_the_limit_in_a_window(
    limit: int, window: int, pauses: list[float]
) -> None:
    """A whole allowance, and what comes back while it is spent."""
    clock = Clock()
    throttle = Throttle(limit, window, clock)
    passed: list[float] = []
    for pause in pauses:
        clock.seconds += pause
        if tries(throttle, "alice", 1):
            passed.append(clock.seconds)
    for begun in passed:
        assert len([moment for moment in passed if begun <= moment < begun + window]) <= 2 * limit


def test_whole_allowances_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maas_api.throttle._MOST", 10)
    clock = Clock()
    throttle = Throttle(2, 60, clock)
    for number in range(100):
        clock.seconds += 61
        throttle.take(f"user-{number}")
    assert len(throttle._whole_at) <= 10
