# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Notes on accounts: when the last token was made, and when the last one will have expired.

For administrators only: nothing is decided by them, so one that could not be written does no harm.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import structlog

from .accounts import account_path
from .kubernetes import Kubernetes, KubernetesError
from .objects import ServiceAccount
from .shared._errors import MaasError
from .shared._times import parse_time, write_time

log = structlog.get_logger()

LAST_TOKEN = "maas.platform/last-token-at"  # noqa: S105 - an annotation, no secret
TOKENS_EXPIRE = "maas.platform/tokens-expire-at"
#: Somebody who mints often needs no note each time.
_FRESH = timedelta(minutes=1)


class AccountNotes:
    """Writes the notes, after the answer went out."""

    def __init__(self, kubernetes: Kubernetes) -> None:
        self._kubernetes = kubernetes
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure = ""

    def note(self, account: ServiceAccount, namespace: str, expires_at: int) -> None:
        """Note that a token was made; returns at once."""
        now = datetime.now(UTC)
        expires = datetime.fromtimestamp(expires_at, UTC)
        last, known = read_note(account, LAST_TOKEN), read_note(account, TOKENS_EXPIRE)
        if last and known and now - last < _FRESH and expires - known < _FRESH:
            return
        notes = {
            LAST_TOKEN: write_time(now),
            TOKENS_EXPIRE: write_time(max(expires, known) if known else expires),
        }
        path = account_path(namespace, account.metadata.name)
        task = asyncio.create_task(self._write(path, account.metadata.uid, notes))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Finish what is being written."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(self, path: str, uid: str, notes: dict[str, str]) -> None:
        # With the uid a note cannot land on another account of the same name.
        try:
            await self._kubernetes.patch(path, {"metadata": {"uid": uid, "annotations": notes}})
        except KubernetesError as exc:
            # Gone or made anew: revoked meanwhile.
            if exc.status not in {404, 409} and str(exc.status) != self._failure:
                self._failure = str(exc.status)
                log.warning("account not annotated", reason=str(exc))


def read_note(account: ServiceAccount, name: str) -> datetime | None:
    """Return a note's time; None where there is none, or none that can be read."""
    text = (account.metadata.annotations or {}).get(name)
    try:
        return parse_time(text) if text else None
    except MaasError:
        return None
