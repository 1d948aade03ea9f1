# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The lab's cluster, by the kubectl that came with it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from hidden import Hidden
from running_lab import Lab


class Kubectl:
    """kubectl as the cluster's administrator."""

    def __init__(self, lab: Lab) -> None:
        self._command = [str(lab.kubectl), "--kubeconfig", str(lab.kubeconfig)]

    def __call__(self, *args: str, manifest: Any = None) -> str:
        """Run kubectl; a manifest goes to its standard input as JSON."""
        done = subprocess.run(
            [*self._command, *args],
            input=None if manifest is None else json.dumps(manifest),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def get(self, *args: str) -> Any:
        """Return an object or a list."""
        return json.loads(self("get", *args, "--output=json"))

    def raw(self, path: str) -> Any:
        """Return what the API server has at a path."""
        return json.loads(self("get", f"--raw={path}"))

    def apply(self, *objects: dict[str, Any]) -> None:
        """Create or change objects."""
        self("apply", "--filename=-", manifest=_list(objects))

    def delete(self, *objects: dict[str, Any]) -> None:
        """Delete objects that may be gone already."""
        options = ("--ignore-not-found", "--wait=false", "--filename=-")
        self("delete", *options, manifest=_list(objects))

    def token(self, namespace: str, account: str, audience: str | None = None) -> str:
        """Ask the API server for a ServiceAccount's token, as its pod would."""
        wanted = [] if audience is None else [f"--audience={audience}"]
        command = ("create", "token", account, f"--namespace={namespace}", "--duration=600s")
        return Hidden(self(*command, *wanted).strip())


def _list(objects: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": list(objects)}
