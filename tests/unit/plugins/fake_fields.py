# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Server-side apply, as far as the collection's objects need it: who owns which field."""

from __future__ import annotations

import copy
from typing import Any

_Path = tuple[str, ...]
_OURS = ("maas.platform", "Apply")


def leaves(item: Any, path: _Path = ()) -> dict[_Path, Any]:
    """Return every field by its path; lists count as one field, as atomic ones do."""
    if isinstance(item, dict) and item:
        found: dict[_Path, Any] = {}
        for name, value in item.items():
            found.update(leaves(value, (*path, name)))
        return found
    return {path: item}


def owned(item: dict[str, Any]) -> dict[_Path, Any]:
    """Return the fields that an applied manifest owns."""
    content = {key: value for key, value in item.items() if key not in ("apiVersion", "kind")}
    content = {key: value for key, value in content.items() if key != "status"}
    keep = ("labels", "annotations")
    content["metadata"] = {k: v for k, v in item["metadata"].items() if k in keep}
    return {path: value for path, value in leaves(content).items() if value != {}}


def apply(old: dict[str, Any] | None, manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the object after our manifest was applied with force."""
    wanted = owned(manifest)
    if old is None or not read(old):
        # Of an object that a test put there nobody owns anything.
        new = copy.deepcopy(manifest)
        for name in ("uid", "resourceVersion", "generation"):
            if old is not None and name in old["metadata"]:
                new["metadata"][name] = old["metadata"][name]
        if old is not None and "status" in old:
            new["status"] = old["status"]
        _write(new, {_OURS: set(wanted)})
        return new
    new = copy.deepcopy(old)
    owners = read(old)
    for path in owners.pop(_OURS, set()) - set(wanted):
        if not any(path in paths for paths in owners.values()):
            _drop(new, path)
    for path, value in wanted.items():
        if _get(new, path) != value:
            for paths in owners.values():
                paths.discard(path)
        _put(new, path, copy.deepcopy(value))
    _write(new, {**owners, _OURS: set(wanted)})
    return new


def edit(item: dict[str, Any], manager: str, changes: dict[_Path, Any]) -> None:
    """Change fields by another hand, as kubectl edit does; None takes a field away."""
    owners = read(item)
    who = owners.setdefault((manager, "Update"), set())
    for path, value in changes.items():
        for paths in owners.values():
            paths.discard(path)
        if value is None:
            _drop(item, path)
        else:
            _put(item, path, value)
            who.add(path)
    _write(item, owners)


def read(item: dict[str, Any]) -> dict[tuple[str, str], set[_Path]]:
    """Return the owners of an object's fields."""
    return {
        (entry["manager"], entry["operation"]): set(_flatten(entry["fieldsV1"]))
        for entry in item["metadata"].get("managedFields") or []
    }


def _flatten(fields: dict[str, Any], path: _Path = ()) -> list[_Path]:
    if not fields:
        return [path]
    return [
        leaf
        for name, inside in fields.items()
        for leaf in _flatten(inside, (*path, name.removeprefix("f:")))
    ]


def _write(item: dict[str, Any], owners: dict[tuple[str, str], set[_Path]]) -> None:
    entries = []
    for (manager, operation), paths in owners.items():
        fields: dict[str, Any] = {}
        for path in sorted(paths):
            place = fields
            for name in path:
                place = place.setdefault(f"f:{name}", {})
        if fields:
            entries.append({"manager": manager, "operation": operation, "fieldsV1": fields})
    item["metadata"]["managedFields"] = entries


def _get(item: Any, path: _Path) -> Any:
    for name in path:
        if not isinstance(item, dict) or name not in item:
            return None
        item = item[name]
    return item


def _put(item: dict[str, Any], path: _Path, value: Any) -> None:
    for name in path[:-1]:
        item = item.setdefault(name, {})
    item[path[-1]] = value


def _drop(item: dict[str, Any], path: _Path) -> None:
    if path[0] not in item:
        return
    if len(path) == 1:
        del item[path[0]]
        return
    _drop(item[path[0]], path[1:])
    # Nobody wants a map of which nothing is left.
    if not item[path[0]] and path[0] not in ("metadata", "spec"):
        del item[path[0]]
