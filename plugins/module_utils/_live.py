# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What a cluster holds of the tiers: their catalog, namespaces, accounts and policies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ._accounts import account_name, owner_of, tier_of_namespace
from ._catalog import Catalog
from ._enforcement import POLICY_KINDS
from ._errors import MaasError
from ._kubernetes import Cluster
from ._names import (
    ACCOUNT_LABEL,
    AUTH_POLICY,
    CATALOG_NAME,
    FIELD_MANAGER,
    MANAGED_LABELS,
    PART_LABEL,
    REQUEST_POLICY,
    REVISION_ANNOTATION,
    TOKEN_POLICY,
)
from ._objects import Key, Object, key_of
from ._policies import PARTS, Platform
from ._read_catalog import parse_config_map
from ._transitions import LiveTiers, TierNamespace

_MANAGED = f"app.kubernetes.io/managed-by={FIELD_MANAGER}"
_RBAC = "rbac.authorization.k8s.io/v1"

#: The kinds of each part, which are searched for what nobody renders any more.
KINDS = {
    "namespaces": (("v1", "Namespace"), ("v1", "ResourceQuota")),
    "access": ((_RBAC, "Role"), (_RBAC, "RoleBinding")),
    "catalog": (("v1", "ConfigMap"),),
    "policies": POLICY_KINDS,
}
#: What each of these is follows from its name, too: labels get lost.
_PART_OF_NAME = {
    ("ConfigMap", CATALOG_NAME): "catalog",
    ("AuthPolicy", AUTH_POLICY): "policies",
    ("RateLimitPolicy", REQUEST_POLICY): "policies",
    ("TokenRateLimitPolicy", TOKEN_POLICY): "policies",
}
_POLICY_NAMES = dict(_PART_OF_NAME.keys())
_ACCOUNTS = ("v1", "ServiceAccount")


@dataclass(frozen=True)
class Live:
    """What was there when the run began; one list for each kind."""

    objects: Mapping[Key, Object]
    catalog: Catalog | None = None
    revision: str = ""
    accounts: Mapping[str, list[Object]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def tiers(self) -> LiveTiers:
        """Return what a plan starts from."""
        namespaces = tuple(
            TierNamespace.of(item)
            for item in self.objects.values()
            if is_tier_namespace(item) and not is_terminating(item)
        )
        return LiveTiers(self.catalog, namespaces)

    @property
    def switched_to(self) -> str:
        """Return the revision of the AuthPolicy, which is switched after everything else."""
        for key, item in self.objects.items():
            if (key.kind, key.name) == ("AuthPolicy", AUTH_POLICY):
                return revision_of(item)
        return ""

    def strays(self) -> list[Object]:
        """Return accounts in tiers' namespaces that stand for nobody: marked as ours, unfit."""
        return [item for items in self.accounts.values() for item in items if _is_stray(item)]


def read_live(cluster: Cluster, platform: Platform) -> Live:
    """Read everything that the collection made for tiers, whatever labels it lost since."""
    wanted = [(kind, _MANAGED) for part in PARTS for kind in KINDS[part]]
    wanted.append((_ACCOUNTS, f"{ACCOUNT_LABEL}=true"))
    found = cluster.each(lambda entry: cluster.select(*entry[0], selector=entry[1]), wanted)
    objects = {key_of(item): item for items in found[:-1] for item in items if is_ours(item)}
    catalog_key = Key("v1", "ConfigMap", platform.api_namespace, CATALOG_NAME)
    doors = [
        Key(version, kind, platform.gateway_namespace, _POLICY_NAMES[kind])
        for version, kind in POLICY_KINDS
    ]
    _find_lost(cluster, objects, [catalog_key, *doors])
    tiers, warnings = _read_catalog(objects.get(catalog_key))
    if tiers is not None:
        _find_lost(cluster, objects, [Key("v1", "Namespace", "", it) for it in tiers.namespaces])
    places = {item["metadata"]["name"] for item in objects.values() if is_tier_namespace(item)}
    accounts: dict[str, list[Object]] = {}
    for account in found[-1]:
        namespace = account["metadata"]["namespace"]
        if namespace in places:
            accounts.setdefault(namespace, []).append(account)
    stamp = revision_of(objects[catalog_key]) if tiers is not None else ""
    return Live(objects, tiers, stamp, accounts, warnings)


def list_accounts(cluster: Cluster, namespace: str) -> list[Object]:
    """Return the users' accounts in a namespace."""
    return cluster.select(*_ACCOUNTS, namespace, f"{ACCOUNT_LABEL}=true")


def _find_lost(cluster: Cluster, objects: dict[Key, Object], keys: Iterable[Key]) -> None:
    """Add those that are there and in no list, for lack of their labels."""
    for item in cluster.each(cluster.find, [key for key in keys if key not in objects]):
        if item is not None:
            objects[key_of(item)] = item


def _read_catalog(found: Object | None) -> tuple[Catalog | None, tuple[str, ...]]:
    if found is None:
        return None, ()
    try:
        return parse_config_map(found), ()
    except MaasError as exc:
        # Somebody edited it: what it said is lost, what is rendered puts it right.
        return None, (f"{exc}; it is written anew",)


def part_of(item: Mapping[str, Any]) -> str | None:
    """Return the part that an object belongs to; None where it is not ours to delete.

    The MaaS API's namespace is made here and holds what others put there: it stays.
    """
    part = str(_labels(item).get(PART_LABEL, ""))
    if part in PARTS:
        return part
    if is_tier_namespace(item):
        return "namespaces"
    # Others may use such a name, too; what we applied once carries our mark for good.
    managers = {entry.get("manager") for entry in item["metadata"].get("managedFields") or []}
    if FIELD_MANAGER not in managers:
        return None
    return _PART_OF_NAME.get((item["kind"], item["metadata"]["name"]))


def is_ours(item: Mapping[str, Any]) -> bool:
    """Return whether the role tiers made this, or shares it: a models' namespace has no part."""
    labels = _labels(item)
    return all(labels.get(name) == value for name, value in MANAGED_LABELS.items()) and (
        part_of(item) is not None or item["kind"] == "Namespace"
    )


def is_tier_namespace(item: Mapping[str, Any]) -> bool:
    """Return whether this is a namespace that holds a tier's accounts.

    Its name says so, not its labels: whoever takes one off by hand must strand nobody.
    """
    return item["kind"] == "Namespace" and tier_of_namespace(item["metadata"]["name"]) is not None


def is_terminating(item: Mapping[str, Any]) -> bool:
    """Return whether the object is on its way out."""
    return bool(item["metadata"].get("deletionTimestamp"))


def revision_of(item: Mapping[str, Any]) -> str:
    """Return the revision an object was rendered from, or nothing."""
    return str((item["metadata"].get("annotations") or {}).get(REVISION_ANNOTATION) or "")


def _labels(item: Mapping[str, Any]) -> Mapping[str, Any]:
    return item["metadata"].get("labels") or {}


def _is_stray(account: Mapping[str, Any]) -> bool:
    """Return whether an account of ours stands for no user, or not for the one it is named by."""
    labels = _labels(account)
    if labels.get("app.kubernetes.io/managed-by") != FIELD_MANAGER:
        return False
    user = owner_of(account)
    try:
        return user is None or account_name(user) != account["metadata"]["name"]
    except MaasError:
        return True
