import json
import subprocess

import pytest

from lab import environment, paths

FACTS = environment.facts("172.31.200.10:5000/kuadrant/wasm-shim:v1", "packages", "r", "")


@pytest.fixture
def lab(tmp_path, monkeypatch):
    home = tmp_path / "a checkout"
    home.mkdir()
    monkeypatch.setattr(paths, "ENV", home / "env")
    monkeypatch.setattr(paths, "FACTS", home / "lab.json")
    monkeypatch.setattr(paths, "CA", home / "ca.crt")
    monkeypatch.setattr(paths, "LOGIN_CA", home / "login-ca.crt")
    return home


def test_a_shell_reads_what_was_written(lab):
    environment.write(FACTS)
    names = ["DOMAIN", "URL", "RESOLVE", "CA", "LOGIN_URL", "LOGIN_RESOLVE", "LOGIN_CA"]
    printed = " ".join(f"MAAS_{name}" for name in names)
    script = f'set -a; . "$1/env"; set +a; printenv {printed}'
    command = ["bash", "-c", script, "bash", str(lab)]
    read = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert read == [
        "lab.test",
        "https://maas.lab.test:8443",
        "maas.lab.test:8443:127.0.0.1",
        str(lab / "ca.crt"),
        "https://login.lab.test:8444/dex",
        "login.lab.test:8444:127.0.0.1",
        str(lab / "login-ca.crt"),
    ]


def test_both_files_are_private(lab):
    environment.write(FACTS)
    assert {file.stat().st_mode & 0o777 for file in lab.iterdir()} == {0o600}
    assert json.loads((lab / "lab.json").read_text()) == FACTS


def test_without_a_lab_there_are_no_facts(lab):
    assert environment.read_facts() == {}
