"""A container engine, spoken to through the ``docker`` command."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab.errors import LabError
from lab.process import run, succeeds


@dataclass(frozen=True)
class Engine:
    """An engine that answers.

    Args:
        host: Where it listens; empty for whatever the ``docker`` command uses by itself.
        ours: Whether the lab started it, and so may stop it.
        api_version: The version of its interface, where a client must be told.
    """

    host: str = ""
    ours: bool = False
    api_version: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """What ``docker`` and ``kind`` need in their environment to reach this engine."""
        if not self.ours:
            return {}
        told = {"DOCKER_API_VERSION": self.api_version} if self.api_version else {}
        return {"DOCKER_HOST": self.host, **told}

    def docker(
        self,
        *arguments: str,
        stdin: str | None = None,
        check: bool = True,
        timeout: float | None = 300,
        fix: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run one ``docker`` command."""
        return run(
            ["docker", *arguments],
            env=self.environment,
            stdin=stdin,
            check=check,
            timeout=timeout,
            fix=fix,
        )

    def answers(self) -> bool:
        """Say whether an engine is there."""
        command = ["docker", "version", "--format", "{{.Server.Version}}"]
        return succeeds(command, env=self.environment, timeout=15)

    def inspect(self, kind: str, name: str) -> dict[str, Any] | None:
        """Return what the engine knows of a container, network or image; None without it."""
        found = self.docker(kind, "inspect", name, check=False)
        if found.returncode == 0:
            described: list[dict[str, Any]] = json.loads(found.stdout)
            return described[0] if described else None
        if "no such" in found.stderr.lower() or "not found" in found.stderr.lower():
            return None
        raise LabError(
            f"the container engine does not tell about {kind} {name}: {found.stderr.strip()}"
        )

    def is_running(self, container: str) -> bool:
        """Say whether a container exists and runs."""
        found = self.inspect("container", container)
        return bool(found and found["State"]["Running"])

    def remove_container(self, name: str) -> bool:
        """Remove a container with its own volumes; say whether it was there."""
        if self.inspect("container", name) is None:
            return False
        self.docker("rm", "--force", "--volumes", name)
        return True

    def remove_network(self, name: str) -> bool:
        """Remove a network; say whether it was there."""
        if self.inspect("network", name) is None:
            return False
        self.docker("network", "rm", name)
        return True


def configured_host(environment: Mapping[str, str] = os.environ) -> str:
    """Return the DOCKER_HOST that the user set, if any."""
    return environment.get("DOCKER_HOST", "")


def is_remote(host: str) -> bool:
    """Say whether an engine's address leads off this machine."""
    return host.partition("://")[0] in {"tcp", "ssh", "http", "https"}
