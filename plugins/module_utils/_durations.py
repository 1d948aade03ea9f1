# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Durations as Gateway API and Kuadrant write them: 90s, 2m, 1h30m, 24h. Pure."""

from __future__ import annotations

import re
from typing import Any

from ._errors import MaasError, show

ALLOWED = (
    "a duration such as 90s, 2m, 1h30m or 24h (units h, m, s; whole seconds, 1s to 99999h59m59s)"
)

_LONGEST_SECONDS = 99_999 * 3600 + 3599

_MILLISECONDS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_WHOLE = re.compile(r"([0-9]{1,5}(ms|h|m|s)){1,4}")
_PART = re.compile(r"([0-9]{1,5})(ms|h|m|s)")


def parse_seconds(raw: Any) -> int:
    """Return the seconds a duration says; MaasError where it is none.

    Parts of a second are refused: Kuadrant cuts them off, and a window of 0 s limits nothing.
    """
    if isinstance(raw, str) and _WHOLE.fullmatch(raw):
        parts = [(int(count), unit) for count, unit in _PART.findall(raw)]
        total = sum(count * _MILLISECONDS[unit] for count, unit in parts)
        if 1000 <= total <= _LONGEST_SECONDS * 1000 and total % 1000 == 0:
            return total // 1000
    raise MaasError(f"{show(raw)} is no duration; allowed: {ALLOWED}")


def write_seconds(seconds: int) -> str:
    """Return the shortest duration that says these seconds; the same ones, the same text."""
    if not 1 <= seconds <= _LONGEST_SECONDS:
        raise MaasError(f"{seconds} is no duration; allowed: {ALLOWED}")
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "m"), (left, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count)
