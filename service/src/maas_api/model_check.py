# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""python -m maas_api.model_check: has the model of this pod answered a prompt?

Runs beside a model server. GET /started is the startup probe of the server's container: 503 with
the reason until the model has answered a prompt, 200 from then on. An open port is not enough:
servers listen before a model is loaded, under a wrong name, or without memory for a prompt.

Standard library only, and none of the service's modules: every model's pod has one of these.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NoReturn
from urllib.parse import urlsplit

ASKING = "asking: the model has not answered yet"
# Bytes of an answer that are read; an embedding has some thousand numbers.
ANSWER_SIZE = 4 * 1024 * 1024
# Characters of a server's own words that a reason repeats.
QUOTE_SIZE = 200
# Seconds for an answer. Long, because the first prompt may compile or load; a server that died
# resets the connection much earlier.
ANSWER_SECONDS = 600.0
# Seconds for which an answer counts. The kubelet asks again only if it missed the 200, which it
# does within seconds, or after the server was started anew, which has to be asked anew.
REMEMBER_SECONDS = 10.0
# Seconds that a probe waits for the answer, below the second a kubelet's probe has by default: most
# models are faster, and would otherwise be told of one probe later.
PROBE_SECONDS = 0.5

Request = tuple[str, dict[str, Any]]


class NoAnswerError(Exception):
    """Why the model cannot be said to have answered, in a few words."""


def requests_of(model: str, task: str) -> list[Request]:
    """Return the prompts to try: the next one only where the server lacks the path."""
    if task == "embedding":
        return [("/v1/embeddings", {"model": model, "input": "Hello"})]
    chat = [{"role": "user", "content": "Hello"}]
    return [
        ("/v1/completions", {"model": model, "prompt": "Hello", "max_tokens": 1}),
        ("/v1/chat/completions", {"model": model, "messages": chat, "max_tokens": 1}),
    ]


def judge(status: int, content: bytes) -> None:
    """Raise NoAnswerError unless this is a model's answer whose tokens can be counted."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    if status != 200:
        raise NoAnswerError(f"the server answered {status}{_words_of(body)}")
    if not isinstance(body, dict):
        raise NoAnswerError("the server answered 200 without a JSON object")
    results = body.get("choices", body.get("data"))
    if not isinstance(results, list) or not results:
        raise NoAnswerError("the server answered 200 without a choice or an embedding")
    usage = body.get("usage")
    total = usage.get("total_tokens") if isinstance(usage, dict) else None
    if not isinstance(total, int) or total < 1:
        raise NoAnswerError("the answer has no usage.total_tokens, so calls could not be counted")


def _words_of(body: Any) -> str:
    """Return an error's message as it is written in OpenAI's shape, short and on one line."""
    error = body.get("error") if isinstance(body, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    if not isinstance(message, str) or not message.strip():
        return ""
    words = " ".join(message.split())
    printable = "".join(char for char in words if char.isprintable())
    return f": {printable[:QUOTE_SIZE]}"


class Server:
    """The model server of this pod."""

    def __init__(self, url: str, seconds: float = ANSWER_SECONDS) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not an http or https URL: {url!r}")
        self._tls = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port or (443 if self._tls else 80)
        self._seconds = seconds

    def ask(self, requests: list[Request]) -> None:
        """Send one prompt; raise NoAnswerError unless it is answered."""
        for path, body in requests[:-1]:
            status, content = self._post(path, body)
            if status not in (404, 405):
                return judge(status, content)
        return judge(*self._post(*requests[-1]))

    def listens(self) -> bool:
        """Say whether something accepts connections."""
        try:
            socket.create_connection((self._host, self._port), timeout=1).close()
        except OSError:
            return False
        return True

    def _post(self, path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        connection = self._connection()
        try:
            headers = {"Content-Type": "application/json", "Connection": "close"}
            connection.request("POST", path, json.dumps(body).encode(), headers)
            answer = connection.getresponse()
            return answer.status, answer.read(ANSWER_SIZE)
        except TimeoutError as exc:
            raise NoAnswerError(f"no answer within {self._seconds:g} s") from exc
        except ConnectionRefusedError as exc:
            raise NoAnswerError("the server does not listen yet") from exc
        except (OSError, http.client.HTTPException) as exc:
            raise NoAnswerError(f"the connection broke: {type(exc).__name__}") from exc
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if not self._tls:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._seconds)
        import ssl  # here, because it costs memory that most pods can do without

        # The same pod: there is no name to verify, and nobody between the two.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=self._seconds, context=context
        )


class Check:
    """One prompt at a time, asked in the background; what came of it."""

    def __init__(
        self,
        server: Server,
        requests: list[Request],
        *,
        remember: float = REMEMBER_SECONDS,
        wait: float = PROBE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        tell: Callable[[str], object] = str,
    ) -> None:
        self._server = server
        self._requests = requests
        self._remember = remember
        self._wait = wait
        self._clock = clock
        self._tell = tell
        self._lock = threading.Lock()
        self._asking: threading.Event | None = None
        self._answered_at: float | None = None
        self._reason = ASKING
        self._told = ""

    def started(self) -> str:
        """Return "" if the model has answered, else why it has not; ask where nobody does."""
        with self._lock:
            if self._answered_at is not None:
                if self._is_fresh(self._answered_at) and self._server.listens():
                    return ""
                self._answered_at = None
                self._reason = ASKING
            asking = self._asking
            if asking is None:
                asking = self._asking = threading.Event()
                threading.Thread(target=self._ask, daemon=True).start()
        asking.wait(self._wait)
        with self._lock:
            return self._reason

    def _is_fresh(self, answered_at: float) -> bool:
        return self._clock() - answered_at < self._remember

    def _ask(self) -> None:
        began = self._clock()
        # What stands where something else is raised: that is a bug, and the log shows it.
        reason = "the prompt failed: this container's log says why"
        try:
            self._server.ask(self._requests)
            reason = ""
        except NoAnswerError as exc:
            reason = str(exc)
        finally:
            self._note(reason, self._clock() - began)

    def _note(self, reason: str, seconds: float) -> None:
        with self._lock:
            if self._asking is not None:
                self._asking.set()
            self._asking = None
            self._reason = reason
            self._answered_at = None if reason else self._clock()
            # The kubelet shows no probe's body: the container's log is where the reason is read.
            words = reason or f"answered after {seconds:.1f} s"
            if words != self._told or not reason:
                self._told = words
                self._tell(words)


class _Handler(BaseHTTPRequestHandler):
    server: _Probes
    timeout = 10  # seconds for a request's head, so that idle connections end
    server_version = "model-check"
    sys_version = ""

    def do_GET(self) -> None:
        if self.path != "/started":
            self._answer(404, "the only path is /started")
            return
        reason = self.server.check.started()
        self._answer(503 if reason else 200, reason or "started")

    def _answer(self, status: int, words: str) -> None:
        content = f"{words}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Probes come every few seconds; the log is for reasons."""


class _Probes(ThreadingHTTPServer):
    """Answers probes on every address of the pod, IPv4 and IPv6."""

    daemon_threads = True

    def __init__(self, port: int, check: Check) -> None:
        self.check = check
        super().__init__(("", port), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = _listen(port)
        self.server_address = self.socket.getsockname()

    def handle_error(self, *_: object) -> None:
        """A caller that goes away before its answer is no news."""


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    except (OSError, ValueError):  # no IPv6 on this node
        return socket.create_server(("", port))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="maas_api.model_check", description=__doc__)
    parser.add_argument("--model", required=True, help="the name that the server knows it by")
    parser.add_argument("--task", choices=("completion", "embedding"), default="completion")
    parser.add_argument("--server", type=Server, default="http://127.0.0.1:8000", metavar="URL")
    parser.add_argument("--port", type=int, default=8001, help="where probes are answered")
    return parser.parse_args(arguments)


def _tell(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> NoReturn:
    """Answer probes until told to stop."""
    options = _parse(arguments)
    # At once: a pod's first process has no default handler, and nothing here is worth waiting for.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    check = Check(options.server, requests_of(options.model, options.task), tell=_tell)
    with _Probes(options.port, check) as probes:
        probes.serve_forever()
    raise SystemExit(0)


if __name__ == "__main__":
    main()
