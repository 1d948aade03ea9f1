# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a live object is what was rendered, and who changed what is not. Pure.

The API server notes with each field who set it last (managedFields). So an object that needs
nothing is left alone without asking, and what somebody changed by hand is told from what the
inventory changes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ._errors import show
from ._names import FIELD_MANAGER
from ._objects import Key, Object, clean, key_of

Path = tuple[str, ...]
_Fields = Mapping[str, Any]

#: What stands for a field that is not there.
ABSENT: Any = object()


@dataclass(frozen=True)
class Drift:
    """One field that somebody else changed, or an object that somebody deleted.

    Only what the inventory did not change itself counts.
    """

    key: Key
    path: str = ""
    live: Any = ABSENT
    wanted: Any = ABSENT
    manager: str = ""

    def __str__(self) -> str:
        """Return the line a person reads."""
        if not self.path:
            return f"{self.key} is missing"
        by = f", changed by {self.manager}" if self.manager else ", changed by hand"
        if self.live is ABSENT:
            return f"{self.key}: {self.path} is gone, wanted {show(self.wanted)}{by}"
        if self.wanted is ABSENT:
            return f"{self.key}: {self.path} is {show(self.live)} and nobody wants it{by}"
        return f"{self.key}: {self.path} is {show(self.live)}, wanted {show(self.wanted)}{by}"


@dataclass(frozen=True)
class Difference:
    """One field in which two objects differ."""

    path: Path
    before: Any
    after: Any


def in_step(live: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> bool:
    """Return whether applying the object would change nothing.

    It must say what is wanted, and we must own exactly those fields: else one that is rendered
    no more would stay. What others added is not looked at.
    """
    if live is None:
        return False
    ours = _fields_of(live, apply_only=True)
    content = _content(wanted)
    return (
        bool(ours)
        and not any(_lacking(live, wanted))
        and _covers(ours, content)
        and not _exceeds(ours, content)
    )


def strangers(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[Path]:
    """Return the fields that others added where what is rendered is meant to be all there is.

    Applying does not take away what others own. Labels and annotations may be anybody's.
    """
    found: list[Path] = []
    for _manager, fields in _others(live):
        for name in wanted:
            if name in ("apiVersion", "kind", "metadata"):
                continue
            inside = fields.get(f"f:{name}")
            if inside is not None and name in live:
                found += _additions(inside, live[name], wanted[name], (name,))
    return sorted(set(found))


def without(wanted: Mapping[str, Any], paths: list[Path]) -> Object:
    """Return the merge patch that takes these fields away again."""
    patch: Object = {}
    for path in paths:
        place = patch
        for name in path[:-1]:
            place = place.setdefault(name, {})
        # A list is not merged but replaced: by what it is meant to be.
        value = _at(wanted, path)
        place[path[-1]] = None if value is ABSENT else copy.deepcopy(value)
    return patch


def merge(item: Mapping[str, Any], patch: Mapping[str, Any]) -> Object:
    """Return the object as the merge patch leaves it."""
    merged = copy.deepcopy(dict(item))
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping):
            inside = merged.get(name)
            merged[name] = merge(inside if isinstance(inside, Mapping) else {}, value)
        else:
            merged[name] = copy.deepcopy(value)
    return merged


def find_drift(
    live: Mapping[str, Any] | None, wanted: Mapping[str, Any], same_revision: bool
) -> list[Drift]:
    """Return what was changed by hand: what others own, and any change at the same revision.

    Of a field that nobody owns, in an inventory that changed too, nobody can tell who it was.
    """
    key = key_of(wanted)
    if live is None:
        return [Drift(key)] if same_revision else []
    managers = _owners(live)
    drifts = []
    for difference in _lacking(live, wanted, exact_lists=True):
        manager = _manager_at(managers, difference.path)
        if manager or same_revision:
            drifts.append(
                Drift(
                    key,
                    write_path(difference.path),
                    difference.before,
                    difference.after,
                    manager or "",
                )
            )
    for path in strangers(live, wanted):
        if _at(wanted, path) is ABSENT:
            manager = _manager_at(managers, path) or ""
            drifts.append(Drift(key, write_path(path), _at(live, path), ABSENT, manager))
    return drifts


def previous(live: Mapping[str, Any], wanted: Mapping[str, Any] | None) -> Object:
    """Return the manifest that puts a live object back: our fields, and those we overwrite."""
    kept = clean(live)
    ours = _fields_of(live)
    if not ours:
        metadata = {
            name: kept["metadata"][name]
            for name in ("name", "namespace", "labels", "annotations")
            if name in kept["metadata"]
        }
        return {**kept, "metadata": metadata}
    content = _content(wanted) if wanted is not None else {}
    metadata = kept["metadata"]
    wanted_metadata = content.get("metadata") or {}
    names = {name: metadata[name] for name in ("name", "namespace") if name in metadata}
    return {
        **_pick(kept, ours, content),
        "apiVersion": kept["apiVersion"],
        "kind": kept["kind"],
        "metadata": {**_pick(metadata, ours.get("f:metadata") or {}, wanted_metadata), **names},
    }


def differences(before: Any, after: Any, path: Path = ()) -> Iterator[Difference]:
    """Yield every field in which two values differ, in a fixed order."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*before, *after}):
            yield from differences(
                before.get(name, ABSENT), after.get(name, ABSENT), (*path, str(name))
            )
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            yield from differences(
                before[index] if index < len(before) else ABSENT,
                after[index] if index < len(after) else ABSENT,
                (*path, f"[{index}]"),
            )
    elif before is not after and before != after:
        yield Difference(path, before, after)


def write_path(path: Path) -> str:
    """Return a path as people write it."""
    text = ""
    for name in path:
        if name.startswith("["):
            text += name
        elif "." in name or "/" in name:
            text += f"[{show(name)}]"
        else:
            text += f".{name}" if text else name
    return text


def _content(item: Mapping[str, Any]) -> Object:
    """Return what an object says, without what only names it."""
    kept = {name: value for name, value in item.items() if name not in ("apiVersion", "kind")}
    kept["metadata"] = {
        name: value for name, value in item["metadata"].items() if name not in ("name", "namespace")
    }
    return kept


def _lacking(
    live: Mapping[str, Any], wanted: Mapping[str, Any], exact_lists: bool = False
) -> Iterator[Difference]:
    yield from _missing(live, _content(wanted), (), exact_lists)


def _missing(live: Any, wanted: Any, path: Path, exact_lists: bool) -> Iterator[Difference]:
    """Yield where live does not say what is wanted; it may say more, as servers add defaults."""
    if isinstance(live, Mapping) and isinstance(wanted, Mapping):
        for name, value in wanted.items():
            yield from _missing(live.get(name, ABSENT), value, (*path, name), exact_lists)
    elif isinstance(live, list) and isinstance(wanted, list):
        if exact_lists:
            yield from differences(live, wanted, path)
        elif len(live) != len(wanted):
            yield Difference(path, live, wanted)
        else:
            for index, (one, other) in enumerate(zip(live, wanted, strict=True)):
                yield from _missing(one, other, (*path, f"[{index}]"), exact_lists)
    elif live is ABSENT and isinstance(wanted, (Mapping, list)) and not wanted:
        return  # the server leaves out what is empty
    elif live is ABSENT or live != wanted:
        yield Difference(path, live, wanted)


def _entries(live: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for entry in live["metadata"].get("managedFields") or []:
        if not entry.get("subresource"):
            yield entry


def _fields_of(live: Mapping[str, Any], apply_only: bool = False) -> _Fields:
    merged: dict[str, Any] = {}
    for entry in _entries(live):
        mine = entry.get("manager") == FIELD_MANAGER
        if mine and (not apply_only or entry.get("operation") == "Apply"):
            _merge(merged, entry.get("fieldsV1") or {})
    return merged


def _merge(into: dict[str, Any], fields: _Fields) -> None:
    for name, inside in fields.items():
        _merge(into.setdefault(name, {}), inside)


def _others(live: Mapping[str, Any]) -> Iterator[tuple[str, _Fields]]:
    for entry in _entries(live):
        if entry.get("manager") != FIELD_MANAGER:
            yield str(entry.get("manager")), entry.get("fieldsV1") or {}


def _names(fields: _Fields) -> Iterator[tuple[str, _Fields]]:
    for name, inside in fields.items():
        if name.startswith("f:"):
            yield name[2:], inside


def _covers(fields: _Fields, wanted: Any) -> bool:
    """Return whether these fields hold everything wanted; a leaf holds all below it."""
    known = dict(_names(fields))
    if not known or not isinstance(wanted, Mapping):
        return True
    return all(
        name in known and _covers(known[name], value)
        for name, value in wanted.items()
        # Nobody can own nothing: an empty map leaves no mark of its own everywhere.
        if not (isinstance(value, (Mapping, list)) and not value)
    )


def _exceeds(fields: _Fields, wanted: Any) -> bool:
    """Return whether these fields hold more than is wanted."""
    if not isinstance(wanted, Mapping):
        return False
    return any(
        name not in wanted or _exceeds(inside, wanted[name]) for name, inside in _names(fields)
    )


def _additions(fields: _Fields, live: Any, wanted: Any, path: Path) -> Iterator[Path]:
    if isinstance(live, list):
        if isinstance(wanted, list) and len(live) != len(wanted):
            yield path
        return
    if not isinstance(live, Mapping):
        return
    for name, inside in _names(fields):
        if name not in live:
            continue
        if not isinstance(wanted, Mapping) or name not in wanted:
            yield (*path, name)
        else:
            yield from _additions(inside, live[name], wanted[name], (*path, name))


def _owners(live: Mapping[str, Any]) -> list[tuple[str, _Fields]]:
    """Return who else owns what, the latest change first."""
    entries = sorted(_entries(live), key=lambda entry: str(entry.get("time") or ""), reverse=True)
    return [
        (str(entry.get("manager")), entry.get("fieldsV1") or {})
        for entry in entries
        if entry.get("manager") != FIELD_MANAGER
    ]


def _manager_at(managers: list[tuple[str, _Fields]], path: Path) -> str | None:
    for manager, fields in managers:
        inside: Any = fields
        for name in path:
            known = dict(_names(inside))
            if not known:
                break  # a list, or an atomic value: held as a whole
            if name not in known:
                inside = None
                break
            inside = known[name]
        if inside is not None and inside is not fields:
            return manager
    return None


def _at(item: Any, path: Path) -> Any:
    for name in path:
        if not isinstance(item, Mapping) or name not in item:
            return ABSENT
        item = item[name]
    return item


def _pick(live: Any, fields: _Fields, wanted: Any) -> Any:
    """Return what fields or wanted name of a live value; leaves and lists as a whole."""
    known = dict(_names(fields))
    if not isinstance(live, Mapping) or not (known or isinstance(wanted, Mapping)):
        return copy.deepcopy(live)
    more = wanted if isinstance(wanted, Mapping) else {}
    return {
        name: _pick(value, known.get(name) or {}, more.get(name))
        for name, value in live.items()
        if name in known or name in more
    }
