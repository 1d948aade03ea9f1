# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Around every request: its id, its log line, its metrics, and an answer if code breaks."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import error_response
from .logs import request_id
from .metrics import Metrics

log = structlog.get_logger()

#: Where the gateway has us; the same paths without it are for callers in the cluster.
_PREFIX = "/maas-api"
_HEADER = b"x-request-id"
_ACCEPTED = re.compile(rb"[A-Za-z0-9._-]{1,64}")
#: Asked many times a second by the cluster itself.
_QUIET = frozenset({"/health", "/ready", "/metrics", "/v1/tiers/lookup"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Observed:
    """ASGI middleware; `paths` are the routes, so that metrics have no label a caller chose."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        paths: Collection[str],
        is_draining: Callable[[], bool],
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._is_draining = is_draining
        self._durations = {path: metrics.durations.labels(path) for path in [*paths, "other"]}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and see how it ends."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Before anything sees the path, so that there is one spelling from here on.
        if scope["path"].startswith(_PREFIX + "/"):
            scope = {**scope, "path": scope["path"].removeprefix(_PREFIX)}
        begun = time.perf_counter()
        current = _request_id(scope)
        request_id.set(current.decode())
        status = 0

        async def send_observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (_HEADER, current)]
                if self._is_draining():
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        try:
            await self._app(scope, receive, send_observed)
        except ClientDisconnect:
            status = status or 499
        except Exception:
            log.exception("request broke", path=scope["path"])
            if status:
                # Half an answer is out; only a closed connection tells the client.
                raise
            answer = error_response(500, "Something broke here; the log says what.")
            await answer(scope, receive, send_observed)
        finally:
            self._note(scope, status, time.perf_counter() - begun)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        path = scope["path"]
        route = path if path in self._durations else "other"
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(route, method, status).inc()
        self._durations[route].observe(seconds)
        say = log.debug if path in _QUIET else log.info
        say("request", method=method, route=route, status=status, seconds=round(seconds, 4))


def _request_id(scope: Scope) -> bytes:
    """Return the caller's id for this request if it is harmless, else a new one."""
    for name, value in scope["headers"]:
        if name == _HEADER and _ACCEPTED.fullmatch(value):
            return bytes(value)
    return os.urandom(8).hex().encode()
