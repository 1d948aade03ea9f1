# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Reading a pod over a forwarded port, with a server on this machine in the pod's place."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.maas.platform.plugins.module_utils._forward import Forwards, PodReadError


class _Pod(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        text = f'["{self.path}"]' if self.path != "/plain" else "plain"
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_args):
        """Keep quiet."""


@pytest.fixture
def pod():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Pod)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def forwards(pod, monkeypatch):
    dialled = []

    def dial(_self, namespace, name, port):
        dialled.append((namespace, name, port))
        return http.client.HTTPConnection("127.0.0.1", pod)

    monkeypatch.setattr(Forwards, "_dial", dial)
    forwards = Forwards(None)
    forwards.dialled = dialled
    yield forwards
    forwards.close()


def test_the_path_arrives_as_it_is(forwards):
    answer = forwards.get("here", "one", 8080, "/limits/a%2Fb")
    assert answer == (200, ["/limits/a%2Fb"])


def test_what_is_no_json_is_text(forwards):
    assert forwards.get("here", "one", 8080, "/plain") == (200, "plain")


def test_a_port_is_forwarded_once_and_asked_often(forwards):
    for _ in range(3):
        forwards.get("here", "one", 8080, "/plain")
    forwards.get("here", "two", 8080, "/plain")
    assert forwards.dialled == [("here", "one", 8080), ("here", "two", 8080)]


def test_a_connection_that_was_lost_is_made_again(forwards):
    forwards.get("here", "one", 8080, "/plain")
    forwards._open["here", "one", 8080].sock.close()
    assert forwards.get("here", "one", 8080, "/plain") == (200, "plain")
    assert len(forwards.dialled) == 2


def test_a_port_that_cannot_be_forwarded_says_which_right_is_missing(monkeypatch):
    def dial(*_args):
        raise RuntimeError("Handshake status 403 Forbidden -+-+- {'audit-id': 'x'} -+-+- b'no'")

    monkeypatch.setattr(Forwards, "_dial", dial)
    with pytest.raises(PodReadError, match="needs get and create on pods/portforward") as end:
        Forwards(None).get("here", "one", 8080, "/plain")
    assert end.value.forbidden
    assert "RuntimeError Handshake status 403 Forbidden; this user needs" in str(end.value)


@pytest.mark.parametrize(
    "text", ["Connection reset by peer", "Handshake status 500 Internal Server Error"]
)
def test_a_port_that_gives_no_answer_for_now_is_not_forbidden(monkeypatch, text):
    def dial(*_args):
        raise RuntimeError(text)

    monkeypatch.setattr(Forwards, "_dial", dial)
    with pytest.raises(PodReadError, match=f"RuntimeError {text}$") as end:
        Forwards(None).get("here", "one", 8080, "/plain")
    assert not end.value.forbidden
