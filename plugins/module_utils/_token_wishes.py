# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Who is to get which token: what a task writes, held against the catalog of tiers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ._accounts import check_user
from ._durations import parse_seconds, write_seconds
from ._errors import MaasError, nearest, show
from ._tiers import SHORTEST_TTL_SECONDS, Tier, find_tier, resolve_tier

_KEYS = ("user", "tier", "groups", "ttl")


@dataclass(frozen=True)
class Wish:
    """One user of a task, with what holds for this user alone; None where nothing does."""

    user: str
    tier: str | None = None
    groups: tuple[str, ...] | None = None
    ttl: str | None = None


@dataclass(frozen=True)
class Grant:
    """A wish that the catalog allows."""

    user: str
    tier: Tier
    ttl_seconds: int


def read_wishes(
    users: Sequence[Any],
    tier: str | None = None,
    groups: Iterable[str] | None = None,
    ttl: str | None = None,
) -> list[Wish]:
    """Return one wish for each user, each once; MaasError lists every entry that is none.

    A user is a name, or a mapping with the user's own tier, groups or ttl.
    """
    usual = Wish("", tier, None if groups is None else tuple(groups), ttl)
    wishes: list[Wish] = []
    problems: list[str] = []
    for index, entry in enumerate(users):
        try:
            wishes.append(_read_wish(entry, usual))
        except MaasError as exc:
            problems.append(f"users[{index}]: {exc}" if len(users) > 1 else str(exc))
    if problems:
        raise MaasError(_headline(problems, users), problems if len(users) > 1 else ())
    return list(dict.fromkeys(wishes))


def grant_wishes(
    tiers: Sequence[Tier], wishes: Sequence[Wish], suspended: Mapping[str, str] | None = None
) -> list[Grant]:
    """Return what every user is to get; MaasError lists everybody who may not have it.

    suspended holds the reason for each user who is.
    """
    grants: list[Grant] = []
    problems: list[str] = []
    for wish in wishes:
        try:
            grants.append(_grant(tiers, wish, suspended or {}))
        except MaasError as exc:
            problems.append(f"user {show(wish.user)}: {exc}" if len(wishes) > 1 else str(exc))
    if problems:
        raise MaasError(_headline(problems, wishes), problems if len(wishes) > 1 else ())
    return grants


def choose_ttl(tier: Tier, ttl: str | None) -> int:
    """Return the seconds a token is to live; MaasError where the tier does not allow them."""
    if ttl is None:
        return tier.default_ttl_seconds
    seconds = parse_seconds(ttl)
    if not SHORTEST_TTL_SECONDS <= seconds <= tier.max_ttl_seconds:
        raise MaasError(
            f"ttl {show(ttl)} is not allowed in tier {tier.name}; allowed: "
            f"{write_seconds(SHORTEST_TTL_SECONDS)} to {write_seconds(tier.max_ttl_seconds)}"
        )
    return seconds


def _headline(problems: Sequence[str], everybody: Sequence[Any]) -> str:
    if len(everybody) == 1:
        return problems[0]
    return f"no token was made, because {len(problems)} of {len(everybody)} users may have none"


def _read_wish(entry: Any, usual: Wish) -> Wish:
    raw = {"user": entry} if isinstance(entry, str) else entry
    if not isinstance(raw, Mapping):
        raise MaasError(f"{show(entry)} is neither a user name nor a mapping with {_listed()}")
    for key in raw:
        if key not in _KEYS:
            hint = nearest(key, _KEYS)
            raise MaasError(
                f"key {show(key)} is not known; allowed: {_listed()}" + (f" ({hint})" * bool(hint))
            )
    user = check_user(raw.get("user"))
    tier, groups, ttl = (raw.get(key) for key in _KEYS[1:])
    if tier is not None and groups is not None:
        raise MaasError(f"user {show(user)} has a tier and groups: only one of them may be there")
    if tier is None and groups is None:
        tier, groups = usual.tier, usual.groups
    return Wish(user, _text(tier, "tier"), _texts(groups), _text(ttl, "ttl") or usual.ttl)


def _listed() -> str:
    return f"{', '.join(_KEYS[:-1])} and {_KEYS[-1]}"


def _text(value: Any, key: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise MaasError(f"{key} {show(value)} is no text")


def _texts(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, (list, tuple)) and all(isinstance(entry, str) for entry in value):
        return tuple(value)
    raise MaasError(f"groups {show(value)} is no list of group names")


def _grant(tiers: Sequence[Tier], wish: Wish, suspended: Mapping[str, str]) -> Grant:
    if wish.user in suspended:
        reason = suspended[wish.user]
        raise MaasError(
            f"user {show(wish.user)} is suspended"
            + (f" ({reason})" if reason else "")
            + "; take the entry out of maas_user_overrides and run the playbook maas.platform.tiers"
        )
    tier = _choose_tier(tiers, wish)
    if not tier.enabled:
        raise MaasError(
            f"tier {tier.name} is disabled; set enabled: true in its entry of maas_tiers and run "
            "the playbook maas.platform.tiers"
        )
    return Grant(wish.user, tier, choose_ttl(tier, wish.ttl))


def _choose_tier(tiers: Sequence[Tier], wish: Wish) -> Tier:
    """Return the tier asked for, or the one that these groups belong to."""
    if wish.tier is not None:
        return find_tier(tiers, wish.tier)
    if wish.groups is None:
        raise MaasError("neither a tier nor groups are given; give one of them")
    members = sorted(set(wish.groups))
    tier = resolve_tier(tiers, members)
    if tier is None:
        raise MaasError(
            f"no tier has any of the groups {show(members)}; name a tier, or add one of these "
            "groups to a tier in maas_tiers"
        )
    return tier
