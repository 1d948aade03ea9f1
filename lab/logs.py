"""Collecting what explains a failure: descriptions, events, pods' logs, the node's journal.

Secrets and tokens are no part of it: Secrets are never asked for, and what looks like a bearer
token in a log is struck out.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from lab import cluster, kubectl, paths
from lab.engine import find
from lab.engine.client import Engine
from lab.errors import LabError
from lab.report import Report

TAIL = "400"
# JSON web tokens, and whatever follows "Bearer".
TOKEN = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*|(?<=[Bb]earer )[\w.~+/=-]{8,}")
KINDS = (
    "nodes,pods,deployments,services,gateways,httproutes,authpolicies,ratelimitpolicies,"
    "tokenratelimitpolicies,llminferenceservices,envoypatchpolicies,envoyextensionpolicies"
)


def collect(target: Path, report: Report) -> list[Path]:
    """Write all that can be had below a directory; what cannot be had is left out."""
    paths.make_private(target)
    written = []
    for name, text in _sources():
        file = target / f"{name}.log"
        paths.write_private(file, strike_tokens(text))
        written.append(file)
    report.say(f"{len(written)} files in {target}")
    return written


def strike_tokens(text: str) -> str:
    """Return a text without bearer tokens."""
    return TOKEN.sub("***", text)


def _sources() -> Iterator[tuple[str, str]]:
    daemon_log = paths.engine_data() / "dockerd.log"
    if daemon_log.exists():
        yield "engine", daemon_log.read_text(encoding="utf-8", errors="replace")
    try:
        engine = find.running()
    except LabError:
        engine = None
    if engine:
        yield from _of_containers(engine)
    if paths.KUBECONFIG.exists():
        yield from _of_cluster()


def _of_containers(engine: Engine) -> Iterator[tuple[str, str]]:
    yield "containers", _said(engine.docker("ps", "--all", check=False))
    if engine.is_running(cluster.NODE):
        journal = ["journalctl", "--no-pager", "--lines", "2000"]
        yield "node-journal", _said(engine.docker("exec", cluster.NODE, *journal, check=False))
    elif engine.inspect("container", cluster.NODE):
        yield "node", _said(engine.docker("logs", "--tail", TAIL, cluster.NODE, check=False))


def _of_cluster() -> Iterator[tuple[str, str]]:
    yield "events", _kubectl("get", "events", "--all-namespaces", "--sort-by=.lastTimestamp")
    yield "pods", _kubectl("get", "pods", "--all-namespaces", "--output", "wide")
    # One kind at a time: a kind that is not installed must not hide the others.
    for kind in KINDS.split(","):
        text = _kubectl("describe", kind, "--all-namespaces")
        if text.strip():
            yield f"describe-{kind}", text
    listed = _kubectl(
        "get",
        "pods",
        "--all-namespaces",
        "--output",
        'jsonpath={range .items[*]}{.metadata.namespace}{" "}{.metadata.name}{"\\n"}{end}',
    )
    for line in listed.splitlines():
        namespace, _, pod = line.partition(" ")
        if pod:
            text = _kubectl(
                "logs",
                pod,
                "--namespace",
                namespace,
                "--all-containers",
                "--prefix",
                "--tail",
                TAIL,
            )
            yield f"pod-{namespace}-{pod}", text


def _kubectl(*arguments: str) -> str:
    try:
        return kubectl.ask(*arguments, "--request-timeout", "20s", check=False).stdout
    except LabError as error:
        return error.what


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return f"{done.stdout}{done.stderr}"
