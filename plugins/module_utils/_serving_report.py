# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What became of the models, in the words of the person who owns them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ._describe import describe_changes
from ._objects import Change, Object
from ._serving_conceal import conceal
from ._serving_wish import Fate
from ._times import write_time


def summarize(fates: Sequence[Fate], dry_run: bool) -> list[str]:
    """Return a line for each model that changed, or is not as it should be."""
    return [_line(fate, dry_run) for fate in fates if fate.changed or fate.error]


def _line(fate: Fate, dry_run: bool) -> str:
    who = f"model {fate.namespace}/{fate.name}"
    if fate.error:
        return f"{who}: {fate.error}"
    if dry_run:
        return f"{who} would change" if fate.result != "removed" else f"{who} would be removed"
    took = f" ({fate.seconds:.0f} s)"
    if fate.result == "retired" and fate.until:
        return f"{who} is retired: it is served until {write_time(fate.until)}{took}"
    words = {
        "serving": "serves as the inventory says",
        "paused": "is paused",
        "removed": "is removed",
    }
    return f"{who} {words.get(fate.result, fate.result)}{took}"


def failure(fates: Sequence[Fate]) -> str:
    """Return what to say where models are not as the inventory says; nothing where all are."""
    bad = [fate for fate in fates if fate.error]
    if not bad:
        return ""
    good = len(fates) - len(bad)
    rest = f"; the other {good} are" if good else ""
    lines = "".join(f"\n- {_line(fate, False)}" for fate in bad)
    return f"{len(bad)} of {len(fates)} model(s) are not as the inventory says{rest}:{lines}"


def diff(changes: Sequence[Change], drift: Sequence[object]) -> list[dict[str, str]]:
    """Return the diffs: what was changed by hand, then each changed field."""
    found = []
    if drift:
        lines = "".join(f"{line}\n" for line in drift)
        found.append({"before_header": "changed by hand", "before": lines, "after": ""})
    if changes:
        fields = describe_changes(map(_concealed, changes))
        found.append({"before_header": "objects", "after_header": "objects", **fields})
    return found


def _concealed(change: Change) -> Change:
    return Change(change.key, change.action, _hide(change.before), _hide(change.after))


def _hide(item: Object | None) -> Object | None:
    return None if item is None else conceal(item)
