# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""TokenReviews: anybody can make us ask for one, so there are only so many."""

from __future__ import annotations

import asyncio
import hashlib
import time
from contextlib import AsyncExitStack

import structlog

from .errors import ApiError
from .guessing import Guessing
from .kubernetes import Kubernetes
from .metrics import Metrics
from .objects import ReviewStatus, TokenReview
from .secret import Secret

log = structlog.get_logger()

_PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
#: The API server has other things to do for us: accounts, tokens, revocations.
_AT_ONCE = 16
#: So many of them for tokens that were not good lately: whoever sends nonsense does not keep
#: those waiting who work here.
_STRANGERS_AT_ONCE = 12
#: Whoever waits longer than this for his turn is told to come back.
_WAIT_SECONDS = 0.5
#: A token that is no good is not asked about again for so long. Good ones are, every time.
_REFUSED_SECONDS = 5.0
_MOST_REFUSED = 4096
#: Whom a flood from his network must not keep out: whose token was good not long ago.
_GOOD_SECONDS = 3600.0
_MOST_GOOD = 16384


class Reviews:
    """Asks the API server whose a token is.

    Args:
        kubernetes: Who knows.
        guessing: How many tokens that are no good may come.
        metrics: Where verdicts are counted.
    """

    def __init__(self, kubernetes: Kubernetes, guessing: Guessing, metrics: Metrics) -> None:
        self._kubernetes = kubernetes
        self._guessing = guessing
        self._verdicts = metrics.reviews
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._strangers = asyncio.Semaphore(_STRANGERS_AT_ONCE)
        self._refused = _Lately(_REFUSED_SECONDS, _MOST_REFUSED)
        self._good = _Lately(_GOOD_SECONDS, _MOST_GOOD)

    async def review(
        self, token: Secret, audiences: list[str], client: str | None = None
    ) -> ReviewStatus:
        """Return the verdict on a token that came from this address.

        ApiError 429 where too many from there were no good, 503 while too many others wait.
        """
        text = token.reveal()
        digest = hashlib.sha256("\n".join([text, *audiences]).encode()).digest()
        is_stranger = digest not in self._good
        async with AsyncExitStack() as stack:
            if digest not in self._refused:
                await self._wait_for_turn(stack, is_stranger)
            # Perhaps somebody with the same token was before us.
            if digest in self._refused:
                self._verdicts.labels("remembered").inc()
                return ReviewStatus()
            if is_stranger:
                try:
                    # After the wait: of many at once, most are counted by now.
                    self._guessing.check(client)
                except ApiError:
                    self._verdicts.labels("not_asked").inc()
                    raise
            return await self._ask(text, audiences, digest, client)

    async def _wait_for_turn(self, stack: AsyncExitStack, is_stranger: bool) -> None:
        try:
            async with asyncio.timeout(_WAIT_SECONDS):
                if is_stranger:
                    await stack.enter_async_context(self._strangers)
                await stack.enter_async_context(self._slots)
        except TimeoutError as exc:
            self._verdicts.labels("not_asked").inc()
            log.warning("too many token reviews at once", most=_AT_ONCE)
            raise ApiError(
                503, "Too many tokens are being checked; try again.", {"Retry-After": "1"}
            ) from exc

    async def _ask(
        self, text: str, audiences: list[str], digest: bytes, client: str | None
    ) -> ReviewStatus:
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": text, "audiences": audiences},
        }
        status = (await self._kubernetes.create(_PATH, body, TokenReview)).status
        if status.authenticated:
            self._good.add(digest)
            self._verdicts.labels("good").inc()
        else:
            self._good.discard(digest)
            self._refused.add(digest)
            self._guessing.count(client)
            self._verdicts.labels("refused").inc()
        return status


class _Lately:
    """Digests of tokens, each for some time; the oldest go first where there are too many."""

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most
        self._since: dict[bytes, float] = {}

    def __contains__(self, digest: bytes) -> bool:
        at = self._since.get(digest)
        return at is not None and time.monotonic() - at < self._seconds

    def add(self, digest: bytes) -> None:
        self.discard(digest)
        self._since[digest] = time.monotonic()
        if len(self._since) > self._most:
            del self._since[next(iter(self._since))]

    def discard(self, digest: bytes) -> None:
        self._since.pop(digest, None)
