# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._times import (
    after,
    parse_time,
    write_time,
)
from hypothesis import given
from hypothesis import strategies as st

_moments = st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC))


@given(_moments)
def test_what_is_written_is_read_back(moment):
    assert parse_time(write_time(moment)) == moment.replace(microsecond=0)


def test_other_zones_are_written_in_utc():
    moment = datetime(2026, 11, 23, 10, tzinfo=timezone(timedelta(hours=2)))
    assert write_time(moment) == "2026-11-23T08:00:00Z"


@pytest.mark.parametrize(
    "raw", ["", "soon", "2026-11-23", "2026-11-23T08:00:00+02:00", "2026-13-23T08:00:00Z", 7, None]
)
def test_what_is_no_time_is_refused(raw):
    with pytest.raises(MaasError, match="is no time"):
        parse_time(raw)


def test_a_time_later_is_of_whole_seconds():
    moment = datetime(2026, 11, 23, 8, microsecond=5, tzinfo=UTC)
    assert write_time(after(moment, 90)) == "2026-11-23T08:01:30Z"
    assert after(moment, 0).microsecond == 0


def test_a_time_after_all_years_is_refused():
    with pytest.raises(MaasError, match="beyond"):
        after(datetime(2026, 11, 23, tzinfo=UTC), 99_999 * 3600 * 1000)
