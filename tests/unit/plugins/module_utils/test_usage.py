# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import io
from dataclasses import asdict

import pytest
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._usage import (
    COUNTED,
    LABELS,
    make_rows,
    parse_period,
    question,
    read_answer,
    write_csv,
)
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=12)
KEYS = st.tuples(NAMES, NAMES, NAMES).map(
    lambda values: tuple(sorted(zip(LABELS, values, strict=True)))
)
ANSWERS = st.fixed_dictionaries(
    {name: st.dictionaries(KEYS, st.integers(1, 10**15), max_size=5) for name in COUNTED}
)


@pytest.mark.parametrize(
    ("raw", "seconds"), [("30d", 2_592_000), ("1d", 86_400), ("90s", 90), ("1h30m", 5400)]
)
def test_periods_are_durations_or_days(raw, seconds):
    assert parse_period(raw) == seconds


@pytest.mark.parametrize("raw", ["", "0d", "d", "1w", "1d12h", "-1d", "0s", "30d]"])
def test_anything_else_is_refused(raw):
    with pytest.raises(MaasError, match=r"no duration; allowed: a .*or days such as 30d"):
        parse_period(raw)


def test_the_question_asks_for_a_sum_over_time():
    assert question("tokens", ["user", "model"], 3600) == (
        "sum by (user, model) (sum_over_time(maas:tokens:used[3600s]))"
    )


def test_an_answer_is_numbers_by_label():
    series = {"metric": {"user": "alice-1", "tier": "free"}, "value": [1795422903.5, "42"]}
    answer = {"status": "success", "data": {"resultType": "vector", "result": [series]}}
    assert read_answer(answer) == {(("tier", "free"), ("user", "alice-1")): 42}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"status": "error", "error": "too many samples"}, "too many samples"),
        ("upstream connect error", "no answer of Prometheus"),
        ({"status": "success", "data": {"result": [{"metric": {}}]}}, "no answer of Prometheus"),
        ({"status": "success", "data": None}, "no answer of Prometheus"),
    ],
)
def test_anything_else_is_said(answer, why):
    with pytest.raises(MaasError, match=why):
        read_answer(answer)


@given(ANSWERS)
def test_no_number_is_lost_or_made_up(answers):
    rows = make_rows(answers, {})
    for name in COUNTED:
        assert sum(getattr(row, name) for row in rows) == sum(answers[name].values())
    assert len(rows) == len({key for answer in answers.values() for key in answer})
    assert [row.tokens for row in rows] == sorted((row.tokens for row in rows), reverse=True)


@given(ANSWERS, st.dictionaries(NAMES, NAMES, max_size=3))
def test_csv_says_what_the_rows_say(answers, owners):
    rows = make_rows(answers, owners)
    read = list(csv.DictReader(io.StringIO(write_csv(rows))))
    assert [{key: value.removeprefix("'") for key, value in entry.items()} for entry in read] == [
        {key: str(value).removeprefix("'") for key, value in asdict(row).items()} for row in rows
    ]


def test_a_name_is_no_formula():
    key = (("model", "llm/m"), ("tier", "free"), ("user", "a-1"))
    rows = make_rows({name: {key: 1} for name in COUNTED}, {"a-1": "=HYPERLINK(1)"})
    assert write_csv(rows).splitlines()[1] == "'=HYPERLINK(1),a-1,free,llm/m,1,1,1,0"
