# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Bringing a cluster to what the inventory says, and back to nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ._drift import Drift, find_drift, in_step, previous
from ._enforcement import api_is_silent
from ._errors import MaasError
from ._inventory import Inventory
from ._kubernetes import Cluster
from ._live import Live, is_terminating, list_accounts, part_of, read_live, revision_of
from ._names import API_SERVICE
from ._objects import Change, Object, key_of
from ._outcome import Outcome
from ._policies import PARTS, Platform, Rendered, render_plan
from ._sizes import check_sizes, check_switch
from ._switch import Run, Switch, Target
from ._times import write_time
from ._transitions import Plan, plan
from ._unions import unite

#: How long putting back waits for each step: who waits for it waits for bad news.
_PUT_BACK_SECONDS = 30


def utc_now() -> datetime:
    """Return the present time."""
    return datetime.now(timezone.utc)  # noqa: UP017 - the oldest Python sanity knows


def converge(
    cluster: Cluster,
    inventory: Inventory,
    platform: Platform,
    run: Run,
    now: Callable[[], datetime] = utc_now,
) -> Outcome:
    """Make the chosen parts what the inventory says; refuse before the first change, or not.

    Where a step fails after the first change, what was in force before is put back.
    """
    moment = now()
    live, planned, rendered = _look(cluster, inventory, platform, moment)
    if _wait_for_names(cluster, live, rendered, run):
        live, planned, rendered = _look(cluster, inventory, platform, moment)
    check_sizes(rendered)
    policies = [unite(live.objects.get(key_of(item)), item) for item in rendered.policies]
    check_switch(rendered, policies)
    _refuse_stranding(planned, live.accounts, "so nothing was changed")
    _refuse_half(live, planned, rendered, run)
    drift = look_for_drift(live, rendered, run.parts)
    target = _target(rendered, run.parts)
    # Namespaces alone may come before everything else; what goes, goes with everything else.
    prunes = set(run.parts) != {"namespaces"} or _is_of(live, rendered.revision)
    doomed = _doomed(live, planned, rendered, run.parts) if prunes else []
    strays = _strays(planned, live, run.parts) if prunes else []

    switch = Switch(cluster, platform, run, live.objects, now)
    try:
        vanishing = [item for item in doomed if item not in _left_for_last(doomed)]
        switch.perform(target, vanishing, more=bool(doomed or strays))
        if doomed and not run.dry_run:
            # Until the catalog said otherwise, users got accounts in the tiers that vanished.
            _refuse_stranding(planned, _latest(cluster, planned), "made while this run was at work")
    except Exception as exc:
        raise _put_back(cluster, platform, run, live, switch, exc) from exc
    _prune(switch, doomed, strays)
    warnings = [
        *live.warnings,
        *planned.warnings,
        *_unseen(switch),
        *_silent(cluster, platform, target, run),
    ]
    return Outcome(
        revision=rendered.revision,
        changes=switch.changes,
        before=live.catalog,
        after=planned.catalog,
        previous_revision=live.revision,
        drift=drift,
        transitions=_transitions(planned, live),
        pruned_accounts=sorted(f"{_place(item)}" for item in _lost(live, doomed, strays)),
        warnings=warnings,
        timings=switch.timings,
    )


def _unseen(switch: Switch) -> list[str]:
    """Return what could not be looked at where it matters, so that only Kuadrant's word counts."""
    looks = (
        ("Limitador counts by the new limits", switch.limit_servers.unreadable),
        ("the gateway's filter has the new limits", switch.filters.unreadable),
    )
    return [
        f"whether {what} was not seen, only what Kuadrant says of the policies: {why}"
        for what, why in looks
        if why
    ]


def _silent(cluster: Cluster, platform: Platform, target: Target, run: Run) -> list[str]:
    """Return that nobody could say that he knows the new tiers."""
    if run.dry_run or not target.policies or not api_is_silent(cluster, platform.api_namespace):
        return []
    return [
        f"no replica of Deployment {platform.api_namespace}/{API_SERVICE} is ready, so nobody "
        "tells the gateway who is in which tier and every call is refused until one is"
    ]


def _look(
    cluster: Cluster, inventory: Inventory, platform: Platform, moment: datetime
) -> tuple[Live, Plan, Rendered]:
    live = read_live(cluster, platform)
    planned = plan(inventory, live.tiers, moment)
    return live, planned, render_plan(planned, platform)


def remove(
    cluster: Cluster,
    platform: Platform,
    run: Run,
    now: Callable[[], datetime] = utc_now,
) -> Outcome:
    """Delete the chosen parts. The policies go last: until then the gateway keeps refusing."""
    live = read_live(cluster, platform)
    switch = Switch(cluster, platform, run, live.objects, now)
    doomed = [item for item in live.objects.values() if part_of(item) in run.parts]
    for part in ("access", "catalog", "namespaces", "policies"):
        items = [item for item in doomed if part_of(item) == part]
        switch.delete(items)
        switch.wait_gone(items, last=part == "policies")
    accounts = [item for items in live.accounts.values() for item in items]
    return Outcome(
        changes=switch.changes,
        before=live.catalog,
        previous_revision=live.revision,
        pruned_accounts=sorted(map(_place, accounts)) if "namespaces" in run.parts else [],
        timings=switch.timings,
    )


def look_for_drift(live: Live, rendered: Rendered, parts: Iterable[str]) -> list[Drift]:
    """Return what was changed by hand in these parts since it was applied."""
    if not live.objects:
        return []
    # The AuthPolicy is switched last: where it is of this revision, everything was.
    switched = live.switched_to or live.revision
    found: list[Drift] = []
    for item in rendered.chosen(parts):
        there = live.objects.get(key_of(item))
        stamp = revision_of(there) if there is not None else ""
        found += find_drift(there, item, (stamp or switched) == rendered.revision)
    return found


def _target(rendered: Rendered, parts: Iterable[str]) -> Target:
    stamp = rendered.revision
    return Target(stamp, stamp, **{part: rendered.part(part) for part in parts})


def _doomed(live: Live, planned: Plan, rendered: Rendered, parts: Sequence[str]) -> list[Object]:
    """Return what we made and nobody renders any more; of namespaces, what the plan lets go."""
    places = {item.namespace for item in planned.doomed}
    wanted = {key_of(item) for item in rendered.chosen(PARTS)}
    leaving = {item["metadata"]["name"] for item in live.objects.values() if is_terminating(item)}
    return [
        item
        for key, item in live.objects.items()
        if part_of(item) in parts
        and key not in wanted
        and not is_terminating(item)
        and key.namespace not in leaving
        and (key.kind != "Namespace" or key.name in places)
    ]


def _strays(planned: Plan, live: Live, parts: Sequence[str]) -> list[Object]:
    if "namespaces" not in parts:
        return []
    kept = set(planned.owners)
    return [item for item in live.strays() if item["metadata"]["namespace"] in kept]


def _lost(live: Live, doomed: Sequence[Object], strays: Sequence[Object]) -> list[Object]:
    gone = {item["metadata"]["name"] for item in doomed if item["kind"] == "Namespace"}
    return [
        *strays,
        *(item for name in sorted(gone) for item in live.accounts.get(name, [])),
    ]


def _left_for_last(doomed: Sequence[Object]) -> list[Object]:
    """Return what may go only when all else is in force: namespaces, and what is in them."""
    gone = {item["metadata"]["name"] for item in doomed if item["kind"] == "Namespace"}
    return [
        item
        for item in doomed
        if part_of(item) not in ("policies", "access") or item["metadata"].get("namespace") in gone
    ]


def _prune(switch: Switch, doomed: Sequence[Object], strays: Sequence[Object]) -> None:
    """Delete what is no longer wanted. The switch is over: nothing is put back from here on."""
    rest = _left_for_last(doomed)
    if not rest and not strays:
        return
    try:
        with switch.phase("prune"):
            gone = {item["metadata"]["name"] for item in rest if item["kind"] == "Namespace"}
            # What is in a namespace that goes goes with it.
            inside = [item for item in rest if item["metadata"].get("namespace") in gone]
            switch.delete([item for item in rest if item not in inside])
            switch.delete(strays)
            switch.wait_gone([item for item in rest if item["kind"] == "Namespace"])
    except MaasError as exc:
        raise MaasError(
            f"the new tiers are in force, but what is no longer wanted is not all gone: "
            f"{exc.message}; run again, it goes on where it stopped",
            exc.problems,
        ) from exc


def _put_back(
    cluster: Cluster, platform: Platform, run: Run, live: Live, switch: Switch, error: Exception
) -> Exception:
    """Put back what was in force, and return the error that says what became of it."""
    touched = switch.changes
    if not touched or run.dry_run:
        return error
    if not live.switched_to:
        return _tell(error, "no tiers were in force before, so what was made so far is kept")
    try:
        return _tell(error, _go_back(cluster, platform, run, live, touched))
    except Exception as second:  # noqa: BLE001 - whatever it is, the first error must be told
        left = "; ".join(f"{change.key} ({change.action})" for change in touched)
        return _tell(
            error,
            f"putting back what was there failed, too ({second}), so old and new are mixed: {left}",
        )


def _go_back(
    cluster: Cluster,
    platform: Platform,
    run: Run,
    live: Live,
    touched: Sequence[Change],
) -> str:
    now = read_live(cluster, platform)
    wanted: dict[str, list[Object]] = {part: [] for part in PARTS}
    made: list[Object] = []
    for change in touched:
        if change.action == "created":
            made += [now.objects[change.key]] if change.key in now.objects else []
        elif change.before is not None:
            # What has no part are namespaces that others share.
            wanted[part_of(change.before) or "namespaces"].append(
                previous(change.before, change.after)
            )
    short = dataclasses.replace(run, wait_seconds=min(run.wait_seconds, _PUT_BACK_SECONDS))
    back = Switch(cluster, platform, short, now.objects, utc_now)
    unconfirmed = back.perform_anyway(Target(live.switched_to, live.revision, **wanted))
    occupied = [item for item in made if now.accounts.get(item["metadata"]["name"])]
    back.delete([item for item in made if item not in occupied])
    text = f"what was there before (revision {live.switched_to}) was put back"
    if unconfirmed:
        return f"{text}, but is not confirmed to be in force: {'; '.join(unconfirmed)}"
    return f"{text} and is in force" if run.waits else text


def _tell(error: Exception, what: str) -> MaasError:
    message = error.message if isinstance(error, MaasError) else f"{type(error).__name__}: {error}"
    problems = error.problems if isinstance(error, MaasError) else []
    return MaasError(f"the tiers were not changed over: {message}. Then {what}.", problems)


def _latest(cluster: Cluster, planned: Plan) -> dict[str, list[Object]]:
    """Return the accounts that are now in namespaces of tiers that vanished."""
    places = [item.namespace for item in planned.doomed if item.reason == "vanished"]
    found = cluster.each(lambda place: list_accounts(cluster, place), places)
    return dict(zip(places, found, strict=True))


def _refuse_stranding(planned: Plan, accounts: Mapping[str, Sequence[Object]], when: str) -> None:
    """Refuse to delete the namespace of a tier that somebody still has an account in."""
    problems = [
        f"tier {item.name}: {len(accounts[item.namespace])} account(s) in namespace "
        f"{item.namespace}"
        for item in planned.doomed
        if item.reason == "vanished" and accounts.get(item.namespace)
    ]
    if problems:
        raise MaasError(
            "tiers are gone from maas_tiers while users still have accounts in them, "
            f"{when}: put the tiers back, or write for each an entry with state: absent and "
            "on_removal: {migrate_to: <tier>}, {drain: <duration>} or block",
            problems,
        )


def _refuse_half(live: Live, planned: Plan, rendered: Rendered, run: Run) -> None:
    """Refuse to leave a platform of which one part knows other tiers than the rest.

    Parts alone put right what was changed by hand in the tiers that are in force. Namespaces are
    harmless before anything uses them.
    """
    others = [part for part in PARTS if part not in run.parts]
    if not others or set(run.parts) == {"namespaces"}:
        return
    unknown = "policies" in run.parts and "catalog" in others and live.revision != rendered.revision
    if not unknown and (
        _is_of(live, rendered.revision) or not _pending(live, planned, rendered, others)
    ):
        return
    what = "parts" if len(run.parts) > 1 else "part"
    raise MaasError(
        f"the {what} {', '.join(run.parts)} alone cannot be converged: the tiers on the cluster "
        f"are of revision {live.switched_to or live.revision or 'none'} and those of the inventory "
        f"of {rendered.revision}, so the parts would disagree on who may do what, and nothing was "
        "changed; converge all parts together (run without tags)"
    )


def _is_of(live: Live, revision: str) -> bool:
    """Return whether catalog and AuthPolicy, as far as they are there, are of this revision."""
    return {live.revision, live.switched_to} - {""} == {revision}


def _pending(live: Live, planned: Plan, rendered: Rendered, parts: Sequence[str]) -> bool:
    """Return whether converging these parts would change anything."""
    steps = (in_step(live.objects.get(key_of(item)), item) for item in rendered.chosen(parts))
    return not all(steps) or bool(_doomed(live, planned, rendered, parts))


def _wait_for_names(cluster: Cluster, live: Live, rendered: Rendered, run: Run) -> bool:
    """Wait until namespaces that are wanted again have gone: what is in them goes, too."""
    wanted = {key_of(item) for item in rendered.chosen(run.parts)}
    leaving = [key for key, item in live.objects.items() if key in wanted and is_terminating(item)]
    if not leaving or run.dry_run:
        return False

    def missing() -> str:
        found = cluster.each(cluster.find, leaving)
        return ", ".join(str(key_of(item)) for item in found if item is not None)

    cluster.wait("namespaces are still on their way out", missing, max(run.wait_seconds, 60))
    return True


def _transitions(planned: Plan, live: Live) -> list[dict[str, Any]]:
    """Return every namespace on its way from one tier to another, or out."""
    moves = [
        {
            "namespace": item.namespace,
            "name": item.name,
            "tier": item.tier,
            "state": item.state,
            "until": write_time(item.until) if item.until else None,
            "accounts": len(live.accounts.get(item.namespace, [])),
        }
        for item in planned.holdings
        if item.state != "present"
    ]
    return moves + [
        {
            "namespace": item.namespace,
            "name": item.name,
            "tier": "",
            "state": item.reason,
            "until": None,
            "accounts": len(live.accounts.get(item.namespace, [])),
        }
        for item in planned.doomed
    ]


def _place(item: Object) -> str:
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"
