# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Pods that nobody knows, which knock at doors inside the cluster."""

from __future__ import annotations

import json
from typing import Any

from cluster import Kubectl

NAME = "maas-test-stray"
Targets = dict[str, tuple[str, int]]

# Tries every address at once and says which take a connection.
_KNOCK = """
import concurrent.futures, json, socket, sys

def knock(target):
    try:
        socket.create_connection(tuple(target), timeout=4).close()
    except OSError:
        return "closed"
    return "open"

targets = json.loads(sys.argv[1])
with concurrent.futures.ThreadPoolExecutor(len(targets)) as pool:
    print(json.dumps(dict(zip(targets, pool.map(knock, targets.values())))))
"""


def knock(kubectl: Kubectl, namespace: str, targets: Targets) -> dict[str, str]:
    """Let a pod in a namespace knock; return which doors were open, which closed."""
    found: dict[str, str] = run(kubectl, namespace, _KNOCK, targets)
    return found


def run(kubectl: Kubectl, namespace: str, program: str, argument: Any) -> Any:
    """Let a pod in a namespace run a Python program with an argument; return what it prints."""
    api = kubectl.get("deployment", "maas-api", "--namespace=maas-api")
    # The one image with a Python that is certain to be on the cluster.
    image = api["spec"]["template"]["spec"]["containers"][0]["image"]
    stray = _pod(namespace, image, program, argument)
    kubectl.apply(stray)
    try:
        kubectl(
            "wait",
            "--for=jsonpath={.status.phase}=Succeeded",
            f"pod/{NAME}",
            f"--namespace={namespace}",
            "--timeout=60s",
        )
        found = json.loads(kubectl("logs", NAME, f"--namespace={namespace}"))
    finally:
        kubectl.delete(stray)
    return found


def _pod(namespace: str, image: str, program: str, argument: Any) -> dict[str, Any]:
    container = {
        "name": "stray",
        "image": image,
        "command": ["python3", "-c", program, json.dumps(argument)],
        "securityContext": {
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "containers": [container],
        },
    }
