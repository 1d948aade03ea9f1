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
from ._catalog import write_catalog
from ._inventory import Inventory
from ._limit_policies import render_limit_policies
from ._manifests import Manifest, manifest
from ._models import Model
from ._names import (
    API_NAMESPACE,
    CATALOG_NAME,
    GATEWAY_NAMESPACE,
    REVISION_ANNOTATION,
)
from ._plan import Plan
from ._tier import Tier
from ._transitions import fresh_plan
from ._yaml import write_yaml

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
    """Render tiers as for a cluster without any."""
    return render_plan(fresh_plan(Inventory(tuple(tiers), tuple(models))), platform)


def render_plan(plan: Plan, platform: Platform | None = None) -> Rendered:
    """Render a plan; the same one gives the same objects and the same revision, always."""
    where = platform or Platform()
    refs = [model.ref for model in plan.models] + [
        ref for tier in plan.known for ref in tier.models
    ]
    model_namespaces = namespaces_of(refs)
    access = render_access(plan.known, plan.holdings, model_namespaces, where.api_namespace)
    draft = [
        *access,
        _render_catalog(plan, where.api_namespace, ""),
        *_render_policies(plan, where, ""),
    ]
    stamp = revision(draft)
    return Rendered(
        revision=stamp,
        namespaces=render_namespaces(plan.holdings, model_namespaces, where.api_namespace),
        access=access,
        catalog=[_render_catalog(plan, where.api_namespace, stamp)],
        policies=_render_policies(plan, where, stamp),
    )


def revision(manifests: Iterable[Manifest]) -> str:
    """Return a short name of exactly these objects."""
    text = json.dumps(list(manifests), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:_REVISION_DIGITS]


def _render_policies(plan: Plan, where: Platform, stamp: str) -> list[Manifest]:
    # The limits first: whoever the AuthPolicy lets in then meets limits that are there.
    return [
        *render_limit_policies(plan.known, where.gateway_namespace, stamp, plan.overrides),
        render_auth_policy(
            plan.known, plan.owners, where.gateway_namespace, where.api_namespace, stamp
        ),
    ]


def _render_catalog(plan: Plan, api_namespace: str, stamp: str) -> Manifest:
    return manifest(
        "v1",
        "ConfigMap",
        CATALOG_NAME,
        api_namespace,
        part="catalog",
        annotations={REVISION_ANNOTATION: stamp},
        data={key: write_yaml(entries) for key, entries in write_catalog(plan.catalog).items()},
    )
