# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What somebody new follows word by word: README.md and the inventories that people copy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from .conftest import ROOT

README = (ROOT / "README.md").read_text()
PREFLIGHT = yaml.safe_load((ROOT / "roles/preflight/vars/main.yml").read_text())
SPECS = yaml.safe_load((ROOT / "roles/preflight/meta/argument_specs.yml").read_text())


def names(options: dict[str, Any]) -> Iterator[str]:
    """Return the names of options and of those nested in them."""
    for name, option in options.items():
        yield name
        yield from names(option.get("options") or {})


def test_the_readme_asks_for_the_kubernetes_that_preflight_accepts() -> None:
    oldest = PREFLIGHT["_preflight_kubernetes_minimum"]["envoy_gateway"]
    assert re.findall(r"Kubernetes (\d+\.\d+) or later", README) == [oldest]


def test_the_readme_asks_for_the_ansible_that_the_collection_accepts() -> None:
    runtime = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())
    oldest = re.findall(r"ansible-core (\d+\.\d+) or later", README)
    assert runtime["requires_ansible"] == f">={oldest[0]}.0"


def test_the_readme_installs_the_archive_that_is_built() -> None:
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text())
    archive = f"{galaxy['namespace']}-{galaxy['name']}-{galaxy['version']}.tar.gz"
    assert set(re.findall(r"[\w.-]+\.tar\.gz", README)) == {archive}


def test_the_readme_installs_the_libraries_that_preflight_looks_for() -> None:
    installed = re.findall(r"pip install ((?!-r).+)", README)[0].split()
    # PyYAML comes with Ansible.
    needed = set(PREFLIGHT["_preflight_libraries"].values()) - {"PyYAML"}
    assert set(installed) == needed


def test_every_shared_variable_is_in_the_inventory_that_people_copy() -> None:
    folder = ROOT / "inventories" / "kubernetes"
    text = "\n".join(file.read_text() for file in sorted(folder.rglob("*.yml")))
    missing = [
        name
        for name in names(SPECS["argument_specs"]["inventory"]["options"])
        if not re.search(rf"^[\s#]*{name}:", text, re.MULTILINE)
    ]
    assert missing == []


@pytest.mark.parametrize("file", ["models.yml", "tiers.yml"])
def test_what_no_provider_changes_is_the_same_in_both_inventories(file: str) -> None:
    one, other = (
        (ROOT / "inventories" / provider / "group_vars/maas_platform" / file).read_text()
        for provider in ("kubernetes", "openshift")
    )
    assert one == other
