# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""From one list of tiers to the next without stranding anybody. Pure.

Every tier's namespace on the cluster gets a destination: its own tier; another one that took its
accounts over until the tokens made there are dead; a deadline; or deletion. What was decided
once stands on the namespace and in the catalog, so that a second run decides the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from ._accounts import tier_namespace, tier_of_namespace
from ._catalog import Catalog, Former
from ._checks import Problems
from ._errors import MaasError
from ._inventory import Inventory
from ._plan import Doomed, Holding, LiveTiers, Plan, TierNamespace
from ._tier import Tier
from ._tier_entries import DEFAULT_MAX_TTL_SECONDS
from ._times import after, write_time

__all__ = [
    "SWITCH_SECONDS",
    "Doomed",
    "Holding",
    "LiveTiers",
    "Plan",
    "TierNamespace",
    "fresh_plan",
    "plan",
]

#: Tokens are still made in the old namespace while a run switches over.
SWITCH_SECONDS = 300


@dataclass(frozen=True)
class _Destination:
    """Whose rights the accounts of a namespace will have."""

    state: Literal["renamed", "migrated", "draining", "blocked", "vanished"]
    tier: str = ""


_BLOCKED = _Destination("blocked")
_VANISHED = _Destination("vanished")


def fresh_plan(inventory: Inventory) -> Plan:
    """Return the plan for a cluster without any tier: nothing in it depends on the time."""
    return plan(inventory, LiveTiers(), datetime.min.replace(tzinfo=UTC))


def plan(inventory: Inventory, live: LiveTiers, now: datetime) -> Plan:
    """Return what a run is to bring about; MaasError where a move would strand somebody."""
    return _Planner(inventory, live, now).decide()


class _Planner:
    """One run's decisions."""

    def __init__(self, inventory: Inventory, live: LiveTiers, now: datetime) -> None:
        self._inventory = inventory
        self._now = now
        self._catalog = live.catalog or Catalog(())
        self._present = {tier.name: tier for tier in inventory.tiers}
        self._renames = dict(inventory.renames)
        self._removals = {removal.name: removal for removal in inventory.removals}
        self._was = {tier.name: tier for tier in self._catalog.tiers}
        # By what the tier was called: only namespaces with our prefix are tiers'.
        self._found: dict[str, TierNamespace] = {}
        for namespace in live.namespaces:
            own = tier_of_namespace(namespace.name)
            if own is not None:
                self._found[own] = namespace
        self._problems = Problems()
        self._warnings: list[str] = []
        self._draining: dict[str, Tier] = {}

    def decide(self) -> Plan:
        """Return the plan."""
        moved: list[Holding] = []
        doomed: list[Doomed] = []
        for own in sorted(self._found):
            if own in self._present and self._may_be(own):
                continue
            outcome = self._move(own)
            if isinstance(outcome, Holding):
                moved.append(outcome)
            else:
                doomed.append(outcome)
        if self._problems:
            raise MaasError(
                "the tiers cannot become what the inventory says, so nothing was changed",
                self._problems,
            )
        groups = self._groups(moved)
        tiers = [
            replace(tier, groups=groups[tier.name])
            for tier in sorted(self._present.values(), key=lambda tier: tier.level)
        ]
        return Plan(
            tiers=tuple(tiers),
            models=self._inventory.models,
            draining=tuple(self._draining[name] for name in sorted(self._draining)),
            overrides=self._inventory.overrides,
            holdings=(*(self._stay(tier) for tier in tiers), *moved),
            former=tuple(self._former(holding, moved) for holding in moved),
            doomed=tuple(doomed),
            warnings=tuple(self._warnings),
        )

    # Where a namespace's accounts are today ----------------------------------------------

    def _entry(self, own: str) -> Former | None:
        return self._catalog.former_in(tier_namespace(own))

    def _holder(self, own: str) -> str:
        """Return whose rights the accounts have today.

        The catalog says: what stands on a namespace may be of a run that got no further. Where
        somebody took it out of the catalog, label and annotations are all there is.
        """
        former = self._entry(own)
        if former is not None:
            return former.tier
        return own if own in self._was else self._found[own].tier or own

    def _state(self, own: str) -> str:
        """Return what earlier runs decided about a namespace."""
        former = self._entry(own)
        if former is not None:
            return former.state
        if self._recorded(own) is None:
            return "present"
        return "draining" if self._found[own].tier == own else "renamed"

    def _recorded(self, own: str) -> datetime | None:
        """Return the deadline that is in force."""
        former = self._entry(own)
        if former is not None:
            return former.until
        found = self._found.get(own)
        return None if own in self._was or found is None else found.until

    # Where they are to be ----------------------------------------------------------------

    def _may_be(self, own: str) -> bool:
        """Return whether a present tier gets the namespace of its name, as it is."""
        holder = self._holder(own)
        state = self._state(own)
        if holder == own or state == "migrated" or self._renames.get(holder) == own:
            if self._entry(own) is not None:
                self._warnings.append(
                    f"tier {own} was on its way out ({state}) and is back: its accounts have its "
                    "rights again, tokens made in it before count again until they expire"
                )
            return True
        until = self._recorded(own)
        self._problems.found(
            f"{self._inventory.paths.get(own, 'maas_tiers')}.name",
            own,
            f"another name{f' until {write_time(until)}' if until else ''}: accounts in "
            f"{tier_namespace(own)} belong to tier {holder}, which was called so",
            "take the new tier out until then, or rename it back with renamed_from",
        )
        return True

    def _destination(self, own: str) -> _Destination:
        """Return where the accounts go: what the list says of their own tier goes first."""
        holder = self._holder(own)
        for name in (own, holder):
            found = self._follow(name)
            if found is not None:
                # Accounts that migrated once are still that when their tier moves on.
                if name != own and found.state == "renamed" and self._state(own) == "migrated":
                    return replace(found, state="migrated")
                return found
        return _VANISHED

    def _follow(self, name: str) -> _Destination | None:
        """Return what becomes of a tier; None where nobody says.

        This ends: old names are in no list, and whoever is migrated to stays.
        """
        state: Literal["renamed", "migrated"] = "renamed"
        while name not in self._present:
            if name in self._renames:
                name = self._renames[name]
                continue
            removal = self._removals.get(name)
            if removal is None:
                former = self._entry(name)
                drains = former is not None and (former.state, former.tier) == ("draining", name)
                return _Destination("draining", name) if drains else None
            if removal.action == "block":
                return _BLOCKED
            if removal.action == "drain":
                return _Destination("draining", name)
            name, state = removal.migrate_to, "migrated"
        return _Destination(state, name)

    def _move(self, own: str) -> Holding | Doomed:
        found = self._found[own]
        to = self._destination(own)
        if to.state == "blocked" or to.state == "vanished":
            return Doomed(found.name, own, to.state)
        until = self._until(own, to)
        if until <= self._now:
            return Doomed(found.name, own, "expired")
        if to.state == "draining":
            self._keep_rights(to.tier)
        return Holding(
            namespace=found.name,
            name=own,
            tier=to.tier,
            state=to.state,
            max_ttl_seconds=self._tokens_live(own),
            until=until,
            older_tokens_until=self._older(found.older_tokens_until),
        )

    # Until when ---------------------------------------------------------------------------

    def _tokens_live(self, own: str) -> int:
        """Return how long tokens made in a namespace may live."""
        recorded = self._found[own].max_ttl_seconds
        if recorded is not None:
            return recorded
        tier = self._was.get(own)
        return tier.max_ttl_seconds if tier else DEFAULT_MAX_TTL_SECONDS

    def _until(self, own: str, to: _Destination) -> datetime:
        recorded = self._recorded(own)
        if to.state == "draining":
            drained = self._drained(to.tier)
            return drained if to.tier == own else min(drained, recorded or self._last_token(own))
        if recorded is not None and self._state(own) in ("renamed", "migrated"):
            return recorded
        return self._last_token(own)

    def _last_token(self, own: str) -> datetime:
        """Return when the last token that this namespace may hold is dead."""
        end = after(self._now, self._tokens_live(own) + SWITCH_SECONDS)
        return max(end, self._found[own].older_tokens_until or end)

    def _drained(self, name: str) -> datetime:
        """Return the deadline of a tier that drains."""
        recorded = self._recorded(name)
        if recorded is not None and self._state(name) == "draining":
            return recorded
        removal = self._removals.get(name)
        return after(self._now, removal.drain_seconds if removal else 0)

    def _older(self, moment: datetime | None) -> datetime | None:
        return moment if moment is not None and moment > self._now else None

    # Whose rights -------------------------------------------------------------------------

    def _keep_rights(self, name: str) -> None:
        """Keep the tier that drains as it was: it is in no list any more."""
        if name in self._draining:
            return
        tier = next((tier for tier in self._catalog.known if tier.name == name), None)
        if tier is None:
            # It was another tier's old name: those are the rights its accounts have.
            holder = self._catalog.rights(tier_namespace(name))
            tier = replace(holder, name=name) if holder is not None else None
        if tier is None:
            self._problems.found(
                f"{self._inventory.paths.get(name, 'maas_tiers')}.on_removal",
                "drain",
                "{migrate_to: <tier>} or block: the catalog on the cluster does not say any "
                f"more what rights accounts in {tier_namespace(name)} had",
            )
            return
        self._draining[name] = tier

    def _stay(self, tier: Tier) -> Holding:
        found = self._found.get(tier.name)
        older = self._older(found.older_tokens_until) if found else None
        if found is not None:
            recorded = self._tokens_live(tier.name)
            if recorded > tier.max_ttl_seconds:
                dead = after(self._now, recorded + SWITCH_SECONDS)
                older = max(dead, older or dead)
        return Holding(
            namespace=tier.namespace,
            name=tier.name,
            tier=tier.name,
            state="present",
            max_ttl_seconds=tier.max_ttl_seconds,
            older_tokens_until=older,
        )

    # Whose groups -------------------------------------------------------------------------

    def _groups(self, moved: Iterable[Holding]) -> dict[str, tuple[str, ...]]:
        """Return every present tier's groups, with those of the tiers that migrate to it.

        An entry whose tier is not on the cluster, or not any more, gives nobody anything.
        """
        groups = {name: list(tier.groups) for name, tier in self._present.items()}
        for holding in moved:
            inherited = self._inherited(holding)
            groups.get(holding.tier, []).extend(inherited)
            lent = [group for group in inherited if group not in self._own_groups(holding.tier)]
            if lent and holding.until:
                self._warnings.append(
                    f"{', '.join(lent)}: group(s) of tier {holding.tier} only until "
                    f"{write_time(holding.until)}, as long as tier {holding.name} migrates to "
                    f"it; write them into the groups of tier {holding.tier} to keep them"
                )
        return {name: tuple(dict.fromkeys(members)) for name, members in groups.items()}

    def _own_groups(self, name: str) -> tuple[str, ...]:
        tier = self._present.get(name)
        return tier.groups if tier is not None else ()

    def _inherited(self, holding: Holding) -> tuple[str, ...]:
        if holding.state != "migrated":
            return ()
        removal = self._removals.get(holding.name)
        if removal is not None and removal.groups is not None:
            return removal.groups
        former = self._entry(holding.name)
        if former is not None and former.state == "migrated":
            return former.groups
        tier = former.entry if former is not None else self._was.get(holding.name)
        return tier.groups if tier is not None else ()

    def _former(self, holding: Holding, moved: Iterable[Holding]) -> Former:
        if holding.until is None or holding.state == "present":
            raise ValueError(f"{holding.namespace} has no deadline")
        # One entry for a tier: in the namespace of its name, or in one that follows it.
        kept = {other.tier: other for other in moved if other.state == "draining"}
        kept.update({other.tier: other for other in moved if other.tier == other.name})
        carries = kept.get(holding.tier) is holding
        return Former(
            namespace=holding.namespace,
            name=holding.name,
            tier=holding.tier,
            until=holding.until,
            state=holding.state,
            entry=self._draining[holding.tier] if carries else None,
            groups=self._inherited(holding),
        )
