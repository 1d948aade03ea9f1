# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""An HTTP client that sends paths and headers exactly as written.

Usual clients tidy a path before they send it; whoever looks for a way around the gateway does not.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from running_lab import Lab

# What differs between two answers to the same question, and says nothing about the question.
VOLATILE_HEADERS = frozenset({"date", "x-request-id", "x-envoy-upstream-service-time"})


@dataclass(frozen=True)
class Answer:
    """One response, as received."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def json(self) -> Any:
        """Return the body, parsed."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """Return a header's first value, or None."""
        return next((value for key, value in self.headers if key == name.lower()), None)

    def events(self) -> list[Any]:
        """Return the JSON events of a streamed answer, without the closing [DONE]."""
        lines = (line for line in self.body.decode().splitlines() if line.startswith("data: "))
        texts = (line.removeprefix("data: ") for line in lines)
        return [json.loads(text) for text in texts if text != "[DONE]"]

    @property
    def visible(self) -> tuple[int, list[tuple[str, str]], bytes]:
        """All that a caller could tell two answers apart by."""
        kept = [pair for pair in self.headers if pair[0] not in VOLATILE_HEADERS]
        return self.status, sorted(kept), self.body

    def __repr__(self) -> str:
        return f"<{self.status} {self.body[:200]!r}>"


class Wire:
    """The public Gateway, one connection per request."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._tls = ssl.create_default_context(cafile=str(lab.ca))

    def request(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
        body: Any = None,
    ) -> Answer:
        """Send one request over TLS; path and a body of bytes go out exactly as they are."""
        raw = socket.create_connection((self.lab.address, self.lab.port), timeout=60)
        secured = self._tls.wrap_socket(raw, server_hostname=self.lab.host)
        return self._exchange(secured, self.lab.authority, method, path, token, headers, body)

    def plain_request(self, method: str, path: str, *, token: str | None = None) -> Answer:
        """Send one request to the port without TLS."""
        raw = socket.create_connection((self.lab.address, self.lab.http_port), timeout=60)
        authority = f"{self.lab.host}:{self.lab.http_port}"
        return self._exchange(raw, authority, method, path, token, (), None)

    @staticmethod
    def _exchange(
        sock: socket.socket,
        authority: str,
        method: str,
        path: str,
        token: str | None,
        headers: Sequence[tuple[str, str]],
        body: Any,
    ) -> Answer:
        connection = http.client.HTTPConnection(authority)
        connection.sock = sock
        payload = _payload(body)
        try:
            named = any(name.lower() == "host" for name, _value in headers)
            connection.putrequest(method, path, skip_host=named, skip_accept_encoding=True)
            if token is not None:
                connection.putheader("Authorization", f"Bearer {token}")
            for name, value in headers:
                connection.putheader(name, value)
            if payload is not None:
                connection.putheader("Content-Type", "application/json")
                connection.putheader("Content-Length", str(len(payload)))
            connection.endheaders()
            # A server may answer, and hang up, before it has read a body that it does not want.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
                connection.send(payload or b"")
            response = connection.getresponse()
            pairs = tuple((name.lower(), value) for name, value in response.getheaders())
            return Answer(response.status, pairs, response.read())
        finally:
            connection.close()


def _payload(body: Any) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    return json.dumps(body).encode()
