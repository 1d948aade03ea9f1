# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Lists kept by hand drift apart, so each pair that must agree is compared."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import ROOT, role_names

# An expression, or a condition, which is one without braces.
EXPRESSION = re.compile(r"(?ms)\{\{.*?\}\}|\{%.*?%\}|^\s*(?:when|that|loop):[^\n]*")
SHARED = re.compile(r"(?<![\w.])maas_(?:tiers|models|gateway|domain|image_mirror)\b(?!['\w])")


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) if path.is_file() else None


@pytest.fixture(params=role_names())
def role(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def specified(role: str) -> dict[str, Any]:
    """Return the role's own options, of every entry point.

    Only preflight specifies the shared variables (maas_...), which belong to the inventory.
    """
    specs = load(ROOT / "roles" / role / "meta" / "argument_specs.yml")
    assert specs, f"roles/{role}/meta/argument_specs.yml does not exist"
    options: dict[str, Any] = {}
    for entry in specs["argument_specs"].values():
        options |= entry.get("options") or {}
    shared = {name for name in options if name.startswith("maas_") and role == "preflight"}
    return {name: option for name, option in options.items() if name not in shared}


def test_every_default_is_specified_and_the_reverse(role: str) -> None:
    defaults = set(load(ROOT / "roles" / role / "defaults" / "main.yml") or {})
    required = {name for name, option in specified(role).items() if option.get("required")}
    assert defaults == set(specified(role)) - (required - defaults)


def test_literal_defaults_agree_with_the_specification(role: str) -> None:
    defaults = load(ROOT / "roles" / role / "defaults" / "main.yml") or {}
    differing = {
        name: (option["default"], defaults.get(name))
        for name, option in specified(role).items()
        if "default" in option and option["default"] != defaults.get(name)
    }
    assert not differing


def test_every_option_is_described(role: str) -> None:
    assert [name for name, option in specified(role).items() if not option.get("description")] == []


def test_variables_carry_the_roles_name(role: str) -> None:
    defaults = load(ROOT / "roles" / role / "defaults" / "main.yml") or {}
    private = load(ROOT / "roles" / role / "vars" / "main.yml") or {}
    assert [name for name in defaults if not name.startswith(f"{role}_")] == []
    assert [name for name in private if not name.lower().startswith(f"_{role}_")] == []


def test_shared_variables_are_read_in_defaults_only(role: str) -> None:
    if role == "preflight":
        pytest.skip("checks the inventory itself, and names its variables")
    folder = ROOT / "roles" / role
    files = [*folder.glob("tasks/**/*.yml"), *folder.glob("templates/**/*")]
    users = {
        str(file.relative_to(ROOT)): found
        for file in files
        if file.is_file() and (found := _shared_variables(file))
    }
    assert users == {}


def test_every_role_is_explained(role: str) -> None:
    readme = ROOT / "roles" / role / "README.md"
    assert readme.is_file()
    assert len(readme.read_text().split()) >= 40


def test_main_only_imports(role: str) -> None:
    tasks = load(ROOT / "roles" / role / "tasks" / "main.yml")
    allowed = {"ansible.builtin.import_tasks", "ansible.builtin.include_tasks"}
    assert [task.get("name") for task in tasks if not allowed & task.keys()] == []


def test_every_task_file_is_used(role: str) -> None:
    files = set((ROOT / "roles" / role / "tasks").glob("*.yml"))
    users = [*ROOT.glob("roles/*/tasks/**/*.yml"), *ROOT.glob("playbooks/**/*.yml")]
    used = {file for user in users for file in _named_files(load(user), user) if file != user}
    assert sorted(file.name for file in files - used if file.name != "main.yml") == []


def _named_files(value: Any, user: Path) -> Iterator[Path]:
    """Return the task files that a playbook or task file imports or includes, at any depth."""
    if isinstance(value, list):
        for item in value:
            yield from _named_files(item, user)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in {"ansible.builtin.import_tasks", "ansible.builtin.include_tasks"}:
                yield user.parent / (item["file"] if isinstance(item, dict) else item)
            elif key in {"ansible.builtin.import_role", "ansible.builtin.include_role"}:
                tasks = ROOT / "roles" / item["name"].removeprefix("maas.platform.") / "tasks"
                yield tasks / f"{item.get('tasks_from', 'main').removesuffix('.yml')}.yml"
            yield from _named_files(item, user)


def _shared_variables(file: Path) -> list[str]:
    """Return the shared variables that a file's expressions read; messages may name them."""
    return SHARED.findall("\n".join(EXPRESSION.findall(file.read_text())))
