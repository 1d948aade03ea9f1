# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Who used what: asking Prometheus, and making rows of its answers. Pure."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from ._durations import parse_seconds
from ._errors import MaasError, show

#: What rows may be told apart by.
LABELS = ("user", "tier", "model")
#: What is counted, by the name in a row.
COUNTED = ("requests", "tokens", "prompt_tokens")

_DAY_SECONDS = 24 * 3600
_DAYS = re.compile(r"([0-9]{1,4})d")


@dataclass(frozen=True)
class Usage:
    """What an account used of a model while it was in a tier; empty where not told apart."""

    user: str
    account: str
    tier: str
    model: str
    requests: int
    tokens: int
    prompt_tokens: int
    completion_tokens: int


def parse_period(raw: str) -> int:
    """Return the seconds of a period, which may also be written in days."""
    days = _DAYS.fullmatch(raw)
    if days and int(days[1]):
        return int(days[1]) * _DAY_SECONDS
    try:
        return parse_seconds(raw)
    except MaasError as exc:
        raise MaasError(f"period {exc}, or days such as 30d") from exc


def question(counted: str, by: Sequence[str], seconds: int) -> str:
    """Return the PromQL that asks what was used in the seconds before."""
    return f"sum by ({', '.join(by)}) (sum_over_time(maas:{counted}:used[{seconds}s]))"


def read_answer(answer: Any) -> dict[tuple[tuple[str, str], ...], int]:
    """Return Prometheus' answer as numbers by label; MaasError where it is none."""
    try:
        if answer["status"] != "success":
            raise MaasError(f"Prometheus refused the question: {show(answer.get('error'))}")
        return {
            tuple(sorted(series["metric"].items())): round(float(series["value"][1]))
            for series in answer["data"]["result"]
        }
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise MaasError(f"this is no answer of Prometheus: {show(answer)}") from exc


def make_rows(
    answers: Mapping[str, Mapping[tuple[tuple[str, str], ...], int]], owners: Mapping[str, str]
) -> list[Usage]:
    """Return a row for each combination of labels, those who used most first."""
    rows = []
    for labels in {labels for answer in answers.values() for labels in answer}:
        named = dict(labels)
        numbers = {name: answers[name].get(labels, 0) for name in COUNTED}
        account = named.get("user", "")
        rows.append(
            Usage(
                user=owners.get(account, account),
                account=account,
                tier=named.get("tier", ""),
                model=named.get("model", ""),
                completion_tokens=max(0, numbers["tokens"] - numbers["prompt_tokens"]),
                **numbers,
            )
        )
    return sorted(
        rows, key=lambda row: (-row.tokens, -row.requests, row.account, row.tier, row.model)
    )


def write_csv(rows: Iterable[Usage]) -> str:
    """Return the rows as CSV, with a heading."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Usage)], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _harmless(value) for key, value in asdict(row).items()})
    return text.getvalue()


def _harmless(value: Any) -> Any:
    """Keep a spreadsheet from taking a user's name for a formula."""
    return (
        f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value
    )
