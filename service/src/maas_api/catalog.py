# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The tiers in force: the last catalog in the ConfigMap that could be read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
import yaml

from .metrics import Metrics
from .objects import ConfigMap
from .shared._catalog import parse_catalog
from .shared._errors import MaasError
from .shared._names import CATALOG_KEY, CATALOG_NAME, REVISION_ANNOTATION
from .shared._tiers import Tier, resolve_tier

log = structlog.get_logger()

# libyaml's loader is many times faster and not in every build.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class TierAnswer(msgspec.Struct, rename="camel"):
    """A tier, as the lookup names it."""

    tier: str
    display_name: str


@dataclass(frozen=True)
class Catalog:
    """All tiers, by what they are asked for."""

    revision: str | None
    tiers: tuple[Tier, ...]
    by_namespace: dict[str, Tier]
    #: The lookup's answers, written once.
    answers: dict[str, bytes]

    @classmethod
    def of(cls, tiers: Iterable[Tier], revision: str | None) -> Catalog:
        """Return the catalog of these tiers."""
        all_tiers = tuple(sorted(tiers, key=lambda tier: tier.level))
        return cls(
            revision=revision,
            tiers=all_tiers,
            by_namespace={tier.namespace: tier for tier in all_tiers},
            answers={
                tier.name: msgspec.json.encode(
                    TierAnswer(tier.name, tier.display_name or tier.name)
                )
                for tier in all_tiers
            },
        )

    def resolve(self, groups: Iterable[str]) -> Tier | None:
        """Return the tier of somebody in these groups; the highest level wins."""
        return resolve_tier(self.tiers, groups)

    @property
    def model_namespaces(self) -> set[str]:
        """Return where the tiers' models are."""
        return {ref.namespace for tier in self.tiers for ref in tier.models}


class CatalogKeeper:
    """Holds the last good catalog, whatever is written over it."""

    def __init__(self, metrics: Metrics) -> None:
        self.current: Catalog | None = None
        self._metrics = metrics

    def apply(self, config_map: ConfigMap | None) -> bool:
        """Take a new catalog over if it can be read; return whether it was."""
        try:
            catalog = _read(config_map)
        except (MaasError, yaml.YAMLError) as exc:
            self._metrics.catalog_valid.set(0)
            self._metrics.catalogs_refused.inc()
            log.error(  # noqa: TRY400 - expected; a traceback says nothing more
                "tier catalog refused",
                reason=str(exc),
                in_use=self.current.revision if self.current else None,
            )
            return False
        self._metrics.catalog_valid.set(1)
        self.current = catalog
        log.info(
            "tier catalog in force",
            revision=catalog.revision,
            tiers=[tier.name for tier in catalog.tiers],
        )
        return True


def _read(config_map: ConfigMap | None) -> Catalog:
    if config_map is None:
        raise MaasError(f"ConfigMap {CATALOG_NAME} does not exist; run the role tiers")
    text = (config_map.data or {}).get(CATALOG_KEY)
    if text is None:
        raise MaasError(
            f"ConfigMap {CATALOG_NAME} has no key {CATALOG_KEY}; run the role tiers again"
        )
    tiers = parse_catalog(yaml.load(text, Loader=_LOADER))  # noqa: S506 - both are safe loaders
    names = [tier.name for tier in tiers]
    levels = [tier.level for tier in tiers]
    if len(set(names)) < len(names) or len(set(levels)) < len(levels):
        raise MaasError("two tiers in the catalog share a name or a level; run the role tiers")
    revision = (config_map.metadata.annotations or {}).get(REVISION_ANNOTATION)
    return Catalog.of(tiers, revision)
