# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The tiers as the platform publishes them: ConfigMap tier-to-group-mapping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml
from cluster import Kubectl


@dataclass(frozen=True)
class Limit:
    """At most this many in a window."""

    limit: int
    seconds: int


@dataclass(frozen=True)
class Tier:
    """One tier, with what these tests need to know of it."""

    name: str
    namespace: str
    models: tuple[str, ...]
    requests: Limit | None
    tokens: Limit | None


@dataclass(frozen=True)
class Catalog:
    """All tiers and, from them, all models. A model is written namespace/name."""

    tiers: dict[str, Tier]

    @classmethod
    def read(cls, kubectl: Kubectl) -> Catalog:
        """Read the ConfigMap; of several windows keep the one that tests can wait for."""
        data = kubectl.get("configmap/tier-to-group-mapping", "--namespace=maas-api")["data"]
        tiers = (_tier(entry) for entry in yaml.safe_load(data["tiers"]))
        return cls({tier.name: tier for tier in tiers})

    @property
    def models(self) -> set[str]:
        """Every model that some tier may call."""
        return {model for tier in self.tiers.values() for model in tier.models}

    def denied_model(self, tier: str) -> str:
        """Return a model that exists and that this tier may not call."""
        return min(self.models - set(self.tiers[tier].models))


def _tier(entry: dict[str, Any]) -> Tier:
    return Tier(
        name=entry["name"],
        namespace=entry["namespace"],
        models=tuple(sorted(f"{model['namespace']}/{model['name']}" for model in entry["models"])),
        requests=_shortest(entry["limits"]["requests"]),
        tokens=_shortest(entry["limits"]["tokens"]),
    )


def _shortest(limits: list[dict[str, Any]] | str) -> Limit | None:
    if isinstance(limits, str):
        return None  # the word "unlimited"
    first = min(limits, key=lambda limit: limit["windowSeconds"])
    return Limit(first["limit"], first["windowSeconds"])
