# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Reading the catalog of tiers back from a cluster."""

from __future__ import annotations

from dataclasses import dataclass

from ._catalog import parse_catalog
from ._errors import MaasError
from ._kubernetes import Cluster
from ._names import CATALOG_KEY, CATALOG_NAME, REVISION_ANNOTATION
from ._objects import Key
from ._tiers import Tier

try:
    import yaml
except ImportError:  # comes with kubernetes; sanity tests read this file without it
    yaml = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Catalog:
    """The tiers of a cluster and the revision they are."""

    revision: str
    tiers: tuple[Tier, ...]


def read_catalog(cluster: Cluster, namespace: str) -> Catalog:
    """Return the cluster's catalog; MaasError where there is none, or not one of ours."""
    found = cluster.find(Key("v1", "ConfigMap", namespace, CATALOG_NAME))
    if found is None:
        raise MaasError(
            f"ConfigMap {namespace}/{CATALOG_NAME} is not there, so this cluster has no tiers: "
            "run the playbook maas.platform.site, or maas.platform.tiers, first"
        )
    try:
        raw = yaml.safe_load((found.get("data") or {}).get(CATALOG_KEY) or "")
    except yaml.YAMLError as exc:
        raise MaasError(
            f"ConfigMap {namespace}/{CATALOG_NAME} holds no YAML under {CATALOG_KEY}: {exc}; "
            "run the playbook maas.platform.tiers again"
        ) from exc
    stamp = (found["metadata"].get("annotations") or {}).get(REVISION_ANNOTATION) or ""
    return Catalog(stamp, tuple(parse_catalog(raw)))
