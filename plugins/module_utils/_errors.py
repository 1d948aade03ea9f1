# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The one exception this collection raises, and the problems it lists. Pure."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

#: Longer values are cut in messages: a pasted certificate should not fill the screen.
_SHOWN = 120


@dataclass(frozen=True)
class Problem:
    """One thing wrong with an input: where it stands, what stands there, what may."""

    path: str
    value: str
    allowed: str
    hint: str = ""

    def __str__(self) -> str:
        """Return the line a person reads."""
        text = f"{self.path}: value {self.value}, allowed: {self.allowed}"
        return _plain(f"{text} ({self.hint})" if self.hint else text)


class MaasError(Exception):
    """Something failed; the text says what, on what, why, and what to do next."""

    def __init__(self, message: str, problems: Iterable[Problem | str] = ()) -> None:
        """Keep the message and, separately, every problem behind it."""
        self.message = message
        self.problems = [str(problem) for problem in problems]
        super().__init__(message)

    def __str__(self) -> str:
        """Return the message and the problems, one to a line."""
        return "\n".join([self.message, *(f"- {problem}" for problem in self.problems)])


def show(value: Any) -> str:
    """Return a value as inventories write it, short enough for a message."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except ValueError:  # a list that holds itself
        text = repr(value)
    return _plain(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")


def _plain(text: str) -> str:
    """Return one line that no terminal and no log reads as anything but text."""
    return "".join(
        character if character.isprintable() else f"\\u{ord(character):04x}" for character in text
    )


def nearest(word: Any, known: Iterable[str]) -> str:
    """Return a hint naming the known word closest to this one, or nothing."""
    close = difflib.get_close_matches(str(word), list(known), n=1)
    return f"did you mean {close[0]}?" if close else ""
