# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""A value that no log, traceback or format string gives away."""

from __future__ import annotations

STARS = "**********"


class Secret:
    """Text that prints as stars; `reveal` is the one way to it, easy to search for."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text itself."""
        return self._value

    def __str__(self) -> str:
        return STARS

    def __repr__(self) -> str:
        return f"Secret('{STARS}')"
