# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._probe import Answer, Target, post
from ansible_collections.maas.platform.plugins.modules import inference_probe

_DEFAULTS = {
    "url": "http://maas.example.com/llm/gemma/",
    "path": "/v1/chat/completions",
    "model": "gemma",
    "token": "secret",
    "address": "",
    "ca_path": None,
    "ca_pem": None,
    "prompt": "Say hello.",
    "max_tokens": 8,
    "expected_status": [200],
    "timeout": 5,
}


@pytest.fixture
def gateway():
    """Return a server that answers as a gateway would, and what it was asked."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append((self.path, dict(self.headers), body))
            good = self.headers.get("Authorization") == "Bearer secret"
            answer = (
                {
                    "choices": [{"message": {"content": "Hello."}}],
                    "usage": {"total_tokens": 12},
                }
                if good
                else {"error": {"message": "No valid token"}}
            )
            data = json.dumps(answer).encode()
            self.send_response(200 if good else 401)
            self.send_header("Content-Length", str(len(data)))
            if not good:
                self.send_header("X-Maas-Revision", "abc")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port, seen
    server.shutdown()
    thread.join()
    server.server_close()


def _params(port, **change):
    url = f"http://maas.example.com:{port}/llm/gemma/"
    return {**_DEFAULTS, "url": url, "address": "127.0.0.1", **change}


def test_a_model_is_called_as_a_client_calls_it(gateway):
    port, seen = gateway
    result = inference_probe.run(_params(port))
    assert result["status"] == 200
    assert result["text"] == "Hello."
    assert result["usage"] == {"total_tokens": 12}
    assert result["latency_ms"] >= 0
    assert not result["changed"]
    path, headers, body = seen[0]
    assert path == "/llm/gemma/v1/chat/completions"
    assert headers["Host"] == f"maas.example.com:{port}"
    assert body["model"] == "gemma"
    assert body["max_tokens"] == 8


def test_an_expected_refusal_is_a_result(gateway):
    port, seen = gateway
    result = inference_probe.run(_params(port, token=None, expected_status=[401]))
    assert (result["status"], result["error"]) == (401, "No valid token")
    assert result["revision"] == "abc"
    assert "Authorization" not in seen[0][1]


def test_another_status_is_an_error_that_says_both_and_no_token(gateway):
    port, _seen = gateway
    with pytest.raises(MaasError, match="answered 401 instead of 200: No valid token") as caught:
        inference_probe.run(_params(port, token="other-token"))
    assert "other-token" not in str(caught.value)


def test_check_mode_calls_nobody():
    def send(*_arguments):
        raise AssertionError

    result = inference_probe.run(_DEFAULTS, check_mode=True, send=send)
    assert result["status"] is None
    answer = Answer(200, {}, {"choices": []}, 1)
    assert set(result) == set(inference_probe.run(_DEFAULTS, send=lambda *_a: answer))


@pytest.mark.parametrize(
    "body", ["plain text", [], {}, {"choices": "x"}, {"choices": [None]}, {"choices": [{}]}]
)
def test_odd_answers_are_no_crash(body):
    result = inference_probe.run(_DEFAULTS, send=lambda *_a: Answer(200, {}, body, 1))
    assert result["text"] == ""


@pytest.mark.parametrize("url", ["maas", "ftp://x/y", "https://", "https://x:99999/", "http://[x"])
def test_what_is_no_url_is_refused(url):
    with pytest.raises(MaasError, match=r"is none; allowed: https://HOST"):
        post(Target(url), {})


def test_no_answer_says_from_where():
    target = Target("http://maas.example.com:1/llm/gemma", address="127.0.0.1", timeout_seconds=5)
    with pytest.raises(MaasError, match=r"no answer from http://maas.example.com:1 at 127.0.0.1"):
        post(target, {})


@pytest.mark.parametrize(
    "authority", [{"ca_path": "/nowhere/ca.crt"}, {"ca_pem": "no certificate"}]
)
def test_an_authority_that_cannot_be_read_is_an_error(authority):
    with pytest.raises(MaasError, match="cannot be read"):
        post(Target("https://maas.example.com:1/", address="127.0.0.1", **authority), {})
