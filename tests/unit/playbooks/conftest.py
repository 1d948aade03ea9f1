"""What the tests of playbooks share: runs of ansible-playbook, and API servers of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tests.unit.plugins.conftest import FakeApi

CHECKOUT = Path(__file__).parents[3]


class Runs:
    """Runs playbooks over inventories whose hosts are cases."""

    def __init__(self, folder: Path) -> None:
        """Keep files in folder, which also comes first on PATH."""
        self.folder = folder

    def write_program(self, name: str, answer: str) -> None:
        """Write a program that prints one line."""
        path = self.folder / name
        path.write_text(f"#!/bin/sh\necho {answer}\n")
        path.chmod(0o755)

    def write_kubeconfig(self, name: str, server: str) -> str:
        """Write a kubeconfig with one context and return its path."""
        path = self.folder / name
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "it", "cluster": {"server": server}}],
            "users": [{"name": "me", "user": {"token": "none"}}],
            "contexts": [{"name": "there", "context": {"cluster": "it", "user": "me"}}],
            "current-context": "there",
        }
        path.write_text(json.dumps(content))
        return str(path)

    def play(
        self,
        hosts: Mapping[str, Any],
        playbook: Path = CHECKOUT / "playbooks/preflight.yml",
        skip: str = "none",
        **environment: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run a playbook in check mode over these hosts, without the tasks of some tags."""
        inventory = self.folder / "hosts.json"
        python = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        inventory.write_text(json.dumps({"maas_platform": {"hosts": hosts, "vars": python}}))
        return self.play_inventory(inventory, playbook, skip, **environment)

    def play_inventory(
        self, inventory: Path, playbook: Path, skip: str, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a playbook in check mode with an inventory, without the tasks of some tags."""
        inherited = {key: value for key, value in os.environ.items() if "K8S_AUTH" not in key}
        return subprocess.run(
            [
                Path(sys.executable).with_name("ansible-playbook"),
                "--check",
                f"--skip-tags={skip}",
                f"--inventory={inventory}",
                playbook,
            ],
            cwd=CHECKOUT,
            env={
                **inherited,
                "PATH": f"{self.folder}:{os.environ['PATH']}",
                "NO_COLOR": "1",
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )


def said_to(output: str, host: str) -> str:
    """Return what the failed task said about one host."""
    pattern = rf"^fatal: \[{host}\]: FAILED! => *\n(.*?)(?=^\S|\Z)"
    found = re.search(pattern, output, re.DOTALL | re.MULTILINE)
    assert found, output
    return found.group(1)


@contextmanager
def api_server(
    version: str, uid: str, denied: Callable[[dict], bool], foreign: str = ""
) -> Iterator[str]:
    """Answer what preflight asks a cluster: version, kube-system, permissions, namespaces.

    foreign is a namespace that somebody else has made.
    """

    class Handler(BaseHTTPRequestHandler):
        # One connection serves many requests, as with a real API server.
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            known = {
                "/version": {"gitVersion": version},
                "/api/v1/namespaces/kube-system": {"metadata": {"name": "kube-system", "uid": uid}},
                f"/api/v1/namespaces/{foreign}": {"metadata": {"name": foreign, "uid": "x"}},
            }
            self._answer(200 if self.path in known else 404, known.get(self.path, {}))

        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked = review["spec"]["resourceAttributes"]
            self._answer(201, {**review, "status": {"allowed": not denied(asked)}})

        def _answer(self, status: int, body: dict) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_args: object) -> None:
            """Keep quiet."""

    class Server(ThreadingHTTPServer):
        # Two hosts ask many questions at once; a full queue resets connections.
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def serving(api: FakeApi) -> Iterator[str]:
    """Put a cluster in memory behind an address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path, _mark, query = self.path.partition("?")
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else {}
            kind = self.headers.get("Content-Type") or ""
            status, answer = api(self.command, path, parse_qsl(query), body, kind)
            data = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def __getattr__(self, name: str) -> Any:
            # do_POST, do_PATCH and the others are the same.
            if name.startswith("do_"):
                return self.do_GET
            raise AttributeError(name)

        def log_message(self, *_args: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Give runs that find two programs which stand for Helm."""
    made = Runs(tmp_path_factory.mktemp("playbooks"))
    made.write_program("helm3", "v3.22.0+gabc")
    made.write_program("helm4", "v4.0.0+gabc")
    return made
