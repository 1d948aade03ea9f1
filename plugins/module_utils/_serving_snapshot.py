# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""One look at the models and what KServe made of them, for all that wait at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ._kubernetes import Cluster
from ._names import FIELD_MANAGER, MODEL_LABEL
from ._objects import Key, Object, key_of

SERVICE = ("serving.kserve.io/v1alpha2", "LLMInferenceService")
ROUTE = ("gateway.networking.k8s.io/v1", "HTTPRoute")
ROUTE_POLICY = ("gateway.envoyproxy.io/v1alpha1", "EnvoyExtensionPolicy")
DEPLOYMENT = ("apps/v1", "Deployment")
REPLICA_SET = ("apps/v1", "ReplicaSet")
GROUP = ("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet")
POD = ("v1", "Pod")

OURS = f"app.kubernetes.io/managed-by={FIELD_MANAGER},{MODEL_LABEL}"
#: KServe's own label on everything that runs a model.
_WORKLOAD = "kserve.io/component=workload"


@dataclass(frozen=True)
class Snapshot:
    """Models, their routes, and what runs them, all read at about the same time."""

    objects: Mapping[Key, Object] = field(default_factory=dict)

    def find(self, key: Key) -> Object | None:
        """Return one object."""
        return self.objects.get(key)

    def owned(self, kind: str, owner: Mapping[str, Any]) -> list[Object]:
        """Return the objects of a kind that another one controls."""
        uid, namespace = owner["metadata"].get("uid"), owner["metadata"].get("namespace")
        return [
            item
            for key, item in self.objects.items()
            if key.kind == kind and key.namespace == namespace and uid and uid in _owners(item)
        ]


def take_snapshot(cluster: Cluster, namespaces: Iterable[str], groups: bool) -> Snapshot:
    """Read what there is of models in these namespaces; groups: pods over several nodes, too."""
    kinds: list[tuple[tuple[str, str], str]] = [
        (SERVICE, OURS),
        (ROUTE, OURS),
        (ROUTE_POLICY, OURS),
        (DEPLOYMENT, _WORKLOAD),
        (REPLICA_SET, _WORKLOAD),
        (POD, _WORKLOAD),
    ]
    if groups:
        kinds.append((GROUP, _WORKLOAD))
    asked = [(kind, place, by) for place in sorted(set(namespaces)) for kind, by in kinds]
    found = cluster.each(lambda it: cluster.select(*it[0], it[1], it[2]), asked)
    return Snapshot({key_of(item): item for items in found for item in items})


def _owners(item: Mapping[str, Any]) -> list[str]:
    references = item["metadata"].get("ownerReferences") or []
    return [str(reference.get("uid")) for reference in references]
