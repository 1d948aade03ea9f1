# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Lists of objects that the API server keeps up to date for us."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic

import msgspec
import structlog

from .body import UNREADABLE
from .kubernetes import Kubernetes, KubernetesError
from .metrics import Metrics
from .objects import KubernetesObjectT, ObjectList, Status, WatchEvent

log = structlog.get_logger()

_PAGE = 500
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.2, 3.0
#: The API server ends a watch after this long; ours end at different times.
_WATCH_SECONDS = (240, 300)
#: What the API server answers to a version that it no longer remembers.
_EXPIRED = 410


@dataclass(frozen=True)
class Source(Generic[KubernetesObjectT]):
    """What to watch: a kind, where it is, and which of them."""

    resource: str
    kind: type[KubernetesObjectT]
    path: str
    namespace: str
    params: Mapping[str, str] = field(default_factory=dict)


#: Called with an object's name, what it was and what it is; None where there was or is none.
OnChange = Callable[[str, KubernetesObjectT | None, KubernetesObjectT | None], None]


class Watch(Generic[KubernetesObjectT]):
    """The objects of one source, in one namespace."""

    def __init__(
        self,
        kubernetes: Kubernetes,
        metrics: Metrics,
        source: Source[KubernetesObjectT],
        on_change: OnChange[KubernetesObjectT] | None = None,
    ) -> None:
        self.items: dict[str, KubernetesObjectT] = {}
        #: Whether `items` is complete and changes arrive; while false, ask the API server.
        self.is_synced = False
        #: Set once the first list came or failed.
        self.was_tried = asyncio.Event()
        #: Why it is not synced.
        self.failure = "not read yet"
        self._kubernetes = kubernetes
        self._source = source
        self._on_change = on_change
        self._version = ""
        self._failures = metrics.watch_restarts.labels(source.resource)
        self._gauge = metrics.watch_synced.labels(source.resource, source.namespace)
        self._gauge.set(0)
        self._heard_at = time.monotonic()
        self._metrics = metrics
        age = metrics.watch_age.labels(source.resource, source.namespace)
        age.set_function(lambda: time.monotonic() - self._heard_at)
        self._object = msgspec.json.Decoder(source.kind)
        self._event = msgspec.json.Decoder(WatchEvent)

    def forget(self) -> None:
        """Take this watch out of the metrics: nobody watches there any more."""
        for gauge in (self._metrics.watch_synced, self._metrics.watch_age):
            gauge.remove(self._source.resource, self._source.namespace)

    async def run(self) -> None:
        """Keep `items` up to date until cancelled; nothing that fails ends it."""
        pause = _SHORTEST_PAUSE
        while True:
            try:
                await self._follow()
                pause = _SHORTEST_PAUSE
            except KubernetesError as exc:
                if exc.status == _EXPIRED:
                    self._version = ""
                self._fail(str(exc))
            except UNREADABLE as exc:
                self._version = ""
                self._fail(f"unreadable: {exc}")
            except Exception as exc:
                # A mistake of ours; without this watch the whole replica is of no use.
                log.exception("watch broke", resource=self._source.resource)
                self._version = ""
                self._fail(f"broke: {exc!r}")
            finally:
                self._set_synced(False)
            self.was_tried.set()
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - no secret
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _follow(self) -> None:
        """List if need be, then watch until the watch ends."""
        if not self._version:
            await self._list()
        params = {**self._source.params, "resourceVersion": self._version}
        seconds = random.randint(*_WATCH_SECONDS)  # noqa: S311 - no secret
        async with self._kubernetes.watch(self._source.path, params, seconds) as lines:
            self._set_synced(True)
            self.was_tried.set()
            async for line in lines:
                self._heard_at = time.monotonic()
                self._apply(self._event.decode(line))

    async def _list(self) -> None:
        found: dict[str, KubernetesObjectT] = {}
        token = ""
        pages: Any = ObjectList
        while True:
            params: dict[str, str | int] = {**self._source.params, "limit": _PAGE}
            if token:
                params["continue"] = token
            page: ObjectList[KubernetesObjectT] = await self._kubernetes.get(
                self._source.path, pages[self._source.kind], params
            )
            found.update((item.metadata.name, item) for item in page.items or ())
            token = page.metadata.continue_token
            if not token:
                break
        for name in self.items.keys() - found.keys():
            self._set(name, None)
        for name, item in found.items():
            self._set(name, item)
        self._version = page.metadata.resource_version
        self._heard_at = time.monotonic()

    def _apply(self, event: WatchEvent) -> None:
        if event.type == "ERROR":
            # Most often 410: the version is too old to go on from.
            self._version = ""
            status = msgspec.json.decode(event.object, type=Status)
            raise KubernetesError(f"watch {self._source.path}", status.code, status.message)
        item = self._object.decode(event.object)
        self._version = item.metadata.resource_version
        if event.type in {"ADDED", "MODIFIED"}:
            self._set(item.metadata.name, item)
        elif event.type == "DELETED":
            self._set(item.metadata.name, None)

    def _set(self, name: str, new: KubernetesObjectT | None) -> None:
        old = self.items.get(name)
        if old and new and old.metadata.resource_version == new.metadata.resource_version:
            return
        if new is not None:
            self.items[name] = new
        elif old is not None:
            del self.items[name]
        if self._on_change:
            self._on_change(name, old, new)

    def _set_synced(self, value: bool) -> None:
        if value and not self.is_synced and self.failure:
            log.info("watch open", resource=self._source.resource, namespace=self._source.namespace)
            self.failure = ""
        self.is_synced = value
        self._gauge.set(value)

    def _fail(self, reason: str) -> None:
        # Said once, not at every try.
        if reason != self.failure:
            log.warning(
                "watch failed",
                resource=self._source.resource,
                namespace=self._source.namespace,
                reason=reason,
            )
        self.failure = reason
        self._failures.inc()


class WatchSet(Generic[KubernetesObjectT]):
    """One watch a namespace; namespaces come and go with the tiers."""

    def __init__(self, make: Callable[[str], Watch[KubernetesObjectT]]) -> None:
        self._make = make
        self._watches: dict[str, Watch[KubernetesObjectT]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def __getitem__(self, namespace: str) -> Watch[KubernetesObjectT] | None:
        return self._watches.get(namespace)

    def __iter__(self) -> Iterator[tuple[str, Watch[KubernetesObjectT]]]:
        return iter(self._watches.items())

    def follow(self, namespaces: Collection[str]) -> None:
        """Watch these namespaces and no others."""
        for namespace in self._watches.keys() - set(namespaces):
            self._watches.pop(namespace).forget()
            self._tasks.pop(namespace).cancel()
        for namespace in sorted(set(namespaces) - self._watches.keys()):
            watch = self._watches[namespace] = self._make(namespace)
            self._tasks[namespace] = asyncio.create_task(watch.run(), name=f"watch {namespace}")

    @property
    def is_running(self) -> bool:
        """Whether no watch ended, which none should."""
        return not any(task.done() for task in self._tasks.values())

    async def close(self) -> None:
        """Stop watching."""
        tasks = list(self._tasks.values())
        self.follow(())
        await asyncio.gather(*tasks, return_exceptions=True)
