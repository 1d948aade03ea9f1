# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What becomes of the accounts of a tier that goes: on_removal. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ._checks import Problems, duration, keys
from ._durations import ALLOWED as DURATION
from ._errors import nearest

Action = Literal["migrate", "drain", "block"]

BLOCK = "block"
ON_REMOVAL = "{migrate_to: <tier>}, {drain: <duration>} or the word block"
_KEYS = {"migrate_to": "the name of a tier that stays", "drain": DURATION}


@dataclass(frozen=True)
class Removal:
    """A tier that is to go, and how."""

    name: str
    action: Action
    migrate_to: str = ""
    drain_seconds: int = 0
    #: As the entry writes them; None where it writes none.
    groups: tuple[str, ...] | None = None


@dataclass(frozen=True)
class OnRemoval:
    """What an inventory says under on_removal."""

    action: Action
    migrate_to: str = ""
    drain_seconds: int = 0


def read_on_removal(problems: Problems, path: str, raw: Any) -> OnRemoval | None:
    """Return what becomes of the accounts, where it is said."""
    if raw == BLOCK:
        return OnRemoval("block")
    if not isinstance(raw, Mapping) or not all(isinstance(key, str) for key in raw):
        problems.found(path, raw, ON_REMOVAL, nearest(raw, [BLOCK]))
        return None
    keys(problems, path, raw, _KEYS)
    known = [key for key in raw if key in _KEYS]
    if len(known) != 1:
        # An unknown key alone was named already.
        if known or not raw:
            problems.found(path, raw, ON_REMOVAL)
        return None
    if "drain" in raw:
        seconds = duration(problems, f"{path}.drain", raw["drain"])
        return OnRemoval("drain", drain_seconds=seconds) if seconds else None
    target = raw["migrate_to"]
    if not isinstance(target, str) or not target:
        problems.found(f"{path}.migrate_to", target, _KEYS["migrate_to"])
        return None
    return OnRemoval("migrate", migrate_to=target)


def check_target(
    problems: Problems,
    path: str,
    name: str,
    target: str,
    present: Iterable[str],
    renames: Mapping[str, str],
) -> None:
    """Refuse to migrate accounts to a tier that will not be there."""
    names = [tier for tier in present if tier != name]
    if target in names:
        return
    hint = f"it is called {renames[target]} now" if target in renames else nearest(target, names)
    allowed = f"a tier that stays: {', '.join(names) or '(there is none)'}"
    problems.found(f"{path}.on_removal.migrate_to", target, allowed, hint)
