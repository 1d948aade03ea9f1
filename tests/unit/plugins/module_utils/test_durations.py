# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re

import pytest
from ansible_collections.maas.platform.plugins.module_utils._durations import (
    parse_seconds,
    write_seconds,
)
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from hypothesis import given
from hypothesis import strategies as st

# What the API server accepts as a window, from the CustomResourceDefinition.
_ACCEPTED = re.compile(r"^([0-9]{1,5}(h|m|s|ms)){1,4}$")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("2m", 120),
        ("1h30m", 5400),
        ("24h", 86400),
        ("1h1m1s", 3661),
        ("1000ms", 1),
        ("1s500ms500ms", 2),
        ("5m5m", 600),
    ],
)
def test_durations_are_read(text, seconds):
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *("", "2", "m", "1d", "1.5h", "-1m", "1m ", " 1m", "1m\n", "\uff11m"),
        *("0s", "0h0m", "500ms", "1500ms", "123456s", "1h1m1s1ms1s"),
        # Longer than any that can be written again.
        *("99999h60m", "99999h59m60s", "99999h99999h"),
        *(None, 60, True, ["1m"]),
    ],
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(MaasError, match="is no duration; allowed: a duration such as"):
        parse_seconds(text)


@given(st.integers(min_value=1, max_value=99_999 * 3600 + 3599))
def test_what_is_written_is_read_back_and_accepted_by_the_cluster(seconds):
    text = write_seconds(seconds)
    assert parse_seconds(text) == seconds
    assert _ACCEPTED.match(text)


@pytest.mark.parametrize("seconds", [0, -1, 100_000 * 3600])
def test_what_cannot_be_written_is_refused(seconds):
    with pytest.raises(MaasError):
        write_seconds(seconds)


@given(st.text(max_size=12))
def test_nothing_but_a_duration_is_ever_read(text):
    try:
        seconds = parse_seconds(text)
    except MaasError:
        return
    assert seconds >= 1
    assert _ACCEPTED.match(text)


@given(st.from_regex(r"([0-9]{1,5}(ms|h|m|s)){1,4}", fullmatch=True).filter(str.isascii))
def test_what_is_read_can_always_be_written(text):
    try:
        seconds = parse_seconds(text)
    except MaasError:
        return
    assert parse_seconds(write_seconds(seconds)) == seconds
