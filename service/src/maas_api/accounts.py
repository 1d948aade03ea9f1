# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Users' accounts: which are alive, and when others died."""

from __future__ import annotations

import asyncio
import re
import time

from .kubernetes import Kubernetes, KubernetesError
from .metrics import Metrics
from .objects import ServiceAccount
from .shared._accounts import owner_of
from .shared._names import ACCOUNT_LABEL
from .watch import Source, Watch, WatchSet

Key = tuple[str, str, str]

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_READS_AT_ONCE = 32
_READ_SECONDS = 3.0
_DEATHS_KEPT_SECONDS = 120.0
_MOST_DEAD = 4096


def account_path(namespace: str, name: str = "") -> str:
    """Return the path of an account, or of all in a namespace."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    return f"{path}/{name}" if name else path


class Accounts:
    """The ServiceAccounts in the tiers' namespaces."""

    def __init__(self, kubernetes: Kubernetes, metrics: Metrics) -> None:
        self._kubernetes = kubernetes
        self._metrics = metrics
        self.watches = WatchSet(self._watch)
        self._deaths: dict[tuple[str, str], float] = {}
        #: A uid that was gone once never comes back, so this is never wrong; it is bounded only.
        self._dead: dict[Key, None] = {}
        self._reads: dict[Key, asyncio.Task[ServiceAccount | None]] = {}
        self._slots = asyncio.Semaphore(_READS_AT_ONCE)

    def _watch(self, namespace: str) -> Watch[ServiceAccount]:
        source = Source(
            resource="serviceaccounts",
            kind=ServiceAccount,
            path=account_path(namespace),
            namespace=namespace,
            params={"labelSelector": f"{ACCOUNT_LABEL}=true"},
        )

        def note(name: str, old: ServiceAccount | None, new: ServiceAccount | None) -> None:
            self._note_death(namespace, name, old, new)

        return Watch(self._kubernetes, self._metrics, source, note)

    def shown(self, namespace: str, name: str) -> ServiceAccount | None:
        """Return the account as the watch shows it, which may be a moment behind."""
        watch = self.watches[namespace]
        account = watch.items.get(name) if watch and watch.is_synced else None
        return None if account is None or account.is_terminating else account

    def known(self, namespace: str, name: str, uid: str) -> ServiceAccount | None:
        """Return the account if the watch shows this very one alive."""
        account = self.shown(namespace, name)
        return account if account is not None and account.metadata.uid == uid else None

    async def live(self, namespace: str, name: str, uid: str) -> ServiceAccount | None:
        """Return the account if it lives; ask the API server if the watch does not show it.

        A token may be used before our watch has heard of its account, and a watch may be down.
        Raises KubernetesError where nobody can tell: then the answer is not yes.
        """
        account = self.known(namespace, name, uid)
        key = (namespace, name, uid)
        if account is not None or not uid or key in self._dead or not _NAME.fullmatch(name):
            return account
        read = self._reads.get(key)
        if read is None:
            read = self._reads[key] = asyncio.create_task(self._read(key))
            read.add_done_callback(lambda _: self._reads.pop(key, None))
        return await asyncio.shield(read)

    async def _read(self, key: Key) -> ServiceAccount | None:
        namespace, name, uid = key
        self._metrics.account_reads.inc()
        path = account_path(namespace, name)
        try:
            async with asyncio.timeout(_READ_SECONDS), self._slots:
                account = await self._kubernetes.get(path, ServiceAccount)
        except TimeoutError as exc:
            raise KubernetesError(f"GET {path}", 0, "too slow") from exc
        except KubernetesError as exc:
            if exc.status != 404:
                raise
            self._bury(key)
            return None
        if account.metadata.uid != uid or account.is_terminating:
            self._bury(key)
            return None
        return account if owner_of(account.as_mapping()) else None

    def _bury(self, key: Key) -> None:
        self._dead[key] = None
        if len(self._dead) > _MOST_DEAD:
            del self._dead[next(iter(self._dead))]

    def user_of(self, name: str) -> str:
        """Return the user that an account's name stands for; the name itself if none is known."""
        for _, watch in self.watches:
            account = watch.items.get(name)
            owner = owner_of(account.as_mapping()) if account else None
            if owner:
                return owner
        return name

    def last_death(self, namespace: str, name: str) -> float | None:
        """Return when an account of this name was last seen to die, by the monotonic clock."""
        return self._deaths.get((namespace, name))

    def _note_death(
        self,
        namespace: str,
        name: str,
        old: ServiceAccount | None,
        new: ServiceAccount | None,
    ) -> None:
        if old is None or old.is_terminating:
            return
        if new is not None and new.metadata.uid == old.metadata.uid and not new.is_terminating:
            return
        now = time.monotonic()
        self._deaths.pop((namespace, name), None)
        self._deaths[namespace, name] = now
        while now - next(iter(self._deaths.values())) > _DEATHS_KEPT_SECONDS:
            del self._deaths[next(iter(self._deaths))]
