# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The shared variables together: maas_tiers, maas_models and maas_user_overrides. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

from ._checks import Problems, sequence
from ._errors import MaasError
from ._inventory import Inventory
from ._models import Model, read_models
from ._names import MODEL_NAMESPACE
from ._overrides import Override, read_overrides
from ._quotas import UNLIMITED, ModelLimits, Quota, Rate
from ._removals import Removal, check_target
from ._tier import Tier, find_tier, resolve_tier
from ._tier_entries import (
    DEFAULT_MAX_TTL_SECONDS,
    DEFAULT_TTL_SECONDS,
    LONGEST_NAME,
    SHORTEST_TTL_SECONDS,
    Entry,
    read_entry,
)

__all__ = [
    "DEFAULT_MAX_TTL_SECONDS",
    "DEFAULT_TTL_SECONDS",
    "LONGEST_NAME",
    "SHORTEST_TTL_SECONDS",
    "UNLIMITED",
    "Inventory",
    "ModelLimits",
    "Override",
    "Quota",
    "Rate",
    "Removal",
    "Tier",
    "find_tier",
    "parse_inventory",
    "resolve_tier",
]


def parse_inventory(
    raw_tiers: Any,
    raw_models: Any,
    default_namespace: str = MODEL_NAMESPACE,
    raw_overrides: Any = (),
) -> Inventory:
    """Return what the variables say; MaasError lists everything that is wrong with them."""
    problems = Problems()
    models = read_models(problems, raw_models, default_namespace=default_namespace)
    entries = _read_entries(problems, raw_tiers, models, "maas_tiers")
    _refuse_unnamed_models(problems, raw_tiers, raw_models)
    overrides = read_overrides(problems, raw_overrides, models)
    if problems:
        raise MaasError("the tiers and models in the inventory are not valid", problems)
    return Inventory(
        tiers=tuple(entry.tier for entry in entries if entry.tier is not None),
        models=tuple(models),
        renames=tuple((old, entry.name) for entry in entries for old in entry.renamed_from),
        removals=tuple(_removal(entry) for entry in entries if not entry.present),
        overrides=tuple(overrides),
        paths={entry.name: entry.path for entry in entries},
    )


def _removal(entry: Entry) -> Removal:
    how = entry.on_removal
    if how is None:
        raise ValueError(f"{entry.path} says not what becomes of the accounts")
    return Removal(entry.name, how.action, how.migrate_to, how.drain_seconds, entry.groups)


def _read_entries(problems: Problems, raw: Any, models: Sequence[Model], path: str) -> list[Entry]:
    items = sequence(problems, path, raw, "a list of tiers")
    if items is None:
        return []
    if not items:
        problems.found(path, items, "at least one tier")
    read = [
        read_entry(problems, f"{path}[{index}]", item, models) for index, item in enumerate(items)
    ]
    entries = [entry for entry in read if entry is not None]
    if items and read == entries and not any(entry.present for entry in entries):
        problems.found(path, [entry.name for entry in entries], "at least one tier that stays")
    _refuse_twins(problems, items, path, "name")
    _refuse_twins(problems, [item if _stays(item) else None for item in items], path, "level")
    _check_old_names(problems, entries)
    _check_targets(problems, entries)
    return entries


def _check_targets(problems: Problems, entries: Sequence[Entry]) -> None:
    present = [entry.name for entry in entries if entry.present]
    renames = {old: entry.name for entry in entries for old in entry.renamed_from}
    for entry in entries:
        how = entry.on_removal
        if not entry.present and how and how.action == "migrate":
            check_target(problems, entry.path, entry.name, how.migrate_to, present, renames)


def _stays(item: Any) -> bool:
    return isinstance(item, Mapping) and item.get("state") != "absent"


def _refuse_twins(problems: Problems, entries: list[Any], path: str, key: str) -> None:
    seen: list[tuple[Any, str]] = []
    for index, entry in enumerate(entries):
        if not isinstance(entry, Mapping) or not isinstance(entry.get(key), (str, int)):
            continue
        here = f"{path}[{index}].{key}"
        first = next((where for value, where in seen if value == entry[key]), None)
        if first is None:
            seen.append((entry[key], here))
        else:
            problems.found(here, entry[key], f"a {key} that no other tier has", f"so is {first}")


def _check_old_names(problems: Problems, entries: Sequence[Entry]) -> None:
    """Refuse old names that are still in use: whose the accounts are would be unclear."""
    names = {entry.name: entry.path for entry in entries}
    taken: dict[str, str] = {}
    for entry in entries:
        for index, old in enumerate(entry.renamed_from):
            here = f"{entry.path}.renamed_from[{index}]"
            if old in names:
                allowed = "a name that no tier in the list has any more"
                problems.found(here, old, allowed, f"so is {names[old]}.name")
            elif old in taken:
                problems.found(here, old, "each old name once", f"so is {taken[old]}")
            else:
                taken[old] = here


def _refuse_unnamed_models(problems: Problems, raw_tiers: Any, raw_models: Any) -> None:
    """Refuse models that nobody could call; tiers that do not parse count all the same."""
    patterns = [
        pattern
        for tier in _mappings(raw_tiers)
        if isinstance(tier.get("models"), (list, tuple))
        for pattern in tier["models"]
        if isinstance(pattern, str)
    ]
    for index, model in enumerate(_mappings(raw_models)):
        name = model.get("name")
        # Nobody is to call what goes.
        if not isinstance(name, str) or model.get("state") in ("retired", "absent"):
            continue
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            allowed = "a model that at least one tier names in its models"
            problems.found(f"maas_models[{index}].name", name, allowed)


def _mappings(raw: Any) -> list[Mapping[str, Any]]:
    entries = raw if isinstance(raw, (list, tuple)) else []
    return [entry if isinstance(entry, Mapping) else {} for entry in entries]
