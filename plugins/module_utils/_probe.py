# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""One call of a model through the gateway, the way a user's client makes it."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ._errors import MaasError, show

#: Enough for any completion; a probe reads no more.
_MOST_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: Any
    latency_ms: int


@dataclass(frozen=True)
class Target:
    """Where to call: a URL, and where its host really is."""

    url: str
    address: str = ""
    ca_path: str = ""
    ca_pem: str = ""
    timeout_seconds: float = 30
    headers: Mapping[str, str] = field(default_factory=dict)


class _ResolvedHTTPConnection(http.client.HTTPConnection):
    """Connects to an address, and speaks to the host in the URL all the same."""

    address = ""
    context: ssl.SSLContext | None = None

    def connect(self) -> None:
        """Open the connection, with TLS where there is a context."""
        plain = socket.create_connection((self.address or self.host, self.port), self.timeout)
        if self.context is None:
            self.sock = plain
            return
        try:
            self.sock = self.context.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise


def post(target: Target, body: Mapping[str, Any], token: str | None = None) -> Answer:
    """Send one JSON request; MaasError where no answer comes."""
    parts = _split(target.url)
    connection = _ResolvedHTTPConnection(
        parts.hostname or "",
        parts.port or (443 if parts.scheme == "https" else 80),
        timeout=target.timeout_seconds,
    )
    connection.address = target.address
    if parts.scheme == "https":
        connection.context = _context(target)
    headers = {"Content-Type": "application/json", "Accept": "application/json", **target.headers}
    headers["Host"] = parts.netloc
    if token:
        headers["Authorization"] = f"Bearer {token}"
    started = time.monotonic()
    try:
        connection.request("POST", parts.path or "/", json.dumps(body).encode(), headers)
        reply = connection.getresponse()
        data = reply.read(_MOST_BYTES)
    except (OSError, http.client.HTTPException) as exc:
        raise MaasError(_no_answer(target, parts, exc)) from exc
    finally:
        connection.close()
    latency_ms = round((time.monotonic() - started) * 1000)
    names = {name.lower(): value for name, value in reply.getheaders()}
    return Answer(reply.status, names, _decode(data), latency_ms)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        port_is_valid = False
    if not port_is_valid or parts.scheme not in ("http", "https") or not parts.hostname:
        raise MaasError(f"url {show(url)} is none; allowed: https://HOST[:PORT]/PATH")
    return parts


def _context(target: Target) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(
            cafile=target.ca_path or None, cadata=target.ca_pem or None
        )
    except (OSError, ssl.SSLError, ValueError) as exc:
        where = f"file {target.ca_path}" if target.ca_path else "ca_pem"
        raise MaasError(
            f"the certificate authority in {where} cannot be read: {exc}; give a PEM certificate"
        ) from exc
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _no_answer(target: Target, parts: SplitResult, exc: Exception) -> str:
    at = f" at {target.address}" if target.address else ""
    advice = "check the address, and that the gateway is up"
    if isinstance(exc, ssl.SSLCertVerificationError):
        advice = "give the gateway's certificate authority as ca_path or ca_pem"
    return f"no answer from {parts.scheme}://{parts.netloc}{at}: {exc}; {advice}"


def _decode(data: bytes) -> Any:
    text = data.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except ValueError:
        return text
