# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What is allowed and looks like a mistake all the same. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ._durations import write_seconds
from ._errors import MaasError, show
from ._inventory import Inventory
from ._models import Model, ModelRef
from ._names import MODEL_NAMESPACE
from ._quotas import UNLIMITED, Quota, Rate
from ._tier import Tier
from ._tiers import parse_inventory

_KINDS = ("requests", "tokens")
_EVERYONE = "system:authenticated"
#: Counters that are kept in memory alone rarely live longer.
_LONG_WINDOW_SECONDS = 3600


def inventory_warnings(
    raw_tiers: Any,
    raw_models: Any,
    default_namespace: str = MODEL_NAMESPACE,
    raw_overrides: Any = (),
    counters_kept: bool = False,
) -> list[str]:
    """Return likely mistakes, one line each; nothing about variables that are not valid.

    counters_kept says that Limitador has a storage, so that its counters outlive a restart.
    """
    try:
        inventory = parse_inventory(raw_tiers, raw_models, default_namespace, raw_overrides)
    except MaasError:
        return []
    found = [
        *_lower_limits(inventory),
        *_unreachable(inventory),
        *_overlapping(raw_tiers, inventory),
        *_idle_rates(inventory),
        *_borrowed_groups(inventory),
        *_disabled_targets(inventory),
        *_uncalled_models(inventory),
        *_moot_overrides(inventory),
    ]
    return found if counters_kept else [*found, *_long_windows(inventory)]


def _at(inventory: Inventory, tier: Tier) -> str:
    return inventory.paths.get(tier.name, "maas_tiers")


def _by_level(inventory: Inventory) -> list[Tier]:
    return sorted(inventory.tiers, key=lambda tier: tier.level)


def _lower_limits(inventory: Inventory) -> Iterator[str]:
    """Hold every tier against all lower ones."""
    tiers = _by_level(inventory)
    for number, higher in enumerate(tiers):
        below = tiers[:number][::-1]
        for kind in _KINDS:
            yield from _compared(inventory, higher, below, kind)
            for model in higher.models:
                # Where neither has limits of its own for the model, the common ones were compared.
                rivals = [
                    lower
                    for lower in below
                    if model in lower.models
                    and (_own(higher, kind, model) or _own(lower, kind, model)) is not None
                ]
                yield from _compared(inventory, higher, rivals, kind, model)


def _compared(
    inventory: Inventory,
    higher: Tier,
    below: Iterable[Tier],
    kind: str,
    model: ModelRef | None = None,
) -> Iterator[str]:
    """Name the first of these lower tiers that allows more."""
    own = _own(higher, kind, model)
    where = kind if model is None else f"{kind} (model {model.name})"
    if model is not None and own is not None:
        where = f"models.{model.name}.{kind}"
    for lower in below:
        less = _own(lower, kind, model)
        why = _stricter(
            higher.quota(kind) if own is None else own, lower.quota(kind) if less is None else less
        )
        if why:
            yield (
                f"{_at(inventory, higher)}.limits.{where}: {why}; tier {higher.name} "
                f"(level {higher.level}) allows less than tier {lower.name} "
                f"(level {lower.level}), and the higher level wins"
            )
            return


def _own(tier: Tier, kind: str, model: ModelRef | None) -> Quota | None:
    """Return what holds for one model instead of the common quota; None: nothing does."""
    for limits in tier.model_limits:
        if limits.model == model:
            return limits.of(kind)
    return None


def _stricter(more: Quota, less: Quota) -> str:
    """Return in what a quota that should allow more allows less."""
    if more == UNLIMITED:
        return ""
    if less == UNLIMITED:
        return f"{_write(more[0])} against unlimited"
    below = {rate.window_seconds: rate for rate in less}
    for rate in more:
        same = below.get(rate.window_seconds)
        if same is not None and rate.limit < same.limit:
            return f"{_write(rate)} against {_write(same)}"
    slow, fast = min(more, key=_speed), min(less, key=_speed)
    return f"{_write(slow)} against {_write(fast)}" if _speed(slow) < _speed(fast) else ""


def _speed(rate: Rate) -> float:
    return rate.limit / rate.window_seconds


def _write(rate: Rate) -> str:
    return f"{rate.limit} in {write_seconds(rate.window_seconds)}"


def _unreachable(inventory: Inventory) -> Iterator[str]:
    above: dict[str, str] = {}
    lent = {removal.migrate_to for removal in inventory.removals}
    for tier in reversed(_by_level(inventory)):
        where = f"{_at(inventory, tier)}.groups"
        if not tier.groups and tier.name not in lent:
            yield f"{where}: no group, so nobody gets tier {tier.name}"
        elif _EVERYONE in above:
            yield (
                f"{where}: nobody gets tier {tier.name}, because {_EVERYONE}, which is everyone, "
                f"is a group of tier {above[_EVERYONE]}, whose level is higher"
            )
        elif tier.groups and all(group in above for group in tier.groups):
            takers = ", ".join(dict.fromkeys(above[group] for group in tier.groups))
            yield (
                f"{where}: nobody gets tier {tier.name}, because each of its groups is a group "
                f"of a tier with a higher level, too ({takers})"
            )
        for group in tier.groups:
            above.setdefault(group, tier.name)


def _overlapping(raw_tiers: Sequence[Mapping[str, Any]], inventory: Inventory) -> Iterator[str]:
    for index, raw in enumerate(raw_tiers):
        if raw.get("state") == "absent":
            continue
        covers = [_names(inventory.models, pattern) for pattern in raw["models"]]
        for here, pattern in enumerate(raw["models"]):
            # Of two that name the same, the second is too much.
            wider = [
                other
                for other, names in enumerate(covers)
                if other != here
                and covers[here] <= names
                and (covers[here] != names or other < here)
            ]
            if covers[here] and wider:
                yield (
                    f"maas_tiers[{index}].models[{here}]: {show(pattern)} adds nothing to "
                    f"{show(raw['models'][wider[0]])}"
                )


def _names(models: Iterable[Model], pattern: str) -> set[str]:
    return {model.name for model in models if fnmatch.fnmatchcase(model.name, pattern)}


def _quotas(inventory: Inventory) -> Iterator[tuple[str, Quota]]:
    """Return every quota with where it stands."""
    holders: list[tuple[str, Any]] = [(_at(inventory, tier), tier) for tier in inventory.tiers]
    holders += [(f"maas_user_overrides ({user.user})", user) for user in inventory.overrides]
    for where, holder in holders:
        for kind in _KINDS:
            quota = holder.quota(kind)
            if quota is not None:
                yield f"{where}.limits.{kind}", quota
            for limits in holder.model_limits:
                own = limits.of(kind)
                if own is not None:
                    yield f"{where}.limits.models.{limits.model.name}.{kind}", own


def _rates(quota: Quota) -> tuple[Rate, ...]:
    return () if isinstance(quota, str) else quota


def _idle_rates(inventory: Inventory) -> Iterator[str]:
    for where, quota in _quotas(inventory):
        rates = _rates(quota)
        for longer in rates:
            for shorter in rates:
                # So many windows of the shorter kind have to pass before the longer is over.
                fit = -(-longer.window_seconds // shorter.window_seconds)
                if fit > 1 and shorter.limit * fit <= longer.limit:
                    yield (
                        f"{where}: {_write(longer)} never holds anybody back, because "
                        f"{_write(shorter)} always does before"
                    )
                    break


def _long_windows(inventory: Inventory) -> Iterator[str]:
    found = [
        f"{where} ({write_seconds(longest)})"
        for where, quota in _quotas(inventory)
        for longest in [max((rate.window_seconds for rate in _rates(quota)), default=0)]
        if longest > _LONG_WINDOW_SECONDS
    ]
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        yield (
            f"{', '.join(found[:3])}{more}: windows over 1h, and Limitador counts in memory: when "
            "its pod restarts, everybody starts at 0 (kuadrant_limitador_spec.storage keeps them)"
        )


def _borrowed_groups(inventory: Inventory) -> Iterator[str]:
    groups = {tier.name: tier.groups for tier in inventory.tiers}
    for removal in inventory.removals:
        if removal.action != "migrate":
            continue
        target = removal.migrate_to
        if removal.groups is None:
            lent = f"those that tier {removal.name} has on the cluster"
        else:
            lent = ", ".join(group for group in removal.groups if group not in groups[target])
        if lent:
            yield (
                f"{inventory.paths.get(removal.name, 'maas_tiers')}.groups: {lent} count for tier "
                f"{target} only until the last token of tier {removal.name} is dead; write them "
                f"into the groups of tier {target} to keep them"
            )


def _disabled_targets(inventory: Inventory) -> Iterator[str]:
    disabled = {tier.name for tier in inventory.tiers if not tier.enabled}
    for removal in inventory.removals:
        if removal.migrate_to in disabled:
            where = inventory.paths.get(removal.name, "maas_tiers")
            yield (
                f"{where}.on_removal.migrate_to: tier {removal.migrate_to} is disabled, so the "
                f"users of tier {removal.name} are refused"
            )


def _uncalled_models(inventory: Inventory) -> Iterator[str]:
    called = {ref for tier in inventory.tiers if tier.enabled for ref in tier.models}
    for model in inventory.models:
        if model.ref not in called and model.state != "retired":
            yield (
                f"maas_models ({model.name}): named only by tiers that are gone or disabled, so "
                "nobody new may call it"
            )


def _moot_overrides(inventory: Inventory) -> Iterator[str]:
    for override in inventory.overrides:
        if override.suspended and override.limits_anything:
            yield (
                f"maas_user_overrides ({override.user}): suspended, so the limits beside it do "
                "nothing"
            )
