# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Numbers and times, as people read them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = ((604800, "week"), (86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def count(number: float) -> str:
    """Return 12345.0 as 12,345, and small fractions with one digit."""
    if number == int(number):
        return f"{int(number):,}"
    return f"{number:,.1f}" if abs(number) < 100 else f"{round(number):,}"


def short_count(number: float) -> str:
    """Return 12345 as 12.3k: for the axis of a plot."""
    for scale, suffix in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if abs(number) >= scale:
            return f"{number / scale:.3g}{suffix}"
    return f"{number:.3g}"


def capitalize_first(text: str) -> str:
    """Return text with a capital first letter, the rest as it is."""
    return text[:1].upper() + text[1:]


def window(seconds: int) -> str:
    """Return a limit's window: minute, 2 minutes, day."""
    for size, unit in _UNITS:
        if seconds % size == 0 and seconds >= size:
            number = seconds // size
            return unit if number == 1 else f"{number:,} {unit}s"
    return f"{seconds} seconds"


def duration(seconds: float) -> str:
    """Return a time span by its two largest units: 1 h 30 min."""
    left = max(0, int(seconds))
    parts = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number} {unit}")
    return " ".join(parts[:2]) or "0 s"


def lifetime(seconds: int) -> str:
    """Return a token's lifetime in full words: 1 hour, 90 minutes, 1 day."""
    words = window(seconds)
    return words if words[0].isdigit() else f"1 {words}"


def when(unix: float) -> str:
    """Return a moment, in UTC."""
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M UTC")


def machine_time(unix: float) -> str:
    """Return a moment as HTML's time element takes it."""
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def lifetimes(default: int, longest: int) -> list[int]:
    """Return the lifetimes to choose from: the usual ones within the tier's, and its own two."""
    usual = (600, 3600, 4 * 3600, 12 * 3600, 86400, 3 * 86400, 7 * 86400, 30 * 86400, 90 * 86400)
    return sorted({default, longest, *(each for each in usual if each < longest)})
