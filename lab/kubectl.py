"""The lab's own kubectl on the lab's own kubeconfig, never the user's."""

import subprocess
from pathlib import Path

from lab import paths
from lab.process import run


def command(*arguments: str, program: Path | None = None) -> list[str | Path]:
    """Return a kubectl command line for the lab's cluster."""
    return [program or paths.BIN / "kubectl", "--kubeconfig", paths.KUBECONFIG, *arguments]


def ask(
    *arguments: str,
    stdin: str | None = None,
    check: bool = True,
    timeout: float = 60,
    fix: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run one kubectl command in the lab's cluster."""
    return run(command(*arguments), stdin=stdin, check=check, timeout=timeout, fix=fix)
