# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Lifetimes of tokens, as clients of the existing tier API write them. Pure."""

from __future__ import annotations

import re

#: TokenRequest refuses less.
SHORTEST_SECONDS = 600
#: What a client that sends this much meant, nobody knows; 292 years are where Go stops too.
_LONGEST_SECONDS = 2**63 // 10**9

_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "\u00b5s": 10**3,  # the micro sign,
    "\u03bcs": 10**3,  # and the Greek letter
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 24 * 3600 * 10**9,
}
_UNIT = "|".join(sorted(_NANOSECONDS, key=len, reverse=True))
_NUMBER = r"[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20}"
_PART = re.compile(rf"({_NUMBER})({_UNIT})")
_WHOLE = re.compile(rf"[-+]?(?:(?:{_NUMBER})(?:{_UNIT}))+")
_BARE = re.compile(rf"[-+]?(?:{_NUMBER})")
_SHOWN = 40
#: The form, for the OpenAPI document; how long a tier allows is for the tier to say.
GO_DURATION = r"^([0-9]+(\.[0-9]*)?(ns|us|ms|s|m|h|d))+$"


def parse_expiration(raw: str | float) -> int:
    """Return the whole seconds that "4h", "1h30m", 14400 or 14400.0 say; ValueError otherwise.

    Text is a Go duration, so it needs units ("0" alone does without); numbers are seconds.
    """
    seconds = _parse_text(raw) if isinstance(raw, str) else _parse_number(raw)
    if seconds <= 0:
        raise ValueError(f"expiration must be positive, not {_show(raw)}")
    return seconds


def check_bounds(seconds: int, longest: int, tier: str) -> None:
    """Refuse, with ValueError, what is shorter or longer than the tier's tokens may live."""
    allowed = f"tier {tier} allows {write_go(SHORTEST_SECONDS)} to {write_go(longest)}"
    if seconds < SHORTEST_SECONDS:
        raise ValueError(
            f"token expiration must be at least 10 minutes, not {write_go(seconds)}; {allowed}"
        )
    if seconds > longest:
        raise ValueError(
            f"token expiration must be at most {write_go(longest)}, not {write_go(seconds)}; "
            f"{allowed}"
        )


def write_go(seconds: int) -> str:
    """Return seconds as Go prints a duration: 4h0m0s, 10m0s, 45s."""
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m{left}s"
    return f"{minutes}m{left}s" if minutes else f"{left}s"


def _parse_text(raw: str) -> int:
    if raw in {"", "0", "+0", "-0"}:
        return 0
    if _BARE.fullmatch(raw):
        raise ValueError(
            f"missing unit in duration {_show(raw)}: write 4h, 90m or 1h30m, or a JSON number "
            "of seconds"
        )
    if not _WHOLE.fullmatch(raw):
        raise ValueError(f"invalid duration {_show(raw)}: write 4h, 90m, 1h30m or 5400s")
    total = sum(_nanoseconds(*part.groups()) for part in _PART.finditer(raw))
    return _cut(-total if raw.startswith("-") else total)


def _nanoseconds(number: str, unit: str) -> int:
    whole, _, part = number.partition(".")
    scale = _NANOSECONDS[unit]
    return int(whole or 0) * scale + int(part or 0) * scale // int(10 ** len(part))


def _parse_number(raw: float) -> int:
    # Also true of what is no number at all.
    if not abs(raw) <= _LONGEST_SECONDS:
        raise ValueError("invalid duration: it is longer than 292 years")
    return _cut(int(raw * 10**9))


def _cut(nanoseconds: int) -> int:
    # Towards zero: half a second is no second, before and after it.
    seconds = abs(nanoseconds) // 10**9
    if seconds > _LONGEST_SECONDS:
        raise ValueError("invalid duration: it is longer than 292 years")
    return seconds if nanoseconds >= 0 else -seconds


def _show(raw: str | float) -> str:
    text = f'"{raw}"' if isinstance(raw, str) else str(raw)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
