# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The collection's playbooks and modules, run as a user runs them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from running_lab import CHECKOUT, Lab

ENVIRONMENT = {
    "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
    # Molecule asks for colours, whose codes would stand between the words that tests look for.
    "ANSIBLE_FORCE_COLOR": "0",
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
}


def run_playbook(
    name: str, *args: str, variables: dict[str, Any] | None = None, inventory: str = "kind"
) -> subprocess.CompletedProcess[str]:
    """Run maas.platform.<name>; variables beat the inventory's."""
    chosen = [f"--extra-vars={json.dumps(variables)}"] if variables else []
    return _run(
        "ansible-playbook",
        f"--inventory={CHECKOUT / 'inventories' / inventory}",
        f"maas.platform.{name}",
        *chosen,
        *args,
    )


def run_module(name: str, lab: Lab, **params: Any) -> Any:
    """Run maas.platform.<name> on the lab's cluster; return its result."""
    done = _run(
        "ansible",
        "localhost",
        f"--module-name=maas.platform.{name}",
        f"--args={json.dumps({'kubeconfig': str(lab.kubeconfig), **params})}",
        "--connection=local",
        f"--extra-vars=ansible_python_interpreter={sys.executable}",
    )
    found = re.search(r"=> (\{.*\})", done.stdout, re.DOTALL)
    if done.returncode != 0 or found is None:
        # The result of a failed call holds no token; its message says what failed.
        raise AssertionError(f"maas.platform.{name}: {done.stdout}{done.stderr}")
    return json.loads(found.group(1))


def _run(program: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name(program)), *args],
        cwd=CHECKOUT,
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
