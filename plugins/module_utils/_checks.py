# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Small checks of one value each; every problem is kept, none stops the rest. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from ._durations import ALLOWED as DURATION
from ._durations import parse_seconds
from ._errors import MaasError, Problem, nearest, show

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_MISSING = "(missing)"
# Emoji of several characters hold these; so do words in some scripts.
_JOINERS = "\u200c\u200d"
_LAST_TAG = "\U000e007f"
_Word = TypeVar("_Word", bound=str)


class Problems(list[Problem]):
    """The problems met so far."""

    def found(self, path: str, value: Any, allowed: str, hint: str = "") -> None:
        """Keep one problem."""
        self.append(Problem(path, show(value), allowed, hint))

    def missing(self, path: str, allowed: str) -> None:
        """Keep the problem that a required key is not there."""
        self.append(Problem(path, _MISSING, allowed))

    def hidden(self, path: str, allowed: str) -> None:
        """Keep a problem whose value may be a secret: the value is not shown."""
        self.append(Problem(path, "(not shown)", allowed))


def mapping(problems: Problems, path: str, raw: Any, allowed: str) -> Mapping[str, Any] | None:
    """Return raw where it is a mapping with text keys."""
    if isinstance(raw, Mapping) and all(isinstance(key, str) for key in raw):
        return raw
    problems.found(path, raw, allowed)
    return None


def sequence(problems: Problems, path: str, raw: Any, allowed: str) -> list[Any] | None:
    """Return raw as a list where it is one."""
    if isinstance(raw, (list, tuple)):
        return list(raw)
    problems.found(path, raw, allowed)
    return None


def keys(
    problems: Problems,
    path: str,
    raw: Mapping[str, Any],
    known: Mapping[str, str],
    required: Iterable[str] = (),
    later: Iterable[str] = (),
    shown: bool = True,
) -> None:
    """Refuse keys that are not known, and say which required ones are missing.

    known maps each key to what it may hold; later names keys that are planned and refused.
    Where a mistyped key may hold a secret, shown is false and its value stays out of messages.
    """
    for key in raw:
        if key in known:
            continue
        value = show(raw[key]) if shown else "(not shown)"
        if key in later:
            what, hint = "this key is not supported yet", "take it out"
        else:
            what = f"no such key; the keys are {', '.join(known)}"
            hint = nearest(key, known)
        problems.append(Problem(f"{path}.{key}", value, what, hint))
    for key in required:
        if key not in raw:
            problems.missing(f"{path}.{key}", known[key])


def text(problems: Problems, path: str, raw: Any, allowed: str = "text") -> str | None:
    """Return raw where it is text without control characters and not blank."""
    if isinstance(raw, str) and raw.strip() == raw != "" and raw.isprintable():
        return str(raw)
    problems.found(path, raw, allowed)
    return None


def shown_text(problems: Problems, path: str, raw: Any) -> str | None:
    """Return raw where it is one line for people: joined emoji and wide spaces are fine.

    What could change how the text around it reads (control characters, line separators, marks
    that turn its direction) is refused.
    """
    if isinstance(raw, str) and raw.strip() == raw != "" and all(map(_is_shown, raw)):
        return str(raw)
    problems.found(path, raw, "one line of text, no space at either end")
    return None


def _is_shown(character: str) -> bool:
    if character.isprintable() or character in _JOINERS or "\U000e0020" <= character <= _LAST_TAG:
        return True
    return unicodedata.category(character) == "Zs"


def whole_number(
    problems: Problems, path: str, raw: Any, minimum: int, maximum: int = 2**63 - 1
) -> int | None:
    """Return raw where it is a whole number in range; true is not a number here."""
    if isinstance(raw, int) and not isinstance(raw, bool) and minimum <= raw <= maximum:
        return int(raw)
    upper = "" if maximum == 2**63 - 1 else f" and at most {maximum}"
    problems.found(path, raw, f"a whole number, at least {minimum}{upper}")
    return None


def duration(problems: Problems, path: str, raw: Any) -> int | None:
    """Return the seconds that raw says, where it is a duration."""
    try:
        return parse_seconds(raw)
    except MaasError:
        problems.found(path, raw, DURATION)
        return None


def switch(problems: Problems, path: str, raw: Any) -> bool | None:
    """Return raw where it is true or false; the words are no booleans here."""
    if isinstance(raw, bool):
        return raw
    problems.found(path, raw, "true or false")
    return None


def choice(problems: Problems, path: str, raw: Any, known: Iterable[_Word]) -> _Word | None:
    """Return raw where it is one of the known words."""
    words = list(known)
    for word in words:
        if raw == word:
            return word
    problems.found(path, raw, f"one of {', '.join(words)}", nearest(raw, words))
    return None


def dns_subdomain(problems: Problems, path: str, raw: Any) -> str | None:
    """Return raw where it is a name as most of Kubernetes' objects have: DNS labels and dots."""
    if isinstance(raw, str) and len(raw) <= 253 and all(map(_DNS_LABEL.fullmatch, raw.split("."))):
        return str(raw)
    problems.found(path, raw, "an object's name: a-z, 0-9, - and ., at most 253 characters")
    return None


def dns_label(problems: Problems, path: str, raw: Any, longest: int = 63) -> str | None:
    """Return raw where it is a DNS label."""
    if isinstance(raw, str) and len(raw) <= longest and _DNS_LABEL.fullmatch(raw):
        return str(raw)
    allowed = f"a DNS label: a-z, 0-9 and -, no - at either end, at most {longest} characters"
    problems.found(path, raw, allowed)
    return None
