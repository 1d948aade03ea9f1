# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The package: versions that agree, requirements that are complete, one source for shared code."""

from __future__ import annotations

import ast
import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import yaml
from packaging.requirements import Requirement

SERVICE = Path(__file__).parent.parent
SHARED = SERVICE / "src/maas_api/shared"
PROJECT = tomllib.loads((SERVICE / "pyproject.toml").read_text())["project"]


#: What requirements' markers are asked about: the image's Python, wherever the tests run.
IMAGE = {"python_version": "3.11", "python_full_version": "3.11.2", "extra": ""}


def name_of(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def pinned() -> dict[str, str]:
    lines = (SERVICE / "requirements.txt").read_text().splitlines()
    entries = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {name_of(name): version for name, version in entries}


def test_the_version_is_the_collections() -> None:
    galaxy = yaml.safe_load((SERVICE.parent / "galaxy.yml").read_text())
    assert PROJECT["version"] == galaxy["version"]


def test_what_is_needed_is_pinned_and_what_is_pinned_is_needed() -> None:
    needed: set[str] = set()
    waiting = [name_of(requirement) for requirement in PROJECT["dependencies"]]
    while waiting:
        name = waiting.pop()
        if name in needed:
            continue
        needed.add(name)
        for requirement in distribution(name).requires or []:
            wanted = Requirement(requirement)
            if wanted.marker is None or wanted.marker.evaluate(IMAGE):
                waiting.append(name_of(wanted.name))
    assert pinned().keys() == needed


def test_what_is_tested_is_what_is_pinned() -> None:
    assert {name: distribution(name).version for name in pinned()} == pinned()


def test_shared_code_is_linked_and_whole() -> None:
    links = {file.name: file for file in SHARED.glob("_*.py") if file.name != "__init__.py"}
    assert links
    for name, link in links.items():
        assert link.readlink() == Path("../../../../plugins/module_utils") / name
        for node in ast.walk(ast.parse(link.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert f"{node.module}.py" in links, f"{name} needs {node.module}"
