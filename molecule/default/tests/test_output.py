# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""No token and no private key in what a run prints, however much it is asked to print."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from chat import Chat
from cluster import Kubectl
from running_lab import Lab

from playbooks import run_module, run_playbook

testinfra_hosts = ["local://"]

JWT = re.compile(r"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}")
PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")


@pytest.fixture(scope="module")
def secrets(lab: Lab, kubectl: Kubectl) -> dict[str, str]:
    """Every secret text of the lab, and its base64 form, by where it is from."""
    known = {path.name: path.read_text().strip() for path in (lab.folder / "identities").iterdir()}
    for secret in kubectl.get("secrets", "--all-namespaces")["items"]:
        for key, value in (secret.get("data") or {}).items():
            if not key.endswith(".key") and key != "token":
                continue
            where = f"{secret['metadata']['namespace']}/{secret['metadata']['name']} {key}"
            # A PEM file's middle says enough; its lines may be folded or escaped in between.
            known[f"{where}, encoded"] = value[100:160]
            known[where] = base64.b64decode(value).decode(errors="replace").strip()[60:110]
    return {where: text for where, text in known.items() if len(text) >= 16}


def tell_nothing(text: str, secrets: dict[str, str]) -> None:
    """Look for anything secret in what a run printed."""
    assert JWT.search(text) is None
    assert PRIVATE_KEY.search(text) is None
    assert [where for where, secret in secrets.items() if secret in text] == []


def test_site_tells_no_secret_at_vvv(secrets: dict[str, str]) -> None:
    done = run_playbook("site", "-vvv", "--diff")

    assert done.returncode == 0, done.stdout[-3000:]
    tell_nothing(done.stdout + done.stderr, secrets)


def test_token_goes_into_its_file_and_nowhere_else(
    secrets: dict[str, str], chat: Chat, model: str, lab: Lab, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    name = f"test-token-playbook-{tmp_path.name}"
    wanted = {"token_user": name, "token_tier": "free", "token_file": str(file)}

    done = run_playbook("token", "-vvv", "--diff", variables=wanted)

    assert done.returncode == 0, done.stdout[-3000:]
    token = file.read_text().strip()
    assert file.stat().st_mode & 0o777 == 0o600
    assert chat(token, model).status == 200
    tell_nothing(done.stdout + done.stderr, secrets | {"the token itself": token})
    run_module("tier_token", lab, user=name, state="revoked")
