# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What the service knows of the cluster, and whether that is enough to answer."""

from __future__ import annotations

from .accounts import Accounts
from .catalog import CatalogKeeper
from .events import Events
from .kubernetes import Kubernetes
from .metrics import Metrics
from .models import Models
from .objects import ConfigMap
from .settings import Settings
from .shared._names import CATALOG_NAME
from .watch import Source, Watch, WatchSet


class ClusterView:
    """Catalog, accounts and models, kept up to date from `start` to `close`."""

    def __init__(self, settings: Settings, kubernetes: Kubernetes, metrics: Metrics) -> None:
        self._events = Events(kubernetes, settings.namespace)
        self.catalogs = CatalogKeeper(metrics, self._events.catalog_refused)
        self.accounts = Accounts(kubernetes, metrics)
        self.models = Models(kubernetes, metrics, settings.gateway_url)
        #: Set as the pod stops: requests are still answered, but no new ones should come.
        self.is_draining = False
        self._was_complete = False
        self._namespace = settings.namespace
        self._kubernetes = kubernetes
        self._metrics = metrics
        self._catalog_watches = WatchSet(self._watch_catalog)

    def start(self) -> None:
        """Begin to watch; answers come as soon as what they need is known."""
        self._catalog_watches.follow({self._namespace})

    async def close(self) -> None:
        """Stop watching."""
        for watches in (self._catalog_watches, self.accounts.watches, self.models.watches):
            await watches.close()
        await self._events.close()

    @property
    def revision(self) -> str | None:
        """Return the revision of the catalog in force."""
        return self.catalogs.current.revision if self.catalogs.current else None

    @property
    def is_running(self) -> bool:
        """Whether every watch still runs; if not, a restart is the way out."""
        return (
            self._catalog_watches.is_running
            and self.accounts.watches.is_running
            and self.models.watches.is_running
        )

    def missing(self) -> str:
        """Return what is missing before requests can be answered; empty when nothing is.

        A namespace whose accounts cannot be watched delays nobody but its own users, whose
        accounts are then read one by one: so one tier's mistake does not take all replicas down.
        """
        if self.is_draining:
            return "This replica is stopping."
        if self.catalogs.current is None:
            watch = self._catalog_watches[self._namespace]
            reason = f" ({watch.failure})" if watch and watch.failure else ""
            return (
                f"No tier catalog: ConfigMap {self._namespace}/{CATALOG_NAME} was not read{reason}."
            )
        # Only at the start: a tier that is added later must not take every replica out at once.
        if self._was_complete:
            return ""
        waiting = [name for name, watch in self.accounts.watches if not watch.was_tried.is_set()]
        self._was_complete = not waiting
        return f"Accounts are still being read: {', '.join(waiting)}." if waiting else ""

    def _watch_catalog(self, namespace: str) -> Watch[ConfigMap]:
        source = Source(
            resource="configmaps",
            kind=ConfigMap,
            path=f"/api/v1/namespaces/{namespace}/configmaps",
            namespace=namespace,
            params={"fieldSelector": f"metadata.name={CATALOG_NAME}"},
        )
        return Watch(self._kubernetes, self._metrics, source, self._take_catalog)

    def _take_catalog(self, name: str, _old: ConfigMap | None, new: ConfigMap | None) -> None:
        if name != CATALOG_NAME or not self.catalogs.apply(new):
            return
        catalog = self.catalogs.current
        if catalog:
            self.accounts.watches.follow(catalog.by_namespace.keys())
            self.models.watches.follow(catalog.model_namespaces)
