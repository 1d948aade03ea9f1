# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Tiers as the inventory writes them: parse, validate, resolve. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union

from ._accounts import tier_namespace
from ._checks import Problems, dns_label, keys, mapping, sequence, text, whole_number
from ._durations import ALLOWED as DURATION
from ._durations import parse_seconds, write_seconds
from ._errors import MaasError, nearest, show
from ._models import Model, ModelRef, read_models
from ._names import MODEL_NAMESPACE, TIER_NAMESPACE_PREFIX

UNLIMITED: Literal["unlimited"] = "unlimited"

#: The tier's namespace carries its name and has at most 63 characters.
LONGEST_NAME = 63 - len(TIER_NAMESPACE_PREFIX)
#: The API server refuses to make tokens that live shorter.
SHORTEST_TTL_SECONDS = 600
DEFAULT_TTL_SECONDS = 4 * 3600
DEFAULT_MAX_TTL_SECONDS = 24 * 3600

_KEYS = {
    "name": f"a DNS label of at most {LONGEST_NAME} characters",
    "display_name": "text",
    "description": "text",
    "level": "a whole number, at least 0, that no other tier has",
    "groups": "a list of group names",
    "models": 'a list of model names or globs over maas_models; "*" for all',
    "token": "a mapping with default_ttl and max_ttl",
    "limits": "a mapping with requests and tokens",
}
_REQUIRED = ("name", "level", "groups", "models", "limits")
_LATER = ("renamed_from", "state", "on_removal", "enabled")
_TOKEN_KEYS = {"default_ttl": DURATION, "max_ttl": DURATION}
_QUOTA = "a list of {limit: …, window: …}, or the word unlimited"
_LIMITS_KEYS = {"requests": _QUOTA, "tokens": _QUOTA}
_RATE_KEYS = {"limit": "a whole number, at least 1", "window": DURATION}


@dataclass(frozen=True)
class Rate:
    """So many in so long."""

    limit: int
    window_seconds: int


#: Rates, each with a window of its own; never empty, because no limit is said by a word.
Quota = Union[tuple[Rate, ...], Literal["unlimited"]]  # noqa: UP007 - sanity's oldest Python


@dataclass(frozen=True)
class Tier:
    """One tier, its globs resolved to the models they name."""

    name: str
    display_name: str
    description: str
    level: int
    groups: tuple[str, ...]
    models: tuple[ModelRef, ...]
    default_ttl_seconds: int
    max_ttl_seconds: int
    requests: Quota
    tokens: Quota

    @property
    def namespace(self) -> str:
        """Return the namespace of the tier's accounts."""
        return tier_namespace(self.name)


@dataclass(frozen=True)
class Inventory:
    """What the two shared variables say."""

    tiers: tuple[Tier, ...]
    models: tuple[Model, ...]


def parse_inventory(
    raw_tiers: Any, raw_models: Any, default_namespace: str = MODEL_NAMESPACE
) -> Inventory:
    """Return tiers and models; MaasError lists everything that is wrong with either."""
    problems = Problems()
    models = read_models(problems, raw_models, default_namespace=default_namespace)
    tiers = _read_tiers(problems, raw_tiers, models, "maas_tiers")
    _refuse_unnamed_models(problems, raw_tiers, raw_models)
    if problems:
        raise MaasError("the tiers and models in the inventory are not valid", problems)
    return Inventory(tuple(tiers), tuple(models))


def inventory_problems(
    raw_tiers: Any, raw_models: Any, default_namespace: str = MODEL_NAMESPACE
) -> list[str]:
    """Return everything wrong with tiers and models, one line each; empty where all is well."""
    try:
        parse_inventory(raw_tiers, raw_models, default_namespace)
    except MaasError as exc:
        return exc.problems
    return []


def parse_tiers(raw: Any, models: Sequence[Model], path: str = "maas_tiers") -> list[Tier]:
    """Return the tiers over these models; MaasError lists everything that is wrong."""
    problems = Problems()
    tiers = _read_tiers(problems, raw, models, path)
    if problems:
        raise MaasError(f"{path} is not valid", problems)
    return tiers


def resolve_tier(tiers: Iterable[Tier], groups: Iterable[str]) -> Tier | None:
    """Return the tier of somebody in these groups: of those that fit, the highest level."""
    member = set(groups)
    fitting = (tier for tier in tiers if member.intersection(tier.groups))
    return max(fitting, key=lambda tier: tier.level, default=None)


def find_tier(tiers: Iterable[Tier], name: str) -> Tier:
    """Return the tier of this name; MaasError says which there are."""
    known = {tier.name: tier for tier in tiers}
    if name in known:
        return known[name]
    hint = nearest(name, known)
    raise MaasError(
        f"there is no tier {show(name)}; the tiers are {', '.join(known) or '(none)'}"
        + (f" ({hint})" if hint else "")
    )


def _read_tiers(problems: Problems, raw: Any, models: Sequence[Model], path: str) -> list[Tier]:
    entries = sequence(problems, path, raw, "a list of tiers")
    if entries is None:
        return []
    if not entries:
        problems.found(path, entries, "at least one tier")
    tiers: list[Tier] = []
    for index, entry in enumerate(entries):
        tier = _read_tier(problems, f"{path}[{index}]", entry, models)
        if tier is not None:
            tiers.append(tier)
    for key in ("name", "level"):
        _refuse_twins(problems, entries, path, key)
    return tiers


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


def _read_tier(problems: Problems, path: str, entry: Any, models: Sequence[Model]) -> Tier | None:
    before = len(problems)
    raw = mapping(problems, path, entry, f"a mapping with {', '.join(_KEYS)}")
    if raw is None:
        return None
    keys(problems, path, raw, _KEYS, _REQUIRED, _LATER)
    name = level = groups = refs = quotas = None
    if "name" in raw:
        name = dns_label(problems, f"{path}.name", raw["name"], LONGEST_NAME)
    if "level" in raw:
        level = whole_number(problems, f"{path}.level", raw["level"], 0)
    if "groups" in raw:
        groups = _read_groups(problems, f"{path}.groups", raw["groups"])
    if "models" in raw:
        refs = _read_models(problems, f"{path}.models", raw["models"], models)
    if "limits" in raw:
        quotas = _read_limits(problems, f"{path}.limits", raw["limits"])
    ttls = _read_token(problems, f"{path}.token", raw.get("token", {}))
    texts = {
        key: text(problems, f"{path}.{key}", raw[key]) or ""
        for key in ("display_name", "description")
        if raw.get(key, "") != ""
    }
    if len(problems) > before:
        return None
    if name is None or level is None or groups is None or refs is None or quotas is None:
        return None
    return Tier(
        name=name,
        display_name=texts.get("display_name", name),
        description=texts.get("description", ""),
        level=level,
        groups=groups,
        models=refs,
        default_ttl_seconds=ttls[0],
        max_ttl_seconds=ttls[1],
        requests=quotas[0],
        tokens=quotas[1],
    )


def _read_groups(problems: Problems, path: str, raw: Any) -> tuple[str, ...]:
    groups: list[str] = []
    for index, entry in enumerate(sequence(problems, path, raw, _KEYS["groups"]) or []):
        here = f"{path}[{index}]"
        group = text(problems, here, entry, "a group name: text, no space at either end")
        if group in groups:
            problems.found(here, group, "each group once")
        elif group is not None:
            groups.append(group)
    return tuple(groups)


def _read_models(
    problems: Problems, path: str, raw: Any, models: Sequence[Model]
) -> tuple[ModelRef, ...]:
    names = [model.name for model in models]
    chosen: dict[str, ModelRef] = {}
    for index, entry in enumerate(sequence(problems, path, raw, _KEYS["models"]) or []):
        pattern = text(problems, f"{path}[{index}]", entry, "the name of a model, or a glob")
        if pattern is None:
            continue
        fitting = [model for model in models if fnmatch.fnmatchcase(model.name, pattern)]
        # All of no models is no mistake: a platform may start without any.
        if not fitting and pattern != "*":
            allowed = f"a model in maas_models: {', '.join(names) or '(there are none)'}"
            problems.found(f"{path}[{index}]", pattern, allowed, nearest(pattern, names))
        chosen.update((model.name, model.ref) for model in fitting)
    return tuple(sorted(chosen.values()))


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
        if not isinstance(name, str):
            continue
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            allowed = "a model that at least one tier names in its models"
            problems.found(f"maas_models[{index}].name", name, allowed)


def _mappings(raw: Any) -> list[Mapping[str, Any]]:
    entries = raw if isinstance(raw, (list, tuple)) else []
    return [entry if isinstance(entry, Mapping) else {} for entry in entries]


def _read_token(problems: Problems, path: str, entry: Any) -> tuple[int, int]:
    raw = mapping(problems, path, entry, _KEYS["token"])
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
    seconds = _read_duration(problems, path, raw)
    if seconds is not None and seconds < SHORTEST_TTL_SECONDS:
        shortest = write_seconds(SHORTEST_TTL_SECONDS)
        problems.found(path, raw, f"at least {shortest}, the shortest Kubernetes can make")
        return absent
    return seconds or absent


def _read_duration(problems: Problems, path: str, raw: Any) -> int | None:
    try:
        return parse_seconds(raw)
    except MaasError:
        problems.found(path, raw, DURATION)
        return None


def _read_limits(problems: Problems, path: str, entry: Any) -> tuple[Quota, Quota] | None:
    raw = mapping(problems, path, entry, _KEYS["limits"])
    if raw is None:
        return None
    keys(problems, path, raw, _LIMITS_KEYS, required=_LIMITS_KEYS, later=("models",))
    quotas = [
        _read_quota(problems, f"{path}.{key}", raw[key]) for key in _LIMITS_KEYS if key in raw
    ]
    return (quotas[0], quotas[1]) if len(quotas) == 2 else None


def _read_quota(problems: Problems, path: str, raw: Any) -> Quota:
    if raw == UNLIMITED:
        return UNLIMITED
    entries = [] if isinstance(raw, str) else sequence(problems, path, raw, _QUOTA)
    if entries == []:
        problems.found(path, raw, _QUOTA, nearest(raw, [UNLIMITED]))
    rates: dict[int, Rate] = {}
    for index, entry in enumerate(entries or []):
        here = f"{path}[{index}]"
        rate = _read_rate(problems, here, entry)
        if rate is None:
            continue
        # Limitador tells limits apart by their window: of two, one would vanish.
        if rate.window_seconds in rates:
            problems.found(f"{here}.window", entry["window"], "each window once")
        rates[rate.window_seconds] = rate
    return tuple(rates[window] for window in sorted(rates))


def _read_rate(problems: Problems, path: str, entry: Any) -> Rate | None:
    raw = mapping(problems, path, entry, "a mapping with limit and window")
    if raw is None:
        return None
    keys(problems, path, raw, _RATE_KEYS, required=_RATE_KEYS)
    limit = whole_number(problems, f"{path}.limit", raw["limit"], 1) if "limit" in raw else None
    window = _read_duration(problems, f"{path}.window", raw["window"]) if "window" in raw else None
    return Rate(limit, window) if limit is not None and window is not None else None
