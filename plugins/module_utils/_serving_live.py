# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What a cluster holds of the models, and what changes of it in a run."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Any

from ._drift import Drift, find_drift, strangers
from ._errors import MaasError
from ._kubernetes import ApiError, Cluster
from ._names import MODEL_LABEL
from ._objects import Change, Key, Object, differ, key_of
from ._serving_conceal import conceal
from ._serving_record import proven_version, version_of
from ._serving_snapshot import OURS, ROUTE, ROUTE_POLICY, SERVICE

#: The kinds of objects that a model has, routes first: in this order they go.
KINDS = (
    ROUTE,
    ROUTE_POLICY,
    ("gateway.envoyproxy.io/v1alpha1", "HTTPRouteFilter"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    SERVICE,
    ("policy/v1", "PodDisruptionBudget"),
    ("monitoring.coreos.com/v1", "PodMonitor"),
    ("resource.k8s.io/v1", "ResourceClaimTemplate"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
)
#: Those that lead callers to a model.
ROUTING = tuple(kind for _version, kind in KINDS[:3])

#: How long KServe's controller may take to come back: its webhooks see every change.
_PATIENCE_SECONDS = 60
_WEBHOOK = ("failed calling webhook", "conversion webhook", "failed to call webhook")


class LiveModels:
    """The objects of all models; applying and deleting keeps them up to date."""

    def __init__(self, cluster: Cluster, dry_run: bool = False) -> None:
        """Read what is there."""
        self._cluster = cluster
        self._dry_run = dry_run
        self._lock = threading.Lock()
        self._first: dict[Key, Change] = {}
        found = cluster.each(lambda kind: cluster.select(*kind, selector=OURS), KINDS)
        self.objects = {key_of(item): item for items in found for item in items}

    @property
    def changes(self) -> list[Change]:
        """Return what became of each object, from before the first step to now."""
        return list(self._first.values())

    def of_model(self, namespace: str, name: str) -> list[Object]:
        """Return a model's objects, in the order in which they go."""
        kinds = [kind for _version, kind in KINDS]
        found = [
            item
            for key, item in self.objects.items()
            if key.namespace == namespace and model_of(item) == name
        ]
        return sorted(found, key=lambda item: kinds.index(item["kind"]))

    def models(self) -> list[tuple[str, str]]:
        """Return the models that anything is there of."""
        found = {(key.namespace, model_of(item)) for key, item in self.objects.items()}
        return sorted((namespace, name) for namespace, name in found if name)

    def services(self) -> list[Object]:
        """Return the versions of all models."""
        return [item for key, item in self.objects.items() if key.kind == SERVICE[1]]

    def find_lost(self, keys: Iterable[Key]) -> None:
        """Add those that are there and in no list, for lack of their labels."""
        lost = [key for key in keys if key not in self.objects]
        for item in self._cluster.each(self._cluster.find, lost):
            if item is not None:
                self.objects[key_of(item)] = item

    def apply(self, item: Object, keeps_replicas: bool = False) -> Change:
        """Apply one object, once KServe's webhooks answer; what others added is taken away."""
        key = key_of(item)
        # What several models share is in no list of ours, and without it every run would change it.
        before = self.objects.get(key) or self._cluster.find(key)
        if keeps_replicas and before is not None:
            item = _keep_replicas(before, item)
        change = self._patiently(
            key, lambda: self._cluster.apply(item, before, self._dry_run, sole=True)
        )
        self._note(change)
        return change

    def delete(self, items: Iterable[Object]) -> None:
        """Delete objects."""
        for change in self._cluster.each(
            lambda item: self._cluster.delete(item, self._dry_run), items
        ):
            self._note(change)

    def drift(self, wanted: Iterable[Object]) -> list[Drift]:
        """Return what was changed by hand of these, as far as managers tell."""
        found: list[Drift] = []
        for item in wanted:
            live = self.objects.get(key_of(item))
            if live is not None:
                same = _is_same(live, item)
                found += find_drift(conceal(live), conceal(item), same_revision=same)
        return found

    def _patiently(self, key: Key, work: Any) -> Change:
        end = self._cluster.clock() + _PATIENCE_SECONDS
        while True:
            try:
                return work()  # type: ignore[no-any-return]
            except ApiError as exc:
                if not any(word in exc.message for word in _WEBHOOK):
                    raise
                if self._dry_run or self._cluster.clock() >= end:
                    raise MaasError(
                        f"KServe's controller, which looks at every change of {key}, has not "
                        f"answered for {_PATIENCE_SECONDS} s: {exc.message}; see its pods in "
                        "namespace kserve, then run again"
                    ) from exc
            self._cluster.pause(2)

    def _note(self, change: Change) -> None:
        if not change.changed:
            return
        with self._lock:
            key = change.key
            if not self._dry_run:
                if change.after is None:
                    self.objects.pop(key, None)
                else:
                    self.objects[key] = change.after
            first = self._first.pop(key, None)
            if first is None:
                self._first[key] = change
            elif change.after is None:
                if first.action != "created":
                    self._first[key] = Change(key, "deleted", first.before, None)
            elif first.before is None or differ(first.before, change.after):
                self._first[key] = Change(key, first.action, first.before, change.after)


def model_of(item: Mapping[str, Any]) -> str:
    """Return the name of the model that an object belongs to."""
    return str((item["metadata"].get("labels") or {}).get(MODEL_LABEL) or "")


def _keep_replicas(live: Object, item: Object) -> Object:
    """Return the manifest with the number of pods that somebody else set."""
    if "replicas" in item["spec"] or ("spec", "replicas") not in strangers(live, item):
        return item
    return {**item, "spec": {**item["spec"], "replicas": live["spec"]["replicas"]}}


def _is_same(live: Object, item: Object) -> bool:
    """Return whether the inventory wants what it wanted when it was last applied."""
    return item["kind"] == SERVICE[1] and proven_version(live) == version_of(item)
