# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Kubernetes Events about the catalog, where `kubectl describe` and alerts show them."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime

import structlog

from .kubernetes import Kubernetes, KubernetesError
from .objects import KubernetesObject
from .shared._names import API_SERVICE, CATALOG_NAME
from .shared._times import write_time

log = structlog.get_logger()

#: What the API server takes at most is 1024.
_LONGEST_NOTE = 1000


class Events:
    """Writes Events; one that cannot be written is logged, and nothing waits for it."""

    def __init__(self, kubernetes: Kubernetes, namespace: str) -> None:
        self._kubernetes = kubernetes
        self._namespace = namespace
        self._tasks: set[asyncio.Task[None]] = set()

    def catalog_refused(self, reason: str) -> None:
        """Say on the ConfigMap that its catalog was refused; returns at once."""
        task = asyncio.create_task(self._write("CatalogRefused", reason))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Finish what is being written."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(self, reason: str, text: str) -> None:
        now = write_time(datetime.now(UTC))
        note = f"The tier catalog cannot be read; the one before stays in force: {text}"
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{CATALOG_NAME}.{uuid.uuid4().hex[:16]}",
                "namespace": self._namespace,
            },
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "namespace": self._namespace,
                "name": CATALOG_NAME,
            },
            "type": "Warning",
            "reason": reason,
            "message": note[:_LONGEST_NOTE],
            "source": {"component": API_SERVICE},
            "reportingComponent": API_SERVICE,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        path = f"/api/v1/namespaces/{self._namespace}/events"
        try:
            await self._kubernetes.create(path, event, KubernetesObject)
        except KubernetesError as exc:
            log.warning("event not written", reason=str(exc))
