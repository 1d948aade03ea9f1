# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The repository as these tests see it: the files that git would track."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def sources() -> list[Path]:
    """Every file of the project: tracked, or new and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    return [ROOT / name for name in listed if name and (ROOT / name).is_file()]


def role_names() -> list[str]:
    """Return the roles by name."""
    return sorted(path.parent.parent.name for path in ROOT.glob("roles/*/tasks/main.yml"))


def playbook_names() -> list[str]:
    """Return the playbooks by name."""
    return sorted(path.stem for path in ROOT.glob("playbooks/*.yml"))


def module_names() -> list[str]:
    """Return the modules by name."""
    return sorted(path.stem for path in ROOT.glob("plugins/modules/[!_]*.py"))
