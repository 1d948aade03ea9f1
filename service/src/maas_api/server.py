# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The server, and how it stops: first out of the Service, then finished, then gone."""

from __future__ import annotations

import signal
import time
from types import FrameType

import structlog
import uvicorn

from .app import Application
from .protocol import short_way
from .settings import Settings

log = structlog.get_logger()

#: Envoy keeps idle connections for an hour. Whoever closes first may close on a request that is
#: just coming, so we keep them longer.
_KEEP_ALIVE_SECONDS = 3700
#: The longest request is a revocation, which waits for the gateway's cache to expire.
_LAST_REQUESTS_SECONDS = 15


class DrainingServer(uvicorn.Server):
    """Goes on serving for a while after SIGTERM, reporting that it is not ready."""

    def __init__(self, application: Application, settings: Settings) -> None:
        super().__init__(
            uvicorn.Config(
                application.asgi,
                host=settings.host,
                port=settings.port,
                http=short_way(application),
                loop="uvloop",
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                # Whoever connects is who connects; a header does not change that.
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_LAST_REQUESTS_SECONDS,
                backlog=2048,
            )
        )
        self._view = application.view
        self._drain_seconds = settings.drain_seconds
        self._stop_at: float | None = None
        self._said = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Begin to stop; a second signal, or Ctrl-C, does not wait."""
        if self._stop_at is not None or sig == signal.SIGINT:
            self.force_exit = self.should_exit
            self.should_exit = True
            return
        # No more than this: a signal comes between any two steps of the program, and whoever logs
        # here may wait for the lock that the interrupted step holds.
        self._view.is_draining = True
        self._stop_at = time.monotonic() + self._drain_seconds

    async def on_tick(self, counter: int) -> bool:
        """Stop once the time to drain is over."""
        if self._stop_at is not None and not self._said:
            self._said = True
            log.info("stopping", drain_seconds=self._drain_seconds)
        if self._stop_at is not None and time.monotonic() >= self._stop_at:
            self.should_exit = True
        return await super().on_tick(counter)
