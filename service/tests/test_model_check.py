# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The program beside a model server, seen from the kubelet, with a model server of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from maas_api import model_check
from maas_api.model_check import ASKING, Check, NoAnswerError, Server, judge, requests_of

SOURCE = Path(model_check.__file__).parents[1]
USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
COMPLETION = {"choices": [{"text": "!"}], "usage": USAGE}
EMBEDDING = {"data": [{"embedding": [0.5] * 4096}], "usage": USAGE}
# How long a test waits for what must come; nothing is ever waited for in full.
PATIENCE = 20


@dataclass
class Model:
    """A model server whose answers a test decides."""

    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    may_answer: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    def __post_init__(self) -> None:
        self.may_answer.set()
        self.start()

    def start(self) -> None:
        """Listen; where a port is known, on that one again."""
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["Content-Length"])
                model.asked.append((self.path, json.loads(self.rfile.read(size))))
                model.may_answer.wait(PATIENCE)
                status, body = model.answers.get(self.path, (404, {"error": "no such path"}))
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Listen no more."""
        self.may_answer.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def model() -> Iterator[Model]:
    server = Model({"/v1/completions": (200, COMPLETION), "/v1/embeddings": (200, EMBEDDING)})
    yield server
    server.stop()


def check_of(model: Model, clock: Clock | None = None, told: list[str] | None = None) -> Check:
    return Check(
        Server(model.url),
        requests_of("gemma", "completion"),
        wait=0,
        clock=clock or Clock(),
        tell=(told if told is not None else []).append,
    )


def wait_until(check: Check, expected: str) -> None:
    """Probe as the kubelet does, until a probe is told what is expected."""
    deadline = time.monotonic() + PATIENCE
    said = check.started()
    while said != expected:
        assert time.monotonic() < deadline, f"still {said!r}"
        time.sleep(0.01)
        said = check.started()


def test_a_prompt_is_answered(model: Model) -> None:
    told: list[str] = []
    check = check_of(model, told=told)
    wait_until(check, "")
    body = {"model": "gemma", "prompt": "Hello", "max_tokens": 1}
    assert model.asked == [("/v1/completions", body)]
    assert told == ["answered after 0.0 s"]


def test_a_fast_model_is_started_at_the_first_probe(model: Model) -> None:
    check = Check(Server(model.url), requests_of("gemma", "completion"), wait=PATIENCE)
    assert check.started() == ""


def test_an_embedding_is_answered(model: Model) -> None:
    check = Check(Server(model.url), requests_of("bge", "embedding"))
    wait_until(check, "")
    assert model.asked == [("/v1/embeddings", {"model": "bge", "input": "Hello"})]


def test_a_server_for_chats_only(model: Model) -> None:
    model.answers = {"/v1/chat/completions": (200, COMPLETION)}
    wait_until(check_of(model), "")
    assert [path for path, _ in model.asked] == ["/v1/completions", "/v1/chat/completions"]


def test_probes_that_overlap_send_one_prompt(model: Model) -> None:
    model.may_answer.clear()
    check = check_of(model)
    assert {check.started() for _ in range(50)} == {ASKING}
    model.may_answer.set()
    wait_until(check, "")
    assert len(model.asked) == 1


def test_a_model_that_answered_is_not_asked_again(model: Model) -> None:
    clock = Clock()
    check = check_of(model, clock)
    wait_until(check, "")
    clock.now = 9.9
    assert [check.started() for _ in range(5)] == [""] * 5
    assert len(model.asked) == 1


def test_an_old_answer_says_nothing_about_a_server_started_anew(model: Model) -> None:
    clock = Clock()
    check = check_of(model, clock)
    wait_until(check, "")
    clock.now = 10.0
    model.answers = {"/v1/completions": (503, {"error": {"message": "Loading model"}})}
    wait_until(check, "the server answered 503: Loading model")


def test_a_server_that_listens_no_more_has_not_answered(model: Model) -> None:
    check = check_of(model)
    wait_until(check, "")
    model.stop()
    wait_until(check, "the server does not listen yet")
    model.start()
    wait_until(check, "")
    assert len(model.asked) == 2


def test_a_server_that_never_answers(model: Model) -> None:
    model.may_answer.clear()
    check = Check(Server(model.url, seconds=0.05), requests_of("gemma", "completion"))
    wait_until(check, "no answer within 0.05 s")


def test_each_reason_is_told_once(model: Model) -> None:
    told: list[str] = []
    model.answers = {"/v1/completions": (503, {"error": {"message": "Loading model"}})}
    check = check_of(model, told=told)
    wait_until(check, "the server answered 503: Loading model")
    asked = len(model.asked)
    deadline = time.monotonic() + PATIENCE
    while len(model.asked) < asked + 3:
        assert time.monotonic() < deadline
        check.started()
    model.answers = {"/v1/completions": (200, COMPLETION)}
    wait_until(check, "")
    assert told == ["the server answered 503: Loading model", "answered after 0.0 s"]


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (500, "oops", "the server answered 500"),
        (404, {"error": {"message": "no\nmodel x"}}, "the server answered 404: no model x"),
        (400, {"error": "bad\x1b[31m"}, "the server answered 400: bad[31m"),
        (500, {"error": {"message": "a" * 300}}, "the server answered 500: " + "a" * 200),
        (200, "OK", "the server answered 200 without a JSON object"),
        (200, [], "the server answered 200 without a JSON object"),
        (200, {}, "the server answered 200 without a choice or an embedding"),
        (
            200,
            {"choices": [], "usage": USAGE},
            "the server answered 200 without a choice or an embedding",
        ),
        (
            200,
            {"choices": [{"text": "!"}]},
            "the answer has no usage.total_tokens, so calls could not be counted",
        ),
        (
            200,
            {"choices": [{"text": "!"}], "usage": {"total_tokens": 0}},
            "the answer has no usage.total_tokens, so calls could not be counted",
        ),
    ],
)
def test_what_is_no_answer(status: int, body: Any, reason: str) -> None:
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    with pytest.raises(NoAnswerError) as caught:
        judge(status, content)
    assert str(caught.value) == reason


@given(st.integers(100, 599), st.binary() | st.text().map(str.encode))
def test_nothing_that_a_server_says_breaks_the_check(status: int, content: bytes) -> None:
    with pytest.raises(NoAnswerError) as caught:
        judge(status, content)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "127.0.0.1:8000", "http://"])
def test_a_server_that_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match="not an http or https URL"):
        Server(url)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def program(model: Model) -> Iterator[tuple[subprocess.Popen[str], int]]:
    port = free_port()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "maas_api.model_check", "--model", "gemma"),
            *("--server", model.url, "--port", str(port)),
        ],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1"},
    )
    yield process, port
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def probe(port: int, path: str) -> tuple[int, str]:
    """Ask as the kubelet does, as soon as somebody listens."""
    deadline = time.monotonic() + PATIENCE
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        finally:
            connection.close()


def test_the_program(model: Model, program: tuple[subprocess.Popen[str], int]) -> None:
    process, port = program
    model.may_answer.clear()
    assert probe(port, "/started") == (503, f"{ASKING}\n")
    assert probe(port, "/metrics") == (404, "the only path is /started\n")
    model.may_answer.set()
    assert process.stdout is not None
    assert process.stdout.readline().startswith("answered after ")
    assert probe(port, "/started") == (200, "started\n")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0


def test_it_needs_nothing_but_python() -> None:
    """A pod has one of these: what the service is made of would cost it 50 MiB."""
    names = "import sys, maas_api.model_check; print(*sorted(sys.modules))"
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path[:0] = [{str(SOURCE)!r}]; {names}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    foreign = {name for name in loaded if name.split(".")[0] not in sys.stdlib_module_names}
    assert foreign - {"__main__"} == {"maas_api", "maas_api.model_check"}
