# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Reading one entry of maas_tiers. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ._checks import (
    Problems,
    dns_label,
    duration,
    keys,
    mapping,
    sequence,
    shown_text,
    switch,
    text,
    whole_number,
)
from ._durations import ALLOWED as DURATION
from ._durations import write_seconds
from ._errors import nearest
from ._models import Model, ModelRef
from ._names import TIER_NAMESPACE_PREFIX
from ._quotas import Limits, read_limits
from ._removals import ON_REMOVAL, OnRemoval, read_on_removal
from ._tier import Tier

#: The tier's namespace carries its name and has at most 63 characters.
LONGEST_NAME = 63 - len(TIER_NAMESPACE_PREFIX)
#: The API server refuses to make tokens that live shorter.
SHORTEST_TTL_SECONDS = 600
DEFAULT_TTL_SECONDS = 4 * 3600
DEFAULT_MAX_TTL_SECONDS = 24 * 3600

# The inference extension keeps priorities in 32 bits.
_LOWEST_PRIORITY, _HIGHEST_PRIORITY = -(2**31), 2**31 - 1

KEYS = {
    "name": f"a DNS label of at most {LONGEST_NAME} characters",
    "display_name": "text",
    "description": "text",
    "level": "a whole number, at least 0, that no other tier has",
    "groups": "a list of group names",
    "models": 'a list of model names or globs over maas_models; "*" for all',
    "token": "a mapping with default_ttl and max_ttl",
    "limits": "a mapping with requests and tokens",
    "enabled": "true or false",
    "priority": "a whole number; higher goes first",
    "renamed_from": "a list of names the tier had before",
    "state": "present or absent",
    "on_removal": ON_REMOVAL,
}
_REQUIRED = ("name", "level", "groups", "models", "limits")
_REQUIRED_OF_ABSENT = ("name", "on_removal")
_STATES = ("present", "absent")
_TOKEN_KEYS = {"default_ttl": DURATION, "max_ttl": DURATION}


@dataclass(frozen=True)
class Entry:
    """One entry. Of a tier that is to go there may be little more than its name."""

    path: str
    name: str
    present: bool
    tier: Tier | None = None
    groups: tuple[str, ...] | None = None
    renamed_from: tuple[str, ...] = ()
    on_removal: OnRemoval | None = None


def read_entry(problems: Problems, path: str, entry: Any, models: Sequence[Model]) -> Entry | None:
    """Return the entry, or nothing where its name cannot be read; problems say what is wrong."""
    raw = mapping(problems, path, entry, f"a mapping with {', '.join(KEYS)}")
    if raw is None:
        return None
    state = raw.get("state", "present")
    if state not in _STATES:
        problems.found(f"{path}.state", state, KEYS["state"], nearest(state, _STATES))
    present = state != "absent"
    before = len(problems)
    keys(problems, path, raw, KEYS, _REQUIRED if present else _REQUIRED_OF_ABSENT)
    name = None
    if "name" in raw:
        name = dns_label(problems, f"{path}.name", raw["name"], LONGEST_NAME)
    on_removal = None
    if "on_removal" in raw:
        on_removal = read_on_removal(problems, f"{path}.on_removal", raw["on_removal"])
    renamed_from = _read_old_names(problems, f"{path}.renamed_from", raw.get("renamed_from", []))
    # Of a tier that goes, models may be gone as well: its own need not exist any more.
    fields = _read_fields(problems, path, raw, models if present else None)
    if name is None:
        return None
    whole = present and len(problems) == before
    return Entry(
        path=path,
        name=name,
        present=present,
        tier=fields.tier(name) if whole else None,
        groups=fields.groups if "groups" in raw else None,
        renamed_from=renamed_from,
        on_removal=on_removal,
    )


@dataclass(frozen=True)
class _Fields:
    """A tier's own keys, as far as they could be read."""

    level: int | None
    groups: tuple[str, ...]
    models: tuple[ModelRef, ...]
    limits: Limits
    ttls: tuple[int, int]
    texts: Mapping[str, str]
    enabled: bool
    priority: int

    def tier(self, name: str) -> Tier | None:
        """Return the tier, if nothing that it needs is missing."""
        limits = self.limits
        if self.level is None or limits.requests is None or limits.tokens is None:
            return None
        return Tier(
            name=name,
            display_name=self.texts.get("display_name", name),
            description=self.texts.get("description", ""),
            level=self.level,
            groups=self.groups,
            models=self.models,
            default_ttl_seconds=self.ttls[0],
            max_ttl_seconds=self.ttls[1],
            requests=limits.requests,
            tokens=limits.tokens,
            enabled=self.enabled,
            priority=self.priority,
            model_limits=limits.models,
        )


def _read_fields(
    problems: Problems, path: str, raw: Mapping[str, Any], models: Sequence[Model] | None
) -> _Fields:
    level = groups = None
    refs: tuple[ModelRef, ...] = ()
    limits = Limits()
    if "level" in raw:
        level = whole_number(problems, f"{path}.level", raw["level"], 0)
    if "groups" in raw:
        groups = _read_groups(problems, f"{path}.groups", raw["groups"])
    if "models" in raw:
        refs = _read_models(problems, f"{path}.models", raw["models"], models)
    if "limits" in raw:
        names = None if models is None else {ref.name: ref for ref in refs}
        required = ("requests", "tokens")
        limits = read_limits(problems, f"{path}.limits", raw["limits"], names, required)
    priority = whole_number(
        problems, f"{path}.priority", raw.get("priority", 0), _LOWEST_PRIORITY, _HIGHEST_PRIORITY
    )
    return _Fields(
        level=level,
        groups=groups or (),
        models=refs,
        limits=limits,
        ttls=_read_token(problems, f"{path}.token", raw.get("token", {})),
        texts={
            key: shown_text(problems, f"{path}.{key}", raw[key]) or ""
            for key in ("display_name", "description")
            if raw.get(key, "") != ""
        },
        enabled=bool(switch(problems, f"{path}.enabled", raw.get("enabled", True))),
        priority=priority or 0,
    )


def _read_groups(problems: Problems, path: str, raw: Any) -> tuple[str, ...]:
    groups: list[str] = []
    for index, entry in enumerate(sequence(problems, path, raw, KEYS["groups"]) or []):
        here = f"{path}[{index}]"
        group = text(problems, here, entry, "a group name: text, no space at either end")
        if group in groups:
            problems.found(here, group, "each group once")
        elif group is not None:
            groups.append(group)
    return tuple(groups)


def _read_old_names(problems: Problems, path: str, raw: Any) -> tuple[str, ...]:
    names = [
        dns_label(problems, f"{path}[{index}]", entry, LONGEST_NAME)
        for index, entry in enumerate(sequence(problems, path, raw, KEYS["renamed_from"]) or [])
    ]
    return tuple(name for name in names if name is not None)


def _read_models(
    problems: Problems, path: str, raw: Any, models: Sequence[Model] | None
) -> tuple[ModelRef, ...]:
    names = [model.name for model in models or ()]
    chosen: dict[str, ModelRef] = {}
    for index, entry in enumerate(sequence(problems, path, raw, KEYS["models"]) or []):
        pattern = text(problems, f"{path}[{index}]", entry, "the name of a model, or a glob")
        if pattern is None or models is None:
            continue
        fitting = [model for model in models if fnmatch.fnmatchcase(model.name, pattern)]
        # All of no models is no mistake: a platform may start without any.
        if not fitting and pattern != "*":
            allowed = f"a model in maas_models: {', '.join(names) or '(there are none)'}"
            problems.found(f"{path}[{index}]", pattern, allowed, nearest(pattern, names))
        chosen.update((model.name, model.ref) for model in fitting)
    return tuple(sorted(chosen.values()))


def _read_token(problems: Problems, path: str, entry: Any) -> tuple[int, int]:
    raw = mapping(problems, path, entry, KEYS["token"])
    if raw is None:
        return DEFAULT_TTL_SECONDS, DEFAULT_MAX_TTL_SECONDS
    keys(problems, path, raw, _TOKEN_KEYS)
    longest = _read_ttl(problems, f"{path}.max_ttl", raw.get("max_ttl"), DEFAULT_MAX_TTL_SECONDS)
    fallback = min(DEFAULT_TTL_SECONDS, longest)
    usual = _read_ttl(problems, f"{path}.default_ttl", raw.get("default_ttl"), fallback)
    if usual > longest:
        problems.found(
            f"{path}.default_ttl",
            raw.get("default_ttl"),
            f"at most max_ttl, which is {write_seconds(longest)}",
        )
    return usual, longest


def _read_ttl(problems: Problems, path: str, raw: Any, absent: int) -> int:
    if raw is None:
        return absent
    seconds = duration(problems, path, raw)
    if seconds is not None and seconds < SHORTEST_TTL_SECONDS:
        shortest = write_seconds(SHORTEST_TTL_SECONDS)
        problems.found(path, raw, f"at least {shortest}, the shortest Kubernetes can make")
        return absent
    return seconds or absent
