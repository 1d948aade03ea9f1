# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The one door to the API server: nine kinds of call over one connection pool."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec

from .body import UNREADABLE
from .metrics import Metrics
from .objects import Status

T = TypeVar("T")

#: The kubelet renews a pod's token long before it ends; reading it once a minute is early enough.
_TOKEN_AGE_SECONDS = 60
_TIMEOUT = httpx.Timeout(10, connect=3)
#: A watch whose other end vanished without a word is noticed within about four seconds.
_KEEP_ALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 2), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", 2))
        if hasattr(socket, name)
    ),
]


class KubernetesError(Exception):
    """The API server refused, failed or did not answer; `status` is 0 where there was none."""

    def __init__(self, call: str, status: int, message: str) -> None:
        super().__init__(f"{call}: {status or 'no answer'}: {message}")
        self.call = call
        self.status = status


class PodToken(httpx.Auth):
    """The pod's own token, read again as it is renewed."""

    def __init__(self, directory: Path, context: ssl.SSLContext) -> None:
        self._file = directory / "token"
        self._authority = directory / "ca.crt"
        self._context = context
        self._token = ""
        self._read_at = float("-inf")

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the token; after a 401 try once more if there is a newer one."""
        if time.monotonic() - self._read_at > _TOKEN_AGE_SECONDS:
            self._read()
        tried = self._token
        request.headers["Authorization"] = f"Bearer {tried}"
        response = yield request
        if response.status_code == 401:
            self._read()
            if self._token != tried:
                request.headers["Authorization"] = f"Bearer {self._token}"
                yield request

    def _read(self) -> None:
        self._token = self._file.read_text().strip()
        self._read_at = time.monotonic()
        # Adds what is new: connections made from now on may trust a renewed authority.
        self._context.load_verify_locations(cafile=str(self._authority))


def connect(url: str, directory: Path | None) -> httpx.AsyncClient:
    """Return a client of the API server, as the pod or, without a directory, as a proxy's user."""
    context = ssl.create_default_context(cafile=str(directory / "ca.crt") if directory else None)
    # Each watch holds a connection of its own, so their number is not bounded here.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=32)
    return httpx.AsyncClient(
        base_url=url,
        auth=PodToken(directory, context) if directory else None,
        timeout=_TIMEOUT,
        transport=httpx.AsyncHTTPTransport(
            verify=context, limits=limits, socket_options=_KEEP_ALIVE, retries=1
        ),
        headers={"User-Agent": "maas-api", "Accept": "application/json"},
    )


class Kubernetes:
    """Calls to the API server that return parsed objects or raise KubernetesError."""

    def __init__(self, client: httpx.AsyncClient, metrics: Metrics) -> None:
        self._client = client
        self._metrics = metrics

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def get(
        self, path: str, kind: type[T], params: Mapping[str, str | int] | None = None
    ) -> T:
        """Return an object, or a list of them."""
        return _decode(path, await self._call("GET", path, params=params), kind)

    async def create(self, path: str, body: Mapping[str, Any], kind: type[T]) -> T:
        """Create an object and return it as it was stored."""
        return _decode(path, await self._call("POST", path, body=body), kind)

    async def patch(self, path: str, body: Mapping[str, Any]) -> None:
        """Change an object by a merge patch."""
        await self._call("PATCH", path, body=body, content_type="application/merge-patch+json")

    async def delete(self, path: str, body: Mapping[str, Any]) -> None:
        """Delete an object."""
        await self._call("DELETE", path, body=body)

    @asynccontextmanager
    async def watch(
        self, path: str, params: Mapping[str, str | int], seconds: int
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a watch that the API server ends after some seconds; yield its lines."""
        query = {**params, "watch": 1, "allowWatchBookmarks": "true", "timeoutSeconds": seconds}
        timeout = httpx.Timeout(10, read=seconds + 30)
        call = f"watch {path}"
        try:
            async with self._client.stream("GET", path, params=query, timeout=timeout) as response:
                self._metrics.kubernetes_calls.labels("WATCH", response.status_code).inc()
                if response.status_code != 200:
                    raise _refusal(call, response.status_code, await response.aread())
                yield _lines(response)
        except (httpx.HTTPError, OSError) as exc:
            self._metrics.kubernetes_calls.labels("WATCH", 0).inc()
            raise KubernetesError(call, 0, type(exc).__name__) from exc

    async def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        call = f"{method} {path}"
        content = None if body is None else msgspec.json.encode(body)
        headers = {"Content-Type": content_type} if content else None
        try:
            response = await self._client.request(
                method, path, params=params, content=content, headers=headers
            )
        except (httpx.HTTPError, OSError) as exc:
            self._metrics.kubernetes_calls.labels(method, 0).inc()
            # The kind of failure, not its text: the request, and so the token, hangs on some.
            raise KubernetesError(call, 0, type(exc).__name__) from exc
        self._metrics.kubernetes_calls.labels(method, response.status_code).inc()
        if not response.is_success:
            raise _refusal(call, response.status_code, response.content)
        return response.content


def _decode(path: str, content: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except UNREADABLE as exc:
        raise KubernetesError(f"answer of {path}", 200, str(exc)) from exc


def _refusal(call: str, status: int, content: bytes) -> KubernetesError:
    try:
        message = msgspec.json.decode(content, type=Status).message
    except UNREADABLE:
        message = ""
    return KubernetesError(call, status, message[:300] or "no reason given")


async def _lines(response: httpx.Response) -> AsyncIterator[bytes]:
    # httpx's own lines also end at characters that stand unescaped inside JSON text.
    rest = b""
    async for chunk in response.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line
