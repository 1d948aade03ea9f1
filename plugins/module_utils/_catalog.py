# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The catalog of tiers: what the ConfigMap holds that the MaaS API reads. Pure.

Three keys: the tiers that are there; the namespaces of former ones while tokens made in them
count; what is special about single users.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from ._catalog_entries import (
    read_override,
    read_tier,
    typed,
    write_override,
    write_tier,
)
from ._errors import MaasError, show
from ._names import CATALOG_FORMER_KEY, CATALOG_KEY, CATALOG_OVERRIDES_KEY
from ._overrides import Override
from ._tier import Tier
from ._times import parse_time, write_time

FormerState = Literal["renamed", "migrated", "draining"]
_STATES = ("renamed", "migrated", "draining")


@dataclass(frozen=True)
class Former:
    """The namespace of a tier that is no more, until its deadline."""

    namespace: str
    #: What the tier was called.
    name: str
    #: Whose rights its accounts have: a present tier's, or those of one that is draining.
    tier: str
    until: datetime
    state: FormerState
    #: The whole tier, where its accounts keep its rights.
    entry: Tier | None = None
    #: The groups that the tier migrated to has from it meanwhile.
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Catalog:
    """All that the ConfigMap says."""

    tiers: tuple[Tier, ...]
    former: tuple[Former, ...] = ()
    overrides: tuple[Override, ...] = ()

    @property
    def known(self) -> tuple[Tier, ...]:
        """Return every tier whose rights somebody has: present ones, then draining ones."""
        draining = (former.entry for former in self.former if former.entry is not None)
        return (*self.tiers, *draining)

    @property
    def namespaces(self) -> tuple[str, ...]:
        """Return every namespace in which accounts count."""
        return (
            *(tier.namespace for tier in self.tiers),
            *(former.namespace for former in self.former),
        )

    def former_in(self, namespace: str) -> Former | None:
        """Return the former tier that this namespace belongs to."""
        return next((item for item in self.former if item.namespace == namespace), None)

    def rights(self, namespace: str) -> Tier | None:
        """Return the tier whose rights accounts in this namespace have."""
        former = self.former_in(namespace)
        if former is not None:
            return next((tier for tier in self.known if tier.name == former.tier), None)
        return next((tier for tier in self.tiers if tier.namespace == namespace), None)

    def until(self, namespace: str) -> datetime | None:
        """Return when the rights of accounts in this namespace end, if they do."""
        former = self.former_in(namespace)
        return former.until if former is not None else None

    def override(self, account: str) -> Override | None:
        """Return what is special about the user with this account."""
        return next((item for item in self.overrides if item.account == account), None)


def catalog_entries(tiers: Iterable[Tier]) -> list[dict[str, Any]]:
    """Return the tiers as plain data, lowest level first."""
    return [write_tier(tier) for tier in sorted(tiers, key=lambda tier: tier.level)]


def parse_catalog(raw: Any) -> list[Tier]:
    """Return the tiers of a catalog; MaasError where it is not one that was written here."""
    return [
        _read("tier catalog", index, entry, read_tier)
        for index, entry in enumerate(_list("tier catalog", raw))
    ]


def write_catalog(catalog: Catalog) -> dict[str, list[dict[str, Any]]]:
    """Return the catalog as plain data, by key of the ConfigMap."""
    return {
        CATALOG_KEY: catalog_entries(catalog.tiers),
        CATALOG_FORMER_KEY: [_write_former(former) for former in catalog.former],
        CATALOG_OVERRIDES_KEY: [write_override(override) for override in catalog.overrides],
    }


def read_catalog(data: Mapping[str, Any]) -> Catalog:
    """Return the catalog that these keys hold, YAML already parsed.

    Keys that are not there are empty, but for the tiers'. MaasError where anything is not as it
    was written, or does not fit together.
    """
    catalog = Catalog(
        tiers=tuple(parse_catalog(data.get(CATALOG_KEY))),
        former=tuple(
            _read("catalog's former tiers", index, entry, _read_former)
            for index, entry in enumerate(
                _list("catalog's former tiers", data.get(CATALOG_FORMER_KEY, []))
            )
        ),
        overrides=tuple(
            _read("catalog's overrides", index, entry, read_override)
            for index, entry in enumerate(
                _list("catalog's overrides", data.get(CATALOG_OVERRIDES_KEY, []))
            )
        ),
    )
    _check(catalog)
    return catalog


def _check(catalog: Catalog) -> None:
    """Refuse what no run writes: whose rights an account has would be unclear."""
    for what, values in (
        ("a name", [tier.name for tier in catalog.known]),
        ("a level", [tier.level for tier in catalog.tiers]),
        ("a namespace", list(catalog.namespaces)),
        ("an account", [override.account for override in catalog.overrides]),
    ):
        if len(set(values)) < len(values):
            raise MaasError(f"two entries of the tier catalog share {what}; run the role tiers")
    for former in catalog.former:
        if catalog.rights(former.namespace) is None:
            raise MaasError(
                f"accounts in {former.namespace} should have the rights of tier "
                f"{show(former.tier)}, which is not in the catalog; run the role tiers again"
            )


def _list(what: str, raw: Any) -> list[Any]:
    if not isinstance(raw, list):
        raise MaasError(f"the {what} is no list but {show(raw)}; run the role tiers again")
    return raw


def _read(what: str, index: int, raw: Any, read: Any) -> Any:
    try:
        return read(raw)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        name = raw.get("name") if isinstance(raw, Mapping) else None
        raise MaasError(
            f"entry {index} of the {what} ({show(name)}) cannot be read: "
            f"{type(exc).__name__} {exc}; run the role tiers again"
        ) from exc


def _write_former(former: Former) -> dict[str, Any]:
    return {
        "namespace": former.namespace,
        "name": former.name,
        "tier": former.tier,
        "until": write_time(former.until),
        "state": former.state,
        "entry": None if former.entry is None else write_tier(former.entry),
        "groups": list(former.groups),
    }


def _read_former(raw: Any) -> Former:
    state = typed(raw["state"], str)
    if state not in _STATES:
        raise ValueError(f"{show(state)} is none of {', '.join(_STATES)}")
    entry = raw["entry"]
    former = Former(
        namespace=typed(raw["namespace"], str),
        name=typed(raw["name"], str),
        tier=typed(raw["tier"], str),
        until=parse_time(raw["until"]),
        state=state,
        entry=None if entry is None else read_tier(entry),
        groups=tuple(typed(group, str) for group in typed(raw["groups"], list)),
    )
    if former.entry is not None and former.entry.name != former.tier:
        raise ValueError(f"its entry is tier {show(former.entry.name)}, not {show(former.tier)}")
    return former
