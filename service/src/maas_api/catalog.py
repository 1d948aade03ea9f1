# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The tiers in force: the last catalog in the ConfigMap that could be read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
import yaml

from .metrics import Metrics
from .objects import ConfigMap
from .shared import _catalog
from .shared._errors import MaasError
from .shared._names import (
    CATALOG_FORMER_KEY,
    CATALOG_KEY,
    CATALOG_NAME,
    CATALOG_OVERRIDES_KEY,
    REVISION_ANNOTATION,
)
from .shared._overrides import Override
from .shared._tiers import Tier, resolve_tier
from .shared._times import write_time

log = structlog.get_logger()

# libyaml's loader is many times faster and not in every build.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
#: Others' texts say little without their names: the reader's ValueErrors, a RecursionError.
_EXPECTED = (MaasError, yaml.YAMLError)
_KEYS = (CATALOG_KEY, CATALOG_FORMER_KEY, CATALOG_OVERRIDES_KEY)
#: So many catalogs are remembered: the gateway's policy asks by the revision it was made for,
#: and stays on an older one until the new policy is enforced.
_REMEMBERED = 3


class TierAnswer(msgspec.Struct, rename="camel"):
    """A tier, as the lookup names it."""

    tier: str
    display_name: str


class Catalog:
    """All tiers, by what they are asked for."""

    def __init__(self, read: _catalog.Catalog, revision: str | None) -> None:
        self.revision = revision
        #: Those that users may get tokens in, lowest level first.
        self.tiers = tuple(sorted(read.tiers, key=lambda tier: tier.level))
        #: Every namespace with accounts whose tokens may work, and whose rights those have.
        self.by_namespace: dict[str, Tier] = {}
        #: Those that are on their way out: until when their tokens work.
        self.until: dict[str, datetime] = {}
        for namespace in read.namespaces:
            tier = read.rights(namespace)
            if tier is not None:
                self.by_namespace[namespace] = tier
            until = read.until(namespace)
            if until is not None:
                self.until[namespace] = until
        #: The lookup's answers, written once.
        self.answers = {
            tier.name: msgspec.json.encode(TierAnswer(tier.name, tier.display_name or tier.name))
            for tier in self.by_namespace.values()
        }
        self._overrides = {override.account: override for override in read.overrides}

    def resolve(self, groups: Iterable[str]) -> Tier | None:
        """Return the tier of somebody in these groups; the highest level wins."""
        return resolve_tier(self.tiers, groups)

    def override(self, account: str) -> Override | None:
        """Return what is set for the user of this account."""
        return self._overrides.get(account)

    def refusal(self, namespace: str, account: str) -> str:
        """Return why an account's tokens do not work now, although it lives; empty if they do."""
        until = self.until.get(namespace)
        if until is not None and datetime.now(UTC) >= until:
            return (
                f"The tier this token was made for ended at {write_time(until)}; "
                "log in and ask for a new one."
            )
        return self.refusal_in(self.by_namespace.get(namespace), account)

    def refusal_in(self, tier: Tier | None, account: str) -> str:
        """Return why nobody, or not this user, may use a tier now; empty where he may."""
        override = self._overrides.get(account)
        if override is not None and override.suspended:
            reason = f" ({override.reason})" if override.reason else ""
            return f"This user is suspended{reason}; ask an administrator."
        if tier is not None and not tier.enabled:
            return f"Tier {tier.name} is disabled at the moment; ask an administrator."
        return ""

    @property
    def model_namespaces(self) -> set[str]:
        """Return where the tiers' models are."""
        return {ref.namespace for tier in self.by_namespace.values() for ref in tier.models}


class CatalogKeeper:
    """Holds the last good catalogs, whatever is written over them.

    Args:
        metrics: Where it is counted.
        on_refused: Called with the reason when a catalog cannot be read.
    """

    def __init__(self, metrics: Metrics, on_refused: Callable[[str], None] | None = None) -> None:
        self.current: Catalog | None = None
        self._by_revision: OrderedDict[str, Catalog] = OrderedDict()
        self._metrics = metrics
        self._on_refused = on_refused

    def of_revision(self, revision: str | None) -> Catalog | None:
        """Return the catalog of a revision while it is remembered, else the current one."""
        return self._by_revision.get(revision or "", self.current)

    def apply(self, config_map: ConfigMap | None) -> bool:
        """Take a new catalog over if it can be read; return whether it was."""
        try:
            catalog = _read(config_map)
        except Exception as exc:  # noqa: BLE001 - no text may end the watch that brought it
            reason = str(exc) if isinstance(exc, _EXPECTED) else repr(exc)
            self._metrics.catalog_valid.set(0)
            self._metrics.catalogs_refused.inc()
            log.error(  # noqa: TRY400 - expected; a traceback says nothing more
                "tier catalog refused",
                reason=reason,
                in_use=self.current.revision if self.current else None,
            )
            if self._on_refused:
                self._on_refused(reason)
            return False
        self._metrics.catalog_valid.set(1)
        self.current = catalog
        if catalog.revision:
            self._by_revision[catalog.revision] = catalog
            self._by_revision.move_to_end(catalog.revision)
            while len(self._by_revision) > _REMEMBERED:
                self._by_revision.popitem(last=False)
        log.info(
            "tier catalog in force",
            revision=catalog.revision,
            tiers=[tier.name for tier in catalog.tiers],
            former=sorted(catalog.until),
        )
        return True


def _read(config_map: ConfigMap | None) -> Catalog:
    if config_map is None:
        raise MaasError(f"ConfigMap {CATALOG_NAME} does not exist; run the role tiers")
    texts = config_map.data or {}
    if CATALOG_KEY not in texts:
        raise MaasError(
            f"ConfigMap {CATALOG_NAME} has no key {CATALOG_KEY}; run the role tiers again"
        )
    parsed = {
        key: yaml.load(texts[key], Loader=_LOADER)  # noqa: S506 - both are safe loaders
        for key in _KEYS
        if key in texts
    }
    read = _catalog.read_catalog(parsed)
    revision = (config_map.metadata.annotations or {}).get(REVISION_ANNOTATION)
    return Catalog(read, revision)
