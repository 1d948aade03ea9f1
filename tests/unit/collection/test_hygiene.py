# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Nothing of one machine, and no secret, in the project."""

from __future__ import annotations

import re
from pathlib import Path

from .conftest import ROOT

# A path below somebody's home, the literal address of a package registry, key material.
# Limitador's image has its files below /home/limitador, on every machine.
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|home/(?!limitador|me\b)[a-z]+|root|Users/\w+)/[\w.]")
REGISTRY_URL = re.compile(
    r"https?://(?:[\w.-]*\.)?"
    r"(?:pypi\.org|pythonhosted\.org|proxy\.golang\.org|crates\.io|deb\.debian\.org)"
)
SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n|eyJ[\w-]{20,}\.eyJ[\w-]{20,}\.[\w-]{20,}"
)
BINARY = {".wasm", ".gz", ".png"}


def found(sources: list[Path], pattern: re.Pattern[str]) -> list[str]:
    """Return file:line of every match outside this file."""
    hits = []
    for path in sources:
        if path == Path(__file__).resolve() or path.suffix in BINARY:
            continue
        text = path.read_text(errors="replace")
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            hits.append(f"{path.relative_to(ROOT)}:{line}: {match.group(0)}")
    return hits


def test_no_path_of_one_machine(sources: list[Path]) -> None:
    assert found(sources, MACHINE_PATH) == []


def test_no_package_registrys_address(sources: list[Path]) -> None:
    # Each package client's configured source is used.
    assert found(sources, REGISTRY_URL) == []


def test_no_key_and_no_token(sources: list[Path]) -> None:
    assert found(sources, SECRET) == []


def test_what_users_install_carries_its_licence(sources: list[Path]) -> None:
    missing = [
        str(path.relative_to(ROOT))
        for path in sources
        if path.suffix == ".py"
        and path.is_relative_to(ROOT / "plugins")
        and "SPDX-License-Identifier: Apache-2.0" not in path.read_text()[:600]
    ]
    assert missing == []
