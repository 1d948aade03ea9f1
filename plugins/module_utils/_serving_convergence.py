# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Bringing the models of a cluster to what the inventory says, all of them side by side.

Each model goes its own way, written down as one function that yields wherever it has to wait:
versions first, then their proof, then the route, then what nothing needs any more. One loop reads
the cluster for all and lets each go on. What goes wrong with one model stops no other.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from ._drift import Drift
from ._errors import MaasError
from ._kubernetes import Cluster
from ._model_routes import Stage
from ._objects import Change, Key, Object, key_of
from ._serving_live import ROUTING, LiveModels, model_of
from ._serving_record import (
    STOP_ANNOTATION,
    proven_version,
    remember,
    version_of,
    with_annotations,
    with_version,
)
from ._serving_retirement import Retirement, decide_retirement
from ._serving_rollout import Verdict, is_stopped, judge, judge_route
from ._serving_snapshot import ROUTE, ROUTE_POLICY, SERVICE, Snapshot, take_snapshot
from ._serving_wish import Fate, Wish, names_of
from ._serving_words import tell_failure, tell_pods

_POLL_SECONDS = 0.5
#: How long something doubtful may last before it counts as failed.
_DOUBT_SECONDS = 30
#: After a change that KServe does not count as a new generation, it gets a moment to look.
_UNCOUNTED_SECONDS = 3

_Value = TypeVar("_Value")
#: Work that stops wherever it has to wait for the next look at the cluster.
Steps = Generator[None, None, _Value]


@dataclass(frozen=True)
class ServingRun:
    """How to go about it."""

    dry_run: bool = False
    #: How long routes, pauses and removals may take; versions have their own time.
    wait_seconds: float = 120


@dataclass
class ServingOutcome:
    """What became of the models, and of their objects."""

    fates: list[Fate] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    drift: list[Drift] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass
class _Settled:
    """What became of one version."""

    serves: bool = True
    error: str = ""
    rolled_back: bool = False


class Serving:
    """One run over all models of a cluster."""

    def __init__(self, cluster: Cluster, run: ServingRun, now: Callable[[], datetime]) -> None:
        """Read what there is of models."""
        self._cluster = cluster
        self._run = run
        self._now = now
        self._live = LiveModels(cluster, run.dry_run)
        self._snapshot = Snapshot()
        self._refused: dict[Key, MaasError] = {}
        self._applied_at: dict[Key, float] = {}
        self._uncounted: set[Key] = set()

    def converge(
        self, shared: Sequence[Sequence[Object]], wishes: Sequence[Wish]
    ) -> ServingOutcome:
        """Make the models what is wished; those that nobody wishes any more go."""
        outcome = ServingOutcome()
        for items in shared:
            self._cluster.each(self._live.apply, items)
        self._live.find_lost(key_of(item) for wish in wishes for item in wish.services)
        served = [wish for wish in wishes if self._is_served(wish)]
        for wish in wishes:
            if wish not in served:
                outcome.warnings += self._tell_skipped(wish)
        self._snapshot = self._look(wish.namespace for wish in served)
        dressed = {wish.ref: self._dress(wish) for wish in served}
        outcome.drift = self._live.drift(
            item for wish in served for item in (*dressed[wish.ref], *wish.extras)
        )
        doomed = [ref for ref in self._live.models() if ref not in dressed]
        if self._begin([(wish, dressed[wish.ref]) for wish in served]):
            self._snapshot = self._look(wish.namespace for wish in served)
        ways = [(wish.ref, self._go(wish, dressed[wish.ref])) for wish in served]
        ways += [(ref, self._remove(ref)) for ref in doomed]
        outcome.fates = self._drive([self._safely(*way) for way in ways])
        outcome.changes = self._live.changes
        return outcome

    # What is to be done, and what comes before anything waits.

    def _is_served(self, wish: Wish) -> bool:
        """Return whether a model is to be there: a retired one only until its time is over."""
        if wish.state != "retired":
            return True
        service = self._live.objects.get(key_of(wish.services[0]))
        if service is None:
            return False
        retirement = decide_retirement(service, self._now(), wish.retire_seconds)
        return retirement.until > self._now()

    def _tell_skipped(self, wish: Wish) -> list[str]:
        if wish.ref in self._live.models():
            return []
        return [
            f"model {wish.namespace}/{wish.name} is retired and not there (any more): its entry "
            "can be taken out of maas_models"
        ]

    def _dress(self, wish: Wish) -> list[Object]:
        """Return the services with what they are to remember."""
        services = []
        for manifest in wish.services:
            key = key_of(manifest)
            live = self._live.objects.get(key)
            extra = dict(self._retirement(wish).annotations) if wish.state == "retired" else {}
            if wish.state == "paused":
                extra[STOP_ANNOTATION] = "true"
            proven = proven_version(live)
            if proven is None and live is not None and judge(key, self._snapshot).ready:
                # It serves, and an earlier collection, or a person, has not written that down.
                proven = version_of(live)
            services.append(remember(with_annotations(manifest, extra), proven))
        return services

    def _retirement(self, wish: Wish) -> Retirement:
        service = self._live.objects[key_of(wish.services[0])]
        return decide_retirement(service, self._now(), wish.retire_seconds)

    def _begin(self, work: Sequence[tuple[Wish, Sequence[Object]]]) -> bool:
        """Apply the versions of all models at once; return whether anything changed."""
        self._cluster.each(self._live.apply, [it for wish, _services in work for it in wish.needs])
        # What is to be paused is stopped only when its route says so.
        todo = [
            (wish, item) for wish, services in work for item in services if wish.state != "paused"
        ]
        return any(self._cluster.each(lambda it: self._apply_version(*it), todo))

    def _apply_version(self, wish: Wish, manifest: Object) -> bool:
        """Apply one version; what is refused is told with its model."""
        key = key_of(manifest)
        before = self._live.objects.get(key)
        self._applied_at[key] = self._cluster.clock()
        try:
            change = self._live.apply(manifest, wish.keeps_replicas)
        except MaasError as exc:
            self._refused[key] = exc
            return False
        if change.changed and before is not None and _is_uncounted(before, manifest):
            self._uncounted.add(key)
        return change.changed

    def _leftovers(self, wish: Wish, routing: Sequence[Object]) -> list[Object]:
        """Return what is there of a model and no longer wanted."""
        wanted = names_of([*wish.services, *wish.needs, *wish.extras, *routing])
        return [item for item in self._live.of_model(*wish.ref) if key_of(item) not in wanted]

    # The way of one model.

    def _go(self, wish: Wish, services: Sequence[Object]) -> Steps[Fate]:
        fate = Fate(*wish.ref)
        if wish.state == "paused":
            yield from self._pause(wish, services)
            fate.result = "paused"
            return fate
        settled = yield from _together([self._settle(wish, item) for item in services])
        for version in settled:
            if version.error:
                fate.fail(version.error)
            fate.rolled_back = fate.rolled_back or version.rolled_back
        if settled[0].error:
            # Its route and its canary stay as they were: they serve, or there are none.
            return fate
        stage = Stage(canary=len(settled) > 1 and settled[1].serves)
        if wish.state == "retired":
            retirement = self._retirement(wish)
            stage = Stage(stage.canary, False, retirement.since, retirement.until)
            fate.until = retirement.until
        self._cluster.each(self._live.apply, wish.extras)
        routing = yield from self._lead(wish, stage)
        if not fate.error:
            yield from self._clear(self._leftovers(wish, routing))
            fate.result = "retired" if wish.state == "retired" else "serving"
        return fate

    def _pause(self, wish: Wish, services: Sequence[Object]) -> Steps[None]:
        routing = yield from self._lead(wish, Stage(paused=True))
        for item in services:
            self._live.apply(item, wish.keeps_replicas)
        yield from self._clear(self._leftovers(wish, routing))
        keys = [key_of(item) for item in services]
        yield from self._until(
            f"model {wish.namespace}/{wish.name} is paused and still runs",
            lambda: "; ".join(filter(None, (is_stopped(key, self._snapshot) for key in keys))),
        )

    def _lead(self, wish: Wish, stage: Stage) -> Steps[Sequence[Object]]:
        """Bring the route to this stage and wait until the Gateway has it."""
        routing = wish.route(stage)
        changed = [self._live.apply(item).changed for item in routing]
        keys = [key_of(item) for item in routing if item["kind"] in _SAYS_IT_IS_IN_FORCE]
        if any(changed):
            yield
        yield from self._until(
            f"the route of model {wish.namespace}/{wish.name} is not in force",
            lambda: next(
                filter(None, (judge_route(self._snapshot.find(key), key) for key in keys)), ""
            ),
        )
        return routing

    def _settle(self, wish: Wish, manifest: Object) -> Steps[_Settled]:
        """Wait until a version serves and note it, or go back to the one before."""
        key = key_of(manifest)
        proven, wanted = proven_version(manifest), version_of(manifest)
        if key in self._refused:
            kept = "; what was there is untouched" if key in self._snapshot.objects else ""
            return _Settled(False, f"its service was refused: {self._refused[key]}{kept}")
        if self._run.dry_run:
            return _Settled()
        begun = self._applied_at[key]
        if key in self._uncounted:
            yield from self._pass(begun + _UNCOUNTED_SECONDS)
        verdict = yield from self._watch(key, begun + wish.ready_seconds)
        if verdict.ready:
            if proven != wanted:
                self._live.apply(remember(manifest, wanted), wish.keeps_replicas)
            return _Settled()
        late = verdict.finding is None or verdict.finding.severity == "waiting"
        words = tell_failure(self._cluster, key, verdict, self._snapshot)
        if late:
            words = f"not ready after {wish.ready_seconds} s: {words}"
        if proven is None or proven == wanted:
            return _Settled(False, tell_pods(key, words, first=proven is None))
        before = with_version(manifest, proven)
        self._live.apply(before, wish.keeps_replicas)
        yield
        again = yield from self._watch(key, self._cluster.clock() + wish.ready_seconds)
        if again.ready:
            return _Settled(
                True,
                f"its new version does not serve: {words}; the version before was put back by "
                "itself and serves",
                rolled_back=True,
            )
        return _Settled(
            False,
            f"its new version does not serve: {words}; the version before was put back by "
            f"itself and does not serve either: {again.words}",
            rolled_back=True,
        )

    def _watch(self, key: Key, deadline: float) -> Steps[Verdict]:
        """Return the verdict as soon as it is final."""
        doubted: tuple[str, float] | None = None
        while True:
            verdict = judge(key, self._snapshot)
            if verdict.ready or verdict.finding is None or verdict.finding.severity == "failed":
                return verdict
            clock = self._cluster.clock()
            if clock >= deadline:
                return verdict
            if verdict.finding.severity == "waiting":
                doubted = None
            else:
                # The same container in the same trouble; the words may count its tries.
                trouble = f"{verdict.finding.pod}/{verdict.finding.container}"
                if doubted is None or doubted[0] != trouble:
                    doubted = (trouble, clock)
                elif clock - doubted[1] >= _DOUBT_SECONDS:
                    return verdict
            yield

    def _clear(self, items: Sequence[Object]) -> Steps[None]:
        """Delete what is no longer wanted, routes first, and wait until it is gone."""
        routes = [item for item in items if item["kind"] in ROUTING]
        for group in (routes, [item for item in items if item["kind"] not in ROUTING]):
            if not group:
                continue
            self._live.delete(group)
            yield
            yield from self._until("removed, but not gone", self._still_there(group))

    def _still_there(self, items: Sequence[Object]) -> Callable[[], str]:
        keys = [key_of(item) for item in items]

        def missing() -> str:
            left = [key for key in keys if self._cluster.find(key) is not None]
            if not any(key.kind == SERVICE[1] for key in left):
                return ", ".join(map(str, left))
            return (
                f"{', '.join(map(str, left))} (KServe's controller takes it away: see its pods in "
                "namespace kserve)"
            )

        return missing

    def _remove(self, ref: tuple[str, str]) -> Steps[Fate]:
        yield from self._clear(self._live.of_model(*ref))
        return Fate(*ref, result="removed")

    def _until(self, what: str, missing: Callable[[], str]) -> Steps[None]:
        """Go on when nothing is missing any more."""
        if self._run.dry_run:
            return
        deadline = self._cluster.clock() + self._run.wait_seconds
        while True:
            words = missing()
            if not words:
                return
            if self._cluster.clock() >= deadline:
                raise MaasError(f"{what}: not after {self._run.wait_seconds:g} s: {words}")
            yield

    def _pass(self, moment: float) -> Steps[None]:
        while self._cluster.clock() < moment:
            yield

    # All models together.

    def _safely(self, ref: tuple[str, str], way: Steps[Fate]) -> Steps[Fate]:
        """Return a model's fate whatever goes wrong on its way."""
        begun = self._cluster.clock()
        try:
            fate = yield from way
        except MaasError as exc:
            fate = Fate(*ref)
            fate.fail(f"{exc}; run again, it goes on where it stopped")
        fate.seconds = self._cluster.clock() - begun
        fate.changed = any(_belongs(change, ref) for change in self._live.changes)
        return fate

    def _drive(self, ways: Sequence[Steps[Fate]]) -> list[Fate]:
        """Let every model go on until none waits any more."""
        fates: dict[int, Fate] = {}
        active = dict(enumerate(ways))
        while active:
            for number, way in list(active.items()):
                try:
                    next(way)
                except StopIteration as end:
                    fates[number] = end.value
                    del active[number]
            if active and not self._run.dry_run:
                self._cluster.pause(_POLL_SECONDS)
                self._snapshot = self._look(place for place, _name in self._live.models())
        return [fates[number] for number in sorted(fates)]

    def _look(self, namespaces: Iterable[str]) -> Snapshot:
        if self._run.dry_run:
            return Snapshot(self._live.objects)
        groups = any((item.get("spec") or {}).get("worker") for item in self._live.services())
        return take_snapshot(self._cluster, namespaces, groups)


#: Whose status says whether the Gateway has them.
_SAYS_IT_IS_IN_FORCE = (ROUTE[1], ROUTE_POLICY[1])


def _is_uncounted(before: Object, after: Object) -> bool:
    """Return whether a version differs only in what makes no new generation."""
    one, other = version_of(before), version_of(after)
    return bool(one["spec"] == other["spec"] and one["annotations"] != other["annotations"])


def _belongs(change: Change, ref: tuple[str, str]) -> bool:
    item = change.after or change.before
    return item is not None and (change.key.namespace, model_of(item)) == ref


def _together(ways: Sequence[Steps[_Value]]) -> Steps[list[_Value]]:
    """Let several go on side by side; return what each came to."""
    values: dict[int, Any] = {}
    active = dict(enumerate(ways))
    while True:
        for number, way in list(active.items()):
            try:
                next(way)
            except StopIteration as end:
                values[number] = end.value
                del active[number]
        if not active:
            return [values[number] for number in sorted(values)]
        yield
