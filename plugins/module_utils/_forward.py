# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Reading a pod's HTTP port through a port-forward of the API server; part of the cluster's door.

The API server's proxy decodes %2F in a path, and Limitador's namespaces have a slash in them. A
forwarded port carries what is asked as it is. Connections are kept: opening one costs the most.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
from typing import Any

from ._errors import MaasError

try:
    from kubernetes.client import CoreV1Api
    from kubernetes.stream import portforward
except ImportError:
    # Said when a module runs; documentation and sanity tests read this file without it.
    CoreV1Api = None

_TIMEOUT_SECONDS = 10

#: How the client's websocket library tells that the API server refuses.
_REFUSAL = re.compile(r"Handshake status (401|403)\b")


class PodReadError(MaasError):
    """A pod's port gave no answer: for lack of a right, or for now."""

    def __init__(self, message: str, forbidden: bool) -> None:
        """Keep whether asking again is of no use."""
        super().__init__(message)
        self.forbidden = forbidden


class Forwards:
    """Ports of pods, each forwarded once and asked many times."""

    def __init__(self, client: Any) -> None:
        """Forward with this client's credentials."""
        self._client = client
        self._open: dict[tuple[str, str, int], http.client.HTTPConnection] = {}

    def get(self, namespace: str, pod: str, port: int, path: str) -> tuple[int, Any]:
        """Return the pod's answer; PodReadError where it cannot be asked."""
        place = (namespace, pod, port)
        kept = self._open.pop(place, None)
        try:
            if kept is not None:
                # It may have been closed since: then once more over a new one.
                with contextlib.suppress(http.client.HTTPException, OSError):
                    return self._ask(kept, place, path)
                kept.close()
            return self._ask(self._dial(*place), place, path)
        # The client reports refusals as exceptions of its own and of its websocket library.
        except Exception as exc:
            forbidden = _REFUSAL.search(str(exc)) is not None
            advice = "; this user needs get and create on pods/portforward there"
            raise PodReadError(
                f"port {port} of pod {namespace}/{pod} could not be read through the API server: "
                f"{_reason(exc)}{advice if forbidden else ''}",
                forbidden,
            ) from exc

    def close(self) -> None:
        """Close every connection."""
        while self._open:
            self._open.popitem()[1].close()

    def _ask(
        self, connection: http.client.HTTPConnection, place: tuple[str, str, int], path: str
    ) -> tuple[int, Any]:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        self._open[place] = connection
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def _dial(self, namespace: str, pod: str, port: int) -> http.client.HTTPConnection:
        ask = CoreV1Api(self._client).connect_get_namespaced_pod_portforward
        forwarded = portforward(ask, pod, namespace, ports=str(port)).socket(port)
        forwarded.settimeout(_TIMEOUT_SECONDS)
        connection = http.client.HTTPConnection(pod, timeout=_TIMEOUT_SECONDS)
        connection.sock = forwarded
        return connection


def _reason(error: Exception) -> str:
    # The client's own text says nothing in its first line; its library's ends with all headers.
    text = str(getattr(error, "reason", None) or error).partition(" -+-+-")[0].strip()
    return f"{type(error).__name__} {text.splitlines()[0] if text else ''}".strip()
