# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""TokenReviews: anybody can make us ask for one, so there are only so many at a time."""

from __future__ import annotations

import asyncio
import hashlib
import time

import structlog

from .errors import ApiError
from .kubernetes import Kubernetes
from .objects import ReviewStatus, TokenReview
from .secret import Secret

log = structlog.get_logger()

_PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
#: The API server has other things to do for us: accounts, tokens, revocations.
_AT_ONCE = 16
#: Whoever waits longer than this for his turn is told to come back.
_WAIT_SECONDS = 0.5
#: A token that is no good is not asked about again for so long. Good ones are, every time.
_REFUSED_SECONDS = 5.0
_MOST_REFUSED = 4096


class Reviews:
    """Asks the API server whose a token is."""

    def __init__(self, kubernetes: Kubernetes) -> None:
        self._kubernetes = kubernetes
        self._slots = asyncio.Semaphore(_AT_ONCE)
        #: When tokens were found no good, by their digests; the oldest first.
        self._refused: dict[bytes, float] = {}

    async def review(self, token: Secret, audiences: list[str]) -> ReviewStatus:
        """Return the verdict; ApiError 503 while too many others are waiting for theirs."""
        text = token.reveal()
        digest = hashlib.sha256("\n".join([text, *audiences]).encode()).digest()
        if self._was_refused(digest):
            return ReviewStatus()
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                await self._slots.acquire()
        except TimeoutError as exc:
            log.warning("too many token reviews at once", most=_AT_ONCE)
            raise ApiError(
                503, "Too many tokens are being checked; try again.", {"Retry-After": "1"}
            ) from exc
        try:
            # Perhaps somebody with the same token was before us.
            if self._was_refused(digest):
                return ReviewStatus()
            return await self._ask(text, audiences, digest)
        finally:
            self._slots.release()

    async def _ask(self, text: str, audiences: list[str], digest: bytes) -> ReviewStatus:
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": text, "audiences": audiences},
        }
        status = (await self._kubernetes.create(_PATH, body, TokenReview)).status
        if not status.authenticated:
            self._refused.pop(digest, None)
            self._refused[digest] = time.monotonic()
            if len(self._refused) > _MOST_REFUSED:
                del self._refused[next(iter(self._refused))]
        return status

    def _was_refused(self, digest: bytes) -> bool:
        at = self._refused.get(digest)
        return at is not None and time.monotonic() - at < _REFUSED_SECONDS
