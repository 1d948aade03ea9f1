# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What a run is to bring about: plain data between deciding and rendering. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from ._catalog import Catalog, Former
from ._errors import MaasError
from ._models import Model
from ._names import (
    MAX_TTL_ANNOTATION,
    OLDER_TOKENS_ANNOTATION,
    TIER_LABEL,
    UNTIL_ANNOTATION,
)
from ._overrides import Override
from ._tier import Tier
from ._times import parse_time, write_time

State = Literal["present", "renamed", "migrated", "draining"]
Reason = Literal["expired", "blocked", "vanished"]


@dataclass(frozen=True)
class TierNamespace:
    """A tier's namespace as it is on the cluster: its label and annotations."""

    name: str
    tier: str
    max_ttl_seconds: int | None = None
    until: datetime | None = None
    older_tokens_until: datetime | None = None

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> TierNamespace:
        """Return what a Namespace says; MaasError where an annotation is not one of ours."""
        metadata = item["metadata"]
        notes = metadata.get("annotations") or {}
        try:
            max_ttl = notes.get(MAX_TTL_ANNOTATION)
            return cls(
                name=metadata["name"],
                tier=(metadata.get("labels") or {}).get(TIER_LABEL, ""),
                max_ttl_seconds=None if max_ttl is None else int(max_ttl),
                until=_moment(notes, UNTIL_ANNOTATION),
                older_tokens_until=_moment(notes, OLDER_TOKENS_ANNOTATION),
            )
        except (MaasError, ValueError) as exc:
            raise MaasError(
                f"an annotation maas.platform/… of namespace {metadata['name']} cannot be read: "
                f"{exc}; somebody changed it: remove it, and this run decides anew"
            ) from exc


@dataclass(frozen=True)
class LiveTiers:
    """What the cluster says before a run: the last catalog and the tiers' namespaces."""

    catalog: Catalog | None = None
    namespaces: tuple[TierNamespace, ...] = ()


@dataclass(frozen=True)
class Holding:
    """A tier's namespace that is to be there, and whose rights its accounts have."""

    namespace: str
    #: What the tier of this namespace is or was called.
    name: str
    tier: str
    state: State
    max_ttl_seconds: int
    until: datetime | None = None
    older_tokens_until: datetime | None = None

    @property
    def annotations(self) -> dict[str, str]:
        """Return what a later run has to know of it."""
        moments = {
            UNTIL_ANNOTATION: self.until,
            OLDER_TOKENS_ANNOTATION: self.older_tokens_until,
        }
        return {
            MAX_TTL_ANNOTATION: str(self.max_ttl_seconds),
            **{key: write_time(moment) for key, moment in moments.items() if moment is not None},
        }


@dataclass(frozen=True)
class Doomed:
    """A tier's namespace that is to go, with the accounts in it.

    One that vanished from the list may go only while it holds no account.
    """

    namespace: str
    name: str
    reason: Reason


@dataclass(frozen=True)
class Plan:
    """Everything that is to be there, and what is to go."""

    #: By level; their groups include those of tiers migrated to them.
    tiers: tuple[Tier, ...]
    models: tuple[Model, ...] = ()
    #: Tiers that are gone and whose accounts keep their rights for a while.
    draining: tuple[Tier, ...] = ()
    overrides: tuple[Override, ...] = ()
    holdings: tuple[Holding, ...] = ()
    former: tuple[Former, ...] = ()
    doomed: tuple[Doomed, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def known(self) -> tuple[Tier, ...]:
        """Return every tier whose rights somebody has."""
        return self.tiers + self.draining

    @property
    def owners(self) -> dict[str, str]:
        """Return the tier of every namespace that holds accounts."""
        return {holding.namespace: holding.tier for holding in self.holdings}

    @property
    def catalog(self) -> Catalog:
        """Return the catalog to be written."""
        return Catalog(self.tiers, self.former, self.overrides)


def _moment(notes: Mapping[str, str], key: str) -> datetime | None:
    return parse_time(notes[key]) if key in notes else None
