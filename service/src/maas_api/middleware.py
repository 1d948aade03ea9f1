# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Around every request: its id, its log line, its metrics, and an answer if code breaks."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Iterable

import structlog
from starlette.requests import ClientDisconnect
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import error_response
from .logs import request_id
from .metrics import Metrics

log = structlog.get_logger()

#: Where the gateway has us; the same paths without it are for callers in the cluster.
_PREFIX = "/maas-api"
_HEADER = b"x-request-id"
_ACCEPTED = re.compile(rb"[A-Za-z0-9._-]{1,64}")
#: What begins a path's variable part in a route.
_VARIABLE = "{"
_OTHER = "other"
#: Asked many times a second by the cluster itself.
_QUIET = frozenset({"/health", "/ready", "/metrics", "/v1/tiers/lookup"})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Observed:
    """ASGI middleware.

    Args:
        app: What answers.
        metrics: Where it is counted.
        api_paths: The API's routes, also to be found below the gateway's prefix.
        page_paths: All other routes. Metrics are labelled by route, never by what a caller chose.
        is_draining: Whether this replica is stopping.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        api_paths: Collection[str],
        page_paths: Collection[str],
        is_draining: Callable[[], bool],
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._is_draining = is_draining
        paths = [*api_paths, *page_paths]
        self._durations = {path: metrics.durations.labels(path) for path in [*paths, _OTHER]}
        self._all = _Known(paths)
        self._api = _Known(api_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and see how it ends."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Before anything sees the path, so that there is one spelling from here on.
        if scope["path"].startswith(_PREFIX + "/"):
            shorter = scope["path"].removeprefix(_PREFIX)
            if self._api.route(shorter):
                scope = {**scope, "path": shorter}
        begun = time.perf_counter()
        current = request_id_of(scope["headers"])
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
        route = self._all.route(path) or _OTHER
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.requests.labels(route, method, status).inc()
        self._durations[route].observe(seconds)
        say = log.debug if path in _QUIET else log.info
        say("request", method=method, route=route, status=status, seconds=round(seconds, 4))


class _Known:
    """Some routes, found by the paths they answer."""

    def __init__(self, routes: Collection[str]) -> None:
        self._exact = frozenset(route for route in routes if _VARIABLE not in route)
        self._patterns = [(route, compile_path(route)[0]) for route in routes if _VARIABLE in route]

    def route(self, path: str) -> str | None:
        """Return the route that answers at this path; None where there is none."""
        if path in self._exact:
            return path
        return next((route for route, pattern in self._patterns if pattern.match(path)), None)


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the caller's id for this request if it is harmless, else a new one."""
    for name, value in headers:
        if name == _HEADER and _ACCEPTED.fullmatch(value):
            return bytes(value)
    return os.urandom(8).hex().encode()
