# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The tier lookup, beside the simplest Go server that could answer it."""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.maas.platform.plugins.module_utils._accounts import (
    account_manifest,
    account_name,
)
from ansible_collections.maas.platform.plugins.module_utils._names import (
    API_NAMESPACE,
    CATALOG_KEY,
    CATALOG_NAME,
    REVISION_ANNOTATION,
    TIER_CACHE_SECONDS,
)

from benchmarks import CHECKOUT
from benchmarks.lab import LABELS, BenchmarkError, Lab
from benchmarks.report import Report
from lab.golang import toolchain

_CONNECTIONS = (1, 10, 100)
_ROUNDS = 5
_SECONDS = 4.0
_USER = "maas-bench-lookup"
_START_SECONDS = 30.0
_PATH = "/v1/tiers/lookup"


@dataclass
class Measured:
    """One server under one load: the median of several rounds."""

    rate: float
    p50: float
    p99: float

    @classmethod
    def of(cls, rounds: list[dict[str, float]]) -> Measured:
        """Return the medians; BenchmarkError where a question was not answered well."""
        if any(one["failures"] for one in rounds):
            raise BenchmarkError("some lookups were not answered with 200")
        values = (
            statistics.median(one[key] for one in rounds) for key in ("rate", "p50_ms", "p99_ms")
        )
        return cls(*values)


def run(lab: Lab, small: bool) -> Report:
    """Ask both servers in turns, over 1, 10 and 100 connections."""
    seconds, rounds = (_SECONDS / 8, 1) if small else (_SECONDS, _ROUNDS)
    report = Report(
        "lookup",
        "tier lookups of an account, by the service itself: one process, over loopback",
        "a Go net/http server that answers the same JSON and reads nothing",
    )
    with tempfile.TemporaryDirectory() as folder:
        program = _build(Path(folder))
        with _account(lab) as question, _service(lab, Path(folder)) as service:
            answer = _await_answer(service, question)
            with _go_server(program, answer) as go:
                ratios = [
                    _measure(report, program, (go, service), question, count, seconds, rounds)
                    for count in _CONNECTIONS
                ]
    _say_what_caches_leave(report)
    report.remarks.append(f"The worst ratio is {min(ratios):.2f}; see the documentation for why.")
    return report


def _measure(
    report: Report,
    program: Path,
    servers: tuple[str, str],
    question: str,
    connections: int,
    seconds: float,
    rounds: int,
) -> float:
    found: dict[str, list[dict[str, float]]] = {server: [] for server in servers}
    for _ in range(rounds):
        for server in servers:
            found[server].append(_load(program, server, question, connections, seconds))
    go, ours = (Measured.of(found[server]) for server in servers)
    name = f"{connections} connection{'s' if connections > 1 else ''}"
    for what, one in ((f"{name}, Go", go), (f"{name}, MaaS API", ours)):
        note = f"p50 {one.p50:.2f} ms, p99 {one.p99:.2f} ms"
        report.add(what, one.rate, "/s", one.rate / go.rate, note)
    return ours.rate / go.rate


def _say_what_caches_leave(report: Report) -> None:
    """Say how many lookups the gateway's cache lets through, from how long it keeps an answer."""
    report.remarks.append(
        f"The gateway keeps an answer for {TIER_CACHE_SECONDS} s. A user who calls r times a "
        f"second costs one lookup in that time, so 1,000 requests of his leave "
        f"{1000 / TIER_CACHE_SECONDS:.0f}/r lookups: 200 at 1/s, 20 at 10/s, 2 at 100/s."
    )


def _build(folder: Path) -> Path:
    program = folder / "lookup"
    source = CHECKOUT / "benchmarks" / "lookup_load"
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -trimpath"}
    command = [str(toolchain()), "build", "-buildvcs=false", "-o", str(program), "."]
    done = subprocess.run(
        command, cwd=source, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BenchmarkError(f"the load generator does not build: {done.stderr}")
    return program


@contextmanager
def _account(lab: Lab) -> Iterator[str]:
    """Make an account in the lowest tier; yield what the gateway asks about it."""
    catalog = lab.get("configmap", CATALOG_NAME, f"--namespace={API_NAMESPACE}")
    tiers = yaml.safe_load(catalog["data"][CATALOG_KEY])
    manifest = account_manifest(_USER, tiers[0]["name"])
    manifest["metadata"]["labels"].update(LABELS)
    namespace, name = manifest["metadata"]["namespace"], account_name(_USER)
    lab.apply([manifest])
    try:
        made = lab.get("serviceaccount", name, f"--namespace={namespace}")
        yield json.dumps(
            {
                "groups": ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"],
                "username": f"system:serviceaccount:{namespace}:{name}",
                "uid": made["metadata"]["uid"],
                "revision": catalog["metadata"]["annotations"][REVISION_ANNOTATION],
            }
        )
    finally:
        lab.kube("delete", "serviceaccount", name, f"--namespace={namespace}", "--wait=false")


@contextmanager
def _service(lab: Lab, folder: Path) -> Iterator[str]:
    """Run the service of this checkout, as its image does, against the lab's API server."""
    proxy_port, port = _free_port(), _free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": str(CHECKOUT / "service" / "src"),
        "MAAS_GATEWAY_URL": "https://maas.lab.test:8443",
        "MAAS_KUBERNETES_URL": f"http://127.0.0.1:{proxy_port}",
        "MAAS_HOST": "127.0.0.1",
        "MAAS_PORT": str(port),
        "MAAS_DRAIN_SECONDS": "0",
        "MAAS_WEB": "false",
        "MAAS_LOG_LEVEL": "warning",
    }
    proxy = [lab.kubectl, f"--kubeconfig={lab.kubeconfig}", "proxy", f"--port={proxy_port}"]
    log = folder / "service.log"
    with (
        _process(proxy, {**os.environ}, folder / "proxy.log"),
        _process([sys.executable, "-m", "maas_api"], environment, log),
    ):
        yield f"http://127.0.0.1:{port}{_PATH}"


@contextmanager
def _go_server(program: Path, answer: str) -> Iterator[str]:
    port = _free_port()
    command = [str(program), "serve", f"127.0.0.1:{port}", answer]
    with _process(command, {**os.environ}, program.with_suffix(".log")):
        url = f"http://127.0.0.1:{port}{_PATH}"
        _await_answer(url, "{}")
        yield url


@contextmanager
def _process(command: list[str], environment: Mapping[str, str], log: Path) -> Iterator[None]:
    with log.open("w") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=_START_SECONDS)


def _await_answer(url: str, question: str) -> str:
    """Return the first good answer."""
    end, reason = time.monotonic() + _START_SECONDS, ""
    while time.monotonic() < end:
        request = urllib.request.Request(url, question.encode(), method="POST")  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310 - loopback
                return str(response.read().decode())
        except (urllib.error.URLError, OSError) as exc:
            reason = str(exc)
            time.sleep(0.1)
    raise BenchmarkError(f"{url} gives no answer: {reason}")


def _load(
    program: Path, url: str, question: str, connections: int, seconds: float
) -> dict[str, Any]:
    command = [str(program), "load", url, question, str(connections), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"the load generator failed: {done.stderr}")
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
