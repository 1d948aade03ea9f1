# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Reading the catalog of tiers back from a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ._catalog import Catalog, Former
from ._catalog import read_catalog as read_data
from ._errors import MaasError
from ._kubernetes import Cluster
from ._names import (
    CATALOG_FORMER_KEY,
    CATALOG_KEY,
    CATALOG_NAME,
    CATALOG_OVERRIDES_KEY,
    REVISION_ANNOTATION,
)
from ._objects import Key
from ._overrides import Override
from ._tiers import Tier

try:
    import yaml
except ImportError:  # comes with kubernetes; sanity tests read this file without it
    yaml = None  # type: ignore[assignment]

_KEYS = (CATALOG_KEY, CATALOG_FORMER_KEY, CATALOG_OVERRIDES_KEY)


@dataclass(frozen=True)
class LiveCatalog:
    """The catalog of a cluster and the revision it is."""

    revision: str
    content: Catalog = field(default_factory=lambda: Catalog(()))

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """Return the tiers that users can get tokens of."""
        return tuple(self.content.tiers)

    @property
    def former(self) -> tuple[Former, ...]:
        """Return the namespaces whose tier has another name now, or none."""
        return tuple(self.content.former)

    @property
    def overrides(self) -> tuple[Override, ...]:
        """Return what is special about single users."""
        return tuple(self.content.overrides)


def read_catalog(cluster: Cluster, namespace: str) -> LiveCatalog:
    """Return the cluster's catalog; MaasError where there is none, or not one of ours."""
    found = cluster.find(Key("v1", "ConfigMap", namespace, CATALOG_NAME))
    if found is None:
        raise MaasError(
            f"ConfigMap {namespace}/{CATALOG_NAME} is not there, so this cluster has no tiers: "
            "run the playbook maas.platform.site, or maas.platform.tiers, first"
        )
    stamp = (found["metadata"].get("annotations") or {}).get(REVISION_ANNOTATION) or ""
    return LiveCatalog(stamp, parse_config_map(found))


def parse_config_map(found: Mapping[str, Any]) -> Catalog:
    """Return the catalog that a ConfigMap holds; MaasError where it is not one of ours."""
    texts = found.get("data") or {}
    where = f"{found['metadata'].get('namespace')}/{found['metadata'].get('name')}"
    data: dict[str, Any] = {}
    for key in _KEYS:
        if key not in texts and key != CATALOG_KEY:
            continue
        try:
            data[key] = yaml.safe_load(texts.get(key) or "")
        except yaml.YAMLError as exc:
            raise MaasError(
                f"ConfigMap {where} holds no YAML under {key}: {exc}; "
                "run the playbook maas.platform.tiers again"
            ) from exc
    return read_data(data)
