# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""galaxy.yml, meta/runtime.yml, README.md and the versions written in more than one place."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import ROOT, module_names, playbook_names, role_names


@pytest.fixture(scope="module")
def galaxy() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "galaxy.yml").read_text()))


def test_the_action_group_holds_every_module() -> None:
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())
    assert sorted(runtime["action_groups"]["maas"]) == module_names()


def test_every_dependency_is_used(galaxy: dict[str, Any], sources: list[Path]) -> None:
    texts = "\n".join(
        path.read_text()
        for path in sources
        if path.suffix in {".yml", ".py"}
        and path.parts[len(ROOT.parts)] in {"plugins", "roles", "playbooks"}
    )
    unused = [
        name
        for name in galaxy["dependencies"]
        if f"{name}." not in texts and f"ansible_collections.{name}" not in texts
    ]
    assert unused == []


def test_requirements_bring_the_dependencies_where_galaxy_cannot(galaxy: dict[str, Any]) -> None:
    assert re.search(r"^ansible==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert "kubernetes.core" in galaxy["dependencies"]


@pytest.mark.parametrize("playbook", playbook_names())
def test_every_playbook_is_documented(playbook: str) -> None:
    assert f"maas.platform.{playbook}" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("role", role_names())
def test_every_role_is_linked(role: str) -> None:
    assert f"roles/{role}/README.md" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("module", module_names())
def test_every_module_is_named(module: str) -> None:
    assert f"`{module}`" in (ROOT / "README.md").read_text()


def test_the_services_version_is_the_collections(galaxy: dict[str, Any]) -> None:
    service = tomllib.loads((ROOT / "service" / "pyproject.toml").read_text())
    assert service["project"]["version"] == galaxy["version"]


def test_relative_links_in_documents_lead_somewhere(sources: list[Path]) -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in sources
        if page.suffix == ".md"
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []


def test_every_sanity_exception_has_its_reason() -> None:
    lines = (
        line
        for file in (ROOT / "tests" / "sanity").glob("ignore-*.txt")
        for line in file.read_text().splitlines()
    )
    assert [line for line in lines if line.strip() and not re.search(r"\s#\s*\S", line)] == []
