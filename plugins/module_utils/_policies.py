# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Everything the tiers need on the cluster, rendered in one go. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ._access import namespaces_of, render_access, render_namespaces
from ._auth_policy import render_auth_policy
from ._catalog import catalog_entries
from ._limit_policies import render_limit_policies
from ._manifests import Manifest, manifest
from ._models import Model
from ._names import (
    API_NAMESPACE,
    CATALOG_KEY,
    CATALOG_NAME,
    GATEWAY_NAMESPACE,
    REVISION_ANNOTATION,
)
from ._tiers import Tier

#: In the order in which they are applied: what is needed first, what opens doors last.
PARTS = ("namespaces", "access", "catalog", "policies")

_REVISION_DIGITS = 12


@dataclass(frozen=True)
class Platform:
    """Where things are."""

    gateway_namespace: str = GATEWAY_NAMESPACE
    api_namespace: str = API_NAMESPACE


@dataclass(frozen=True)
class Rendered:
    """The objects of every part, and the revision that they are."""

    revision: str
    namespaces: list[Manifest]
    access: list[Manifest]
    catalog: list[Manifest]
    policies: list[Manifest]

    def part(self, name: str) -> list[Manifest]:
        """Return the objects of one part."""
        if name not in PARTS:
            raise KeyError(name)
        manifests: list[Manifest] = getattr(self, name)
        return manifests

    def chosen(self, parts: Iterable[str]) -> list[Manifest]:
        """Return the objects of these parts, in the order in which they are applied."""
        wanted = set(parts)
        return [item for name in PARTS if name in wanted for item in self.part(name)]


def render(
    tiers: Sequence[Tier], models: Iterable[Model] = (), platform: Platform | None = None
) -> Rendered:
    """Render tiers; the same input gives the same objects and the same revision, always."""
    where = platform or Platform()
    ordered = sorted(tiers, key=lambda tier: tier.level)
    refs = [model.ref for model in models] + [ref for tier in ordered for ref in tier.models]
    model_namespaces = namespaces_of(refs)
    namespaces = render_namespaces(ordered, model_namespaces, where.api_namespace)
    access = render_access(ordered, model_namespaces, where.api_namespace)
    draft = [
        *access,
        _render_catalog(ordered, where.api_namespace, ""),
        *_render_policies(ordered, where, ""),
    ]
    stamp = revision(draft)
    return Rendered(
        revision=stamp,
        namespaces=namespaces,
        access=access,
        catalog=[_render_catalog(ordered, where.api_namespace, stamp)],
        policies=_render_policies(ordered, where, stamp),
    )


def revision(manifests: Iterable[Manifest]) -> str:
    """Return a short name of exactly these objects."""
    text = json.dumps(list(manifests), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:_REVISION_DIGITS]


def _render_policies(tiers: Sequence[Tier], where: Platform, stamp: str) -> list[Manifest]:
    # The limits first: whoever the AuthPolicy lets in then meets limits that are there.
    return [
        *render_limit_policies(tiers, where.gateway_namespace, stamp),
        render_auth_policy(tiers, where.gateway_namespace, where.api_namespace, stamp),
    ]


def _render_catalog(tiers: Sequence[Tier], api_namespace: str, stamp: str) -> Manifest:
    return manifest(
        "v1",
        "ConfigMap",
        CATALOG_NAME,
        api_namespace,
        part="catalog",
        annotations={REVISION_ANNOTATION: stamp},
        data={CATALOG_KEY: _write_yaml(tiers)},
    )


def _write_yaml(tiers: Sequence[Tier]) -> str:
    """Write the catalog as YAML, one key to a line; JSON values are YAML values."""
    lines = []
    for entry in catalog_entries(tiers):
        for index, (key, value) in enumerate(entry.items()):
            lead = "  " if index else "- "
            lines.append(f"{lead}{key}: {json.dumps(value, ensure_ascii=False)}\n")
    return "".join(lines) or "[]\n"
