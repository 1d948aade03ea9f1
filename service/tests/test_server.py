# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The process itself: started as in a pod, over real sockets, and told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import structlog
import uvicorn
import yaml
from conftest import NAMESPACE, TIERS
from fake_kubernetes import FakeKubernetes
from maas_api.app import Application
from maas_api.kubernetes import PodToken
from maas_api.logs import configure_logs
from maas_api.server import DrainingServer
from maas_api.settings import Settings
from maas_api.shared._names import TIER_CACHE_SECONDS

SOURCE = Path(__file__).parent.parent / "src"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(condition: Callable[[], object], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


@pytest.fixture
def cluster() -> Iterator[tuple[FakeKubernetes, str]]:
    """Return an API server that listens."""
    kubernetes = FakeKubernetes()
    kubernetes.objects["configmaps", NAMESPACE, "tier-to-group-mapping"] = {
        "metadata": {"name": "tier-to-group-mapping", "namespace": NAMESPACE, "uid": "1"},
        "data": {"tiers": yaml.safe_dump(TIERS)},
    }
    port = free_port()
    config = uvicorn.Config(kubernetes, port=port, log_config=None, timeout_graceful_shutdown=0)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for(lambda: server.started)
    yield kubernetes, f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@dataclass
class Process:
    """A running service."""

    popen: subprocess.Popen[str]
    url: str

    def is_ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/ready").status_code == 200
        return False


@pytest.fixture
def service(cluster: tuple[FakeKubernetes, str]) -> Iterator[Process]:
    port = free_port()
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(SOURCE),
        "PYTHONWARNINGS": "error",
        "MAAS_GATEWAY_URL": "https://maas.example.test",
        "MAAS_KUBERNETES_URL": cluster[1],
        "MAAS_HOST": "127.0.0.1",
        "MAAS_PORT": str(port),
        "MAAS_DRAIN_SECONDS": "1",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "maas_api"],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as popen:
        process = Process(popen, f"http://127.0.0.1:{port}")
        wait_for(process.is_ready)
        yield process
        popen.kill()


def test_a_request_outlives_the_order_to_stop(
    cluster: tuple[FakeKubernetes, str], service: Process
) -> None:
    headers = {"Authorization": f"Bearer {cluster[0].log_in('alice', 'tier-free-users')}"}
    assert httpx.post(f"{service.url}/v1/tokens", headers=headers).status_code == 201
    answers: list[int] = []

    def revoke() -> None:
        answer = httpx.delete(f"{service.url}/v1/tokens", headers=headers, timeout=20)
        answers.append(answer.status_code)

    thread = threading.Thread(target=revoke)
    thread.start()
    wait_for(lambda: not cluster[0].accounts())
    begun = time.monotonic()
    service.popen.send_signal(signal.SIGTERM)
    wait_for(lambda: not service.is_ready(), 1)
    # Not ready, and still there for whoever has not heard of it.
    body = {"groups": ["tier-free-users"]}
    answer = httpx.post(f"{service.url}/v1/tiers/lookup", json=body)
    assert answer.status_code == 200
    assert answer.headers["connection"] == "close"
    thread.join(20)
    assert answers == [204]
    assert service.popen.wait(20) == 0
    # As long as the gateway remembers a tier; the order to stop shortens nothing.
    assert time.monotonic() - begun >= TIER_CACHE_SECONDS
    assert service.popen.stdout
    output = service.popen.stdout.read()
    assert "Traceback" not in output
    assert "Warning" not in output


def test_ctrl_c_does_not_wait(service: Process) -> None:
    service.popen.send_signal(signal.SIGINT)
    assert service.popen.wait(10) == 0


def test_a_wrong_setting_ends_it_with_its_name() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "maas_api"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "KUBERNETES_SERVICE_HOST" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def pod_token(tmp_path: Path) -> PodToken:
    (tmp_path / "token").write_text("first\n")
    authorities = ssl.get_default_verify_paths().cafile or ssl.get_default_verify_paths().capath
    assert authorities
    (tmp_path / "ca.crt").write_bytes(Path(authorities).read_bytes())
    return PodToken(tmp_path, ssl.create_default_context())


def test_the_pods_token_is_read_again_when_refused(pod_token: PodToken, tmp_path: Path) -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return httpx.Response(200 if seen[-1] == "Bearer second" else 401)

    with httpx.Client(auth=pod_token, transport=httpx.MockTransport(answer)) as client:
        assert client.get("http://kubernetes/").status_code == 401
        (tmp_path / "token").write_text("second\n")
        assert client.get("http://kubernetes/").status_code == 200
        assert client.get("http://kubernetes/").status_code == 200
    assert seen == ["Bearer first", "Bearer first", "Bearer second", "Bearer second"]


def test_the_pods_token_is_read_again_in_time(
    pod_token: PodToken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return httpx.Response(200)

    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with httpx.Client(auth=pod_token, transport=httpx.MockTransport(answer)) as client:
        client.get("http://kubernetes/")
        (tmp_path / "token").write_text("second\n")
        client.get("http://kubernetes/")
        now[0] += 61
        client.get("http://kubernetes/")
    assert seen == ["Bearer first", "Bearer first", "Bearer second"]


class _Interrupting(io.StringIO):
    """A stream in the middle of whose first line a signal arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.interrupt: Callable[[], None] | None = None

    def write(self, text: str) -> int:
        interrupt, self.interrupt = self.interrupt, None
        if interrupt:
            interrupt()
        return super().write(text)


def test_a_signal_in_the_middle_of_a_log_line_blocks_nothing() -> None:
    """The handler runs between any two steps of the program, also while one holds a lock."""
    stream = _Interrupting()
    configure_logs("info", stream)
    settings = Settings(gateway_url="https://maas.example.test", kubernetes_url="http://127.0.0.1")
    server = DrainingServer(Application(settings, httpx.AsyncClient()), settings)
    stream.interrupt = lambda: server.handle_exit(signal.SIGTERM, None)
    writer = threading.Thread(target=lambda: structlog.get_logger().info("a line"), daemon=True)
    writer.start()
    writer.join(timeout=5)
    assert not writer.is_alive()
    assert server._view.is_draining
    assert "stopping" not in stream.getvalue()
    asyncio.run(server.on_tick(1))
    assert stream.getvalue().count("stopping") == 1
