# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Switching a cluster from one set of tiers to another without a wrong answer in between.

What is needed comes first, what opens doors comes last, and what is no longer wanted goes only
when nothing asks for it any more. The same steps lead back when one of them fails.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ._enforcement import (
    missing_in_api,
    missing_in_authorino,
    missing_policies,
    missing_replica,
)
from ._envoy import Filters
from ._errors import MaasError
from ._kubernetes import Cluster
from ._limitador import LimitServers
from ._objects import Change, Key, Object, differ, key_of
from ._policies import PARTS, Platform
from ._times import write_time
from ._unions import MEANWHILE, forget_rights, unite

_POLL_SECONDS = 0.25
#: How long a replica of the MaaS API may take to come back, when none is ready.
_REPLICA_SECONDS = 30


@dataclass(frozen=True)
class Run:
    """How to go about it."""

    parts: tuple[str, ...] = PARTS
    dry_run: bool = False
    look: bool = False
    #: Whether to return only when everything is in force. What keeps the order is always waited
    #: for: without it, somebody would be let in without a limit.
    wait: bool = True
    wait_seconds: float = 120
    kuadrant_namespace: str = "kuadrant-system"

    @property
    def waits(self) -> bool:
        """Return whether to wait until things are in force."""
        return self.wait and not self.dry_run


@dataclass(frozen=True)
class Target:
    """What is to be in force."""

    revision: str
    catalog_revision: str = ""
    namespaces: Sequence[Object] = ()
    access: Sequence[Object] = ()
    catalog: Sequence[Object] = ()
    policies: Sequence[Object] = ()

    @property
    def limits(self) -> list[Object]:
        """Return the policies that limit."""
        return [item for item in self.policies if item["kind"] != "AuthPolicy"]

    @property
    def doors(self) -> list[Object]:
        """Return the policies that let in."""
        return [item for item in self.policies if item["kind"] == "AuthPolicy"]


@dataclass
class Timings:
    """When things happened, and how long they took."""

    phases: dict[str, float] = field(default_factory=dict)
    applied_at: datetime | None = None
    enforced_at: datetime | None = None
    overlap_seconds: float = 0.0

    def as_result(self) -> dict[str, object]:
        """Return them as a module returns them."""
        return {
            "applied_at": write_time(self.applied_at) if self.applied_at else None,
            "enforced_at": write_time(self.enforced_at) if self.enforced_at else None,
            "overlap_seconds": round(self.overlap_seconds, 2),
            "phases": {name: round(seconds, 2) for name, seconds in self.phases.items()},
        }


class Switch:
    """One switch-over: its steps, what they changed so far, and when."""

    def __init__(
        self,
        cluster: Cluster,
        platform: Platform,
        run: Run,
        live: Mapping[Key, Object],
        now: Callable[[], datetime],
    ) -> None:
        """Start from these live objects."""
        self._cluster = cluster
        self._platform = platform
        self._run = run
        self._live = dict(live)
        self._now = now
        self._first: dict[Key, Change] = {}
        self._order: dict[Key, int] = {}
        self._lock = threading.Lock()
        # In the way back, waits that fail are noted here and the next step is taken anyway.
        self._unconfirmed: list[str] | None = None
        self._applied_clock: float | None = None
        self._limits_overlap = False
        # Limitador may show limits of others, too: these are the ones to look at.
        self._limit_names = {name for item in live.values() for name in _limits_in(item)}
        self.limit_servers = LimitServers(
            cluster, run.kuadrant_namespace, platform.gateway_namespace
        )
        self.filters = Filters(cluster, platform.gateway_namespace)
        self.timings = Timings()

    @property
    def changes(self) -> list[Change]:
        """Return what became of each object so far, from before the first step to now."""
        return sorted(self._first.values(), key=lambda change: self._order[change.key])

    def perform(self, target: Target, vanishing: Sequence[Object] = (), more: bool = False) -> None:
        """Bring the target into force; policies and rights that vanish go once nobody needs them.

        more says that something will be deleted afterwards, which the old AuthPolicy needs.
        """
        rights = [item for item in vanishing if not item["kind"].endswith("Policy")]
        policies = [item for item in vanishing if item["kind"].endswith("Policy")]
        with self.phase("namespaces"):
            for kinds in (("Namespace",), ("ResourceQuota",)):
                self._apply([item for item in target.namespaces if item["kind"] in kinds])
        with self.phase("access"):
            access = [self._united(item) for item in target.access]
            self._apply(access)
        with self.phase("catalog"):
            self._apply(target.catalog)
        narrows = bool(rights) or access != list(target.access)
        if target.policies:
            self._prepare_policies(target)
            if narrows and not self._run.dry_run:
                self._open_meanwhile(target)
        with self.phase("access"):
            self._apply(target.access)
            self.delete(rights)
        if target.policies:
            self._finish_policies(target, policies, more)

    def perform_anyway(self, target: Target) -> list[str]:
        """Take every step, whatever is not confirmed in between; return what was not."""
        self._unconfirmed = []
        self.perform(target)
        return self._unconfirmed

    def delete(self, items: Sequence[Object]) -> None:
        """Delete objects and remember it."""

        def one(item: Object) -> None:
            self._note(self._cluster.delete(item, self._run.dry_run))

        self._remember_order(items)
        self._cluster.each(one, items)

    def wait_gone(self, items: Sequence[Object], last: bool = True) -> None:
        """Wait until deleted objects are gone; where something follows, whatever the run says."""
        waits = self._run.waits if last else not self._run.dry_run
        if not waits or not items:
            return
        keys = [key_of(item) for item in items]

        def missing() -> str:
            found = self._cluster.each(self._cluster.find, keys)
            return ", ".join(
                str(key) for key, item in zip(keys, found, strict=True) if item is not None
            )

        self._cluster.wait("objects are deleted but not gone", missing, self._run.wait_seconds)

    def _prepare_policies(self, target: Target) -> None:
        """Let everybody know the new tiers, and limits hold for them, before they are let in."""
        orders = not self._run.dry_run
        if orders:
            with self.phase("maas_api"):
                self._wait_for_api(target.catalog_revision)
        # A tier is let in only once its limits hold: until then it would have none. The first
        # time it cannot be so: limits by tier hold only behind a door that says which tier it is.
        behind_a_door = any(key_of(item) in self._live for item in target.doors)
        with self.phase("limits"):
            limits = target.limits
            if behind_a_door:
                limits = [self._united(item) for item in limits]
            self._limits_overlap = limits != target.limits
            changed = self._apply(limits)
            if behind_a_door and changed and orders:
                self._wait("the new limits are not in force", self._missing_limits)

    def _open_meanwhile(self, target: Target) -> None:
        """Let in by the new rules while old rights stand, and remember none of those rights."""
        doors = [forget_rights(self._live.get(key_of(item)), item) for item in target.doors]
        if doors == target.doors:
            return
        with self.phase("auth_policy"):
            self._apply(doors)
            self._wait(
                "the new AuthPolicy is not in force",
                lambda: self._missing_doors(doors, target.revision + MEANWHILE),
            )

    def _finish_policies(self, target: Target, vanishing: Sequence[Object], more: bool) -> None:
        """Let in by the new rules only, and limit by the new limits only."""
        orders, waits = not self._run.dry_run, self._run.waits
        with self.phase("auth_policy"):
            self._apply(target.doors)
            # What the old one needs may go only when it holds no more.
            if waits or (orders and (more or vanishing or self._limits_overlap)):
                self._wait(
                    "the new AuthPolicy is not in force",
                    lambda: self._missing_doors(target.doors, target.revision),
                )
        with self.phase("limits_final"):
            self._apply(target.limits)
            self.delete(vanishing)
            if waits:
                self._wait("the limits are not in force", self._missing_limits)
                self._tell_enforced()

    def _wait_for_api(self, revision: str) -> None:
        namespace = self._platform.api_namespace
        # Without a replica's word nobody is let in, so it is safe to go on, and it must go on:
        # a MaaS API that is broken is put right by a role that comes after this one.
        with contextlib.suppress(MaasError):
            self._cluster.wait(
                "the MaaS API does not run",
                lambda: missing_replica(self._cluster, namespace),
                min(self._run.wait_seconds, _REPLICA_SECONDS),
                _POLL_SECONDS,
            )
        self._wait(
            "the MaaS API has not read the new tiers",
            lambda: missing_in_api(self._cluster, namespace, revision),
        )

    def _united(self, item: Object) -> Object:
        return item if self._run.dry_run else unite(self._live.get(key_of(item)), item)

    def _missing_limits(self) -> str:
        standing = [item for item in self._live.values() if _is_limits(item)]
        return (
            missing_policies(self._cluster, standing)
            or self.limit_servers.missing(standing, self._limit_names)
            or self.filters.missing(standing)
        )

    def _missing_doors(self, doors: Sequence[Object], revision: str) -> str:
        return missing_policies(self._cluster, doors) or missing_in_authorino(
            self._cluster, self._run.kuadrant_namespace, revision
        )

    def _wait(self, what: str, missing: Callable[[], str]) -> None:
        try:
            self._cluster.wait(what, missing, self._run.wait_seconds, _POLL_SECONDS)
        except MaasError as exc:
            if self._unconfirmed is None:
                raise
            self._unconfirmed.append(exc.message)

    def _tell_enforced(self) -> None:
        self.timings.enforced_at = self._now()
        if self._applied_clock is not None:
            self.timings.overlap_seconds = self._cluster.clock() - self._applied_clock

    def _apply(self, items: Sequence[Object]) -> bool:
        """Apply objects, all at once; return whether anything changed."""
        begun, moment = self._cluster.clock(), self._now()
        self._remember_order(items)
        changed = any(self._cluster.each(self._apply_one, items))
        policies = any(item["kind"].endswith("Policy") for item in items)
        if policies and changed and not self._run.dry_run and self._applied_clock is None:
            self._applied_clock = begun
            self.timings.applied_at = moment
        return changed

    def _apply_one(self, item: Object) -> bool:
        before = self._live.get(key_of(item))
        if before is None and (self._run.dry_run or self._run.look):
            before = self._cluster.find(key_of(item))
        change = self._cluster.apply(item, before, self._run.dry_run, sole=True)
        # Noted here: when another one fails, this one is done all the same.
        self._note(change)
        return change.changed

    def _remember_order(self, items: Sequence[Object]) -> None:
        for item in items:
            self._order.setdefault(key_of(item), len(self._order))

    def _note(self, change: Change) -> None:
        if not change.changed:
            return
        key = change.key
        with self._lock:
            if not self._run.dry_run:
                self._remember(change)
            first = self._first.pop(key, None)
            if first is None:
                self._first[key] = change
            elif change.after is None:
                if first.action != "created":
                    self._first[key] = Change(key, "deleted", first.before, None)
            elif first.before is None or differ(first.before, change.after):
                # What was created stays so; of what was there before, the first look is kept.
                self._first[key] = Change(key, first.action, first.before, change.after)

    def _remember(self, change: Change) -> None:
        if change.after is None:
            self._live.pop(change.key, None)
        else:
            self._live[change.key] = change.after
            self._limit_names |= set(_limits_in(change.after))

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        begun = self._cluster.clock()
        try:
            yield
        finally:
            phases = self.timings.phases
            phases[name] = phases.get(name, 0.0) + self._cluster.clock() - begun


def _is_limits(item: Mapping[str, Any]) -> bool:
    return str(item["kind"]).endswith("RateLimitPolicy")


def _limits_in(item: Mapping[str, Any]) -> Mapping[str, Any]:
    return (item.get("spec") or {}).get("limits") or {} if _is_limits(item) else {}
