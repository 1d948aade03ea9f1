# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""A short way for the one question that is on every model request's path.

uvicorn makes a task, a scope and a dozen calls of every request, which costs several times what
the tier lookup itself does. A lookup that memory can answer is answered here as soon as it is
read. Everything else, and every no, takes uvicorn's way to the application, which also answers
lookups: whoever asks cannot tell the two apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .body import LONGEST
from .middleware import request_id_of

if TYPE_CHECKING:
    from .app import Application
    from .lookup import TierLookup
    from .view import ClusterView

_PATH = "/v1/tiers/lookup"


_URL = _PATH.encode()


class LookupProtocol(HttpToolsProtocol):
    """One connection. `short_way` gives the class what it answers from."""

    lookup: TierLookup
    view: ClusterView
    count: Callable[[], None]
    observe: Callable[[float], None]

    _begun = 0.0
    #: The body so far of a question that may go the short way; None on the other way.
    _question: bytearray | None = None
    #: The default headers as they were last written, and their text.
    _known_headers: object = None
    _written_headers = b""

    def on_message_begin(self) -> None:
        """Forget the request before; uvicorn's part of it waits until it is needed."""
        self._begun = time.perf_counter()
        self._question = None
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        """Choose the way."""
        if self.url == _URL and self._may_be_short():
            self._question = bytearray()
        else:
            self._go_the_long_way()

    def on_body(self, body: bytes) -> None:
        """Collect the body."""
        if self._question is None:
            super().on_body(body)
            return
        self._question += body
        if len(self._question) > LONGEST:
            self._go_the_long_way()

    def on_message_complete(self) -> None:
        """Answer, or let the application answer."""
        answer = None
        if self._question is not None:
            try:
                answer = self.lookup.at_once(self._question)
            except Exception:  # noqa: BLE001 - nothing may end the connection here
                # The long way logs what breaks, and says so in the shape of our errors.
                answer = None
        if answer is not None:
            self._answer(answer)
            return
        if self._question is not None:
            self._go_the_long_way()
        super().on_message_complete()

    def _may_be_short(self) -> bool:
        parser = self.parser
        return (
            parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and not self.expect_100_continue
            # Answers come in the order of the questions.
            and (self.cycle is None or self.cycle.response_complete)
            and not self.pipeline
            # Whoever asks without reading answers is made to wait.
            and not self.flow.write_paused
            and not self.view.is_draining
        )

    def _answer(self, answer: bytes) -> None:
        self._question = None
        self.transport.write(
            b"HTTP/1.1 200 OK\r\n%bcontent-type: application/json\r\ncontent-length: %d\r\n"
            b"x-request-id: %b\r\n\r\n%b"
            % (self._default_headers(), len(answer), request_id_of(self.headers), answer)
        )
        self.server_state.total_requests += 1
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )
        self.count()
        self.observe(time.perf_counter() - self._begun)

    def _go_the_long_way(self) -> None:
        """Do what uvicorn would have done until here."""
        url, headers, expects, body = (
            self.url,
            self.headers,
            self.expect_100_continue,
            self._question,
        )
        self._question = None
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        # The scope already holds the new list.
        self.headers.extend(headers)
        super().on_headers_complete()
        if body:
            super().on_body(bytes(body))

    def _default_headers(self) -> bytes:
        # uvicorn makes a new list of them every second.
        headers = self.server_state.default_headers
        if headers is not self._known_headers:
            self._known_headers = headers
            self._written_headers = b"".join(b"%b: %b\r\n" % header for header in headers)
        return self._written_headers


def short_way(application: Application) -> type[LookupProtocol]:
    """Return the protocol of a server of this application."""
    metrics = application.metrics
    parts = {
        "lookup": application.lookup,
        "view": application.view,
        "count": staticmethod(metrics.requests.labels(_PATH, "POST", 200).inc),
        "observe": staticmethod(metrics.durations.labels(_PATH).observe),
    }
    return type("ApplicationProtocol", (LookupProtocol,), parts)
