# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""A question that one asks for all who want the answer meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger()


class SharedTask:
    """Runs at most once at a time, and not again before a pause is over.

    Args:
        ask: Asks and keeps the answer; it is not cancelled when those who wait go away.
        pause_seconds: How long after an attempt the next may begin.
    """

    def __init__(self, ask: Callable[[], Awaitable[None]], pause_seconds: float) -> None:
        self._ask = ask
        self._pause_seconds = pause_seconds
        self._ended_at = float("-inf")
        self._task: asyncio.Task[None] | None = None

    async def run(self, longest: float | None = None) -> None:
        """Wait for the attempt that is under way or, after the pause, for one of our own.

        Args:
            longest: Wait no longer than this; the attempt goes on.
        """
        if self._task is None:
            if time.monotonic() - self._ended_at < self._pause_seconds:
                return
            self._task = asyncio.create_task(self._try())
        await asyncio.wait({self._task}, timeout=longest)

    async def close(self) -> None:
        """End an attempt that is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _try(self) -> None:
        try:
            await self._ask()
        except Exception:
            log.exception("attempt broke")
        finally:
            # From its end: an attempt may take longer than the pause.
            self._ended_at = time.monotonic()
            self._task = None
