# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The cluster that is measured, and the programs that are."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import Cluster

from benchmarks import CHECKOUT

#: On everything a benchmark makes. The platform's own runs do not know it, and leave it alone.
LABEL = "app.kubernetes.io/managed-by"
OWNER = "maas-benchmark"
LABELS = {LABEL: OWNER}
SELECTOR = f"{LABEL}={OWNER}"
PREFIX = "maas-bench-"

#: Makes Ansible print one JSON document.
JSON_OUTPUT = {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}

_LONGEST_SECONDS = 900
_DELETION_SECONDS = 300


class BenchmarkError(Exception):
    """A benchmark could not be run; the text says why."""


@dataclass(frozen=True)
class Lab:
    """A cluster, and where the tools for it are."""

    kubeconfig: Path
    kubectl: str
    inventory: Path

    @classmethod
    def find(cls) -> Lab:
        """Return the lab of this checkout."""
        folder = CHECKOUT / ".lab"
        kubeconfig = folder / "kubeconfig"
        if not kubeconfig.exists():
            raise BenchmarkError("there is no lab to measure: run `make lab` first")
        kubectl = folder / "bin" / "kubectl"
        tool = str(kubectl) if kubectl.exists() else shutil.which("kubectl")
        if tool is None:
            raise BenchmarkError("kubectl is not on PATH")
        return cls(kubeconfig, tool, CHECKOUT / "inventories" / "kind")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let a second run of benchmarks wait: it would remove what this one made."""
        with (self.kubeconfig.parent / "benchmarks.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def cluster(self) -> Cluster:
        """Return the collection's own door to the cluster."""
        return Cluster.connect({"kubeconfig": str(self.kubeconfig)})

    def kube(self, *args: str, given: str | None = None) -> str:
        """Run kubectl; BenchmarkError where it fails."""
        return self.run([self.kubectl, *args], given).stdout

    def get(self, *args: str) -> Any:
        """Return what kubectl gets."""
        return json.loads(self.kube("get", *args, "--output=json"))

    def apply(self, manifests: Iterable[Mapping[str, Any]]) -> None:
        """Apply objects of a benchmark's own."""
        text = yaml.safe_dump_all([dict(item) for item in manifests])
        self.kube(
            "apply",
            "--server-side",
            "--force-conflicts",
            f"--field-manager={OWNER}",
            "--filename=-",
            given=text,
        )

    def ansible(self, program: str, *args: str, **environment: str) -> str:
        """Run a program of Ansible as users do; return what it printed."""
        settings = {
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_FORCE_COLOR": "0",
            **environment,
        }
        command = [str(Path(sys.executable).with_name(program)), *args]
        return self.run(command, environment=settings).stdout

    def play(self, tasks: list[dict[str, Any]], **environment: str) -> str:
        """Run tasks in a playbook of their own, on this machine, against the cluster."""
        play = {
            "name": "Benchmark",
            "hosts": "localhost",
            "gather_facts": False,
            "tasks": tasks,
            "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
            "module_defaults": {
                group: {"kubeconfig": str(self.kubeconfig)}
                for group in ("group/kubernetes.core.k8s", "group/maas.platform.maas")
            },
        }
        with tempfile.TemporaryDirectory() as folder:
            playbook = Path(folder) / "play.yml"
            playbook.write_text(json.dumps([play]))
            inventory = ("--inventory=localhost,", "--connection=local")
            return self.ansible("ansible-playbook", *inventory, str(playbook), **environment)

    def play_json(self, tasks: list[dict[str, Any]], **environment: str) -> Any:
        """Run tasks the same way; return what Ansible says of them."""
        return parse_json(self.play(tasks, **environment, **JSON_OUTPUT))

    def start_seconds(self) -> float:
        """Return how long Ansible takes for a play in which nothing happens."""
        with stopwatch() as seconds:
            self.play([{"name": "Do nothing", "ansible.builtin.meta": "noop"}])
        return seconds[0]

    def run(
        self,
        command: list[str],
        given: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program against the cluster."""
        done = subprocess.run(
            command,
            cwd=CHECKOUT,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig), **(environment or {})},
            input=given,
            capture_output=True,
            text=True,
            timeout=_LONGEST_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            end = (done.stdout + done.stderr).strip()[-1500:]
            raise BenchmarkError(f"{' '.join(command[:4])} … failed ({done.returncode}): {end}")
        return done

    @contextmanager
    def cleaned(self, *kinds: str) -> Iterator[None]:
        """Remove what a benchmark made, before it (a run may have been killed) and after it.

        Nobody waits for the last removal: namespaces take a while to go.
        """
        self.remove(*kinds, wait=True)
        try:
            yield
        finally:
            self.remove(*kinds, wait=False)

    def remove(self, *kinds: str, wait: bool) -> None:
        """Delete everything that carries a benchmark's label, of these kinds and namespaces."""
        self.kube(
            "delete",
            ",".join([*kinds, "namespace"]),
            "--all-namespaces",
            f"--selector={SELECTOR}",
            "--ignore-not-found",
            f"--wait={str(wait).lower()}",
            f"--timeout={_DELETION_SECONDS}s",
        )


def namespace(name: str) -> dict[str, Any]:
    """Return a namespace of a benchmark."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": dict(LABELS)},
    }


def parse_json(printed: str) -> Any:
    """Return what Ansible's JSON callback printed; other plugins may print before it."""
    start = printed.find("{")
    if start < 0:
        raise BenchmarkError("Ansible printed no JSON")
    return json.loads(printed[start:])


@contextmanager
def stopwatch() -> Iterator[list[float]]:
    """Time a block; the seconds are in the list afterwards."""
    seconds: list[float] = []
    started = time.perf_counter()
    yield seconds
    seconds.append(time.perf_counter() - started)
