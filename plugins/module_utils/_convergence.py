# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Bringing a cluster to what was rendered, and back to nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ._enforcement import POLICY_KINDS, wait_api_revision, wait_authorino, wait_enforced
from ._errors import MaasError
from ._kubernetes import Cluster
from ._names import ACCOUNT_LABEL, FIELD_MANAGER, PART_LABEL, TIER_LABEL
from ._objects import Change, Key, Object, key_of
from ._policies import PARTS, Platform, Rendered

_MANAGED = f"app.kubernetes.io/managed-by={FIELD_MANAGER}"
_RBAC = "rbac.authorization.k8s.io/v1"

#: The kinds of each part, which are searched for what nobody renders any more.
_KINDS = {
    "namespaces": (("v1", "Namespace"),),
    "access": ((_RBAC, "Role"), (_RBAC, "RoleBinding")),
    "catalog": (("v1", "ConfigMap"),),
    "policies": POLICY_KINDS,
}
#: The MaaS API's namespace goes with the namespaces of the tiers.
_PART_OF_LABEL = {**{part: part for part in PARTS}, "api": "namespaces"}


@dataclass(frozen=True)
class Run:
    """How to go about it."""

    parts: tuple[str, ...] = PARTS
    dry_run: bool = False
    look: bool = False
    wait_seconds: float = 120
    kuadrant_namespace: str = "kuadrant-system"


def converge(cluster: Cluster, rendered: Rendered, platform: Platform, run: Run) -> list[Change]:
    """Make the chosen parts what was rendered; refuse before the first change, or not at all."""
    live = _live(cluster, run.parts)
    wanted = {key_of(item) for item in rendered.chosen(run.parts)}
    doomed = [item for key, item in live.items() if _ours(item) and key not in wanted]
    _refuse_occupied(cluster, doomed)

    changes: list[Change] = []
    for part in PARTS:
        if part not in run.parts:
            continue
        if part == "policies":
            changes += _apply_policies(cluster, rendered, platform, run, live)
        else:
            changes += _apply(cluster, rendered.part(part), run, live)
    return changes + _delete(cluster, doomed, run)


def remove(cluster: Cluster, run: Run) -> list[Change]:
    """Delete the chosen parts. The policies go last: until then the gateway keeps refusing."""
    return _delete(
        cluster, [item for item in _live(cluster, run.parts).values() if _ours(item)], run
    )


def _apply_policies(
    cluster: Cluster, rendered: Rendered, platform: Platform, run: Run, live: Mapping[Key, Object]
) -> list[Change]:
    limits = [item for item in rendered.policies if item["kind"] != "AuthPolicy"]
    doors = [item for item in rendered.policies if item["kind"] == "AuthPolicy"]
    waiting = run.wait_seconds > 0 and not run.dry_run
    if waiting:
        wait_api_revision(cluster, platform.api_namespace, rendered.revision, run.wait_seconds)
    changes = _apply(cluster, limits, run, live)
    # A tier is let in only once its limits hold: until then it would have none. The first time
    # it cannot be so: limits by tier hold only behind a door that says which tier it is.
    if waiting and any(key_of(item) in live for item in doors):
        wait_enforced(cluster, [key_of(item) for item in limits], run.wait_seconds)
    changes += _apply(cluster, doors, run, live)
    if waiting:
        wait_enforced(cluster, [key_of(item) for item in rendered.policies], run.wait_seconds)
        wait_authorino(cluster, run.kuadrant_namespace, rendered.revision, run.wait_seconds)
    return changes


def _apply(
    cluster: Cluster, items: list[Object], run: Run, live: Mapping[Key, Object]
) -> list[Change]:
    return cluster.apply_all(items, live, run.dry_run, run.look)


def _delete(cluster: Cluster, doomed: Iterable[Object], run: Run) -> list[Change]:
    order = ("access", "catalog", "namespaces", "policies")
    changes: list[Change] = []
    for part in order:
        items = [item for item in doomed if _PART_OF_LABEL[_part(item)] == part]
        changes += cluster.each(lambda item: cluster.delete(item, run.dry_run), items)
        if run.wait_seconds > 0 and not run.dry_run:
            _wait_gone(cluster, [key_of(item) for item in items], run.wait_seconds)
    return changes


def _wait_gone(cluster: Cluster, keys: list[Key], timeout_seconds: float) -> None:
    def missing() -> str:
        left = [
            str(key)
            for key, item in zip(keys, cluster.each(cluster.find, keys), strict=True)
            if item
        ]
        return ", ".join(left)

    cluster.wait("objects are deleted but not gone", missing, timeout_seconds)


def _live(cluster: Cluster, parts: Iterable[str]) -> dict[Key, Object]:
    kinds = [kind for part in parts for kind in _KINDS[part]]
    found = cluster.each(lambda kind: cluster.select(*kind, selector=_MANAGED), kinds)
    return {key_of(item): item for items in found for item in items}


def _part(item: Object) -> str:
    return str(item["metadata"].get("labels", {}).get(PART_LABEL, ""))


def _ours(item: Object) -> bool:
    return _part(item) in _PART_OF_LABEL


def _refuse_occupied(cluster: Cluster, doomed: Iterable[Object]) -> None:
    """Refuse to delete the namespace of a tier that somebody still has an account in."""
    tiers = [
        item
        for item in doomed
        if item["kind"] == "Namespace" and TIER_LABEL in item["metadata"].get("labels", {})
    ]
    accounts = cluster.each(
        lambda item: cluster.select(
            "v1", "ServiceAccount", item["metadata"]["name"], f"{ACCOUNT_LABEL}=true"
        ),
        tiers,
    )
    problems = [
        f"tier {item['metadata']['labels'][TIER_LABEL]}: {len(users)} account(s) in "
        f"namespace {item['metadata']['name']}"
        for item, users in zip(tiers, accounts, strict=True)
        if users
    ]
    if problems:
        raise MaasError(
            "tiers are gone from maas_tiers while users still have accounts in them, so nothing "
            "was changed: put the tiers back, or revoke their users first "
            "(maas.platform.tier_token with state revoked)",
            problems,
        )
