# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What arrives at a model: a stand-in for one writes down the request that it was sent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from accounts import User
from catalog import Catalog
from chat import Chat
from cluster import Kubectl

testinfra_hosts = ["local://"]

NAME = "test-echo"
NAMESPACE = "llm"
TIER = "premium"

# Answers every POST with the request's own path and headers, in the shape of a completion.
ECHO = """
import http.server, json

class Echo(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        seen = {"path": self.path, "headers": [list(pair) for pair in self.headers.items()]}
        body = json.dumps({"seen": seen, "usage": {"total_tokens": 1}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.ThreadingHTTPServer(("", 8000), Echo).serve_forever()
"""


def manifests(image: str, tier_namespace: str) -> list[dict[str, Any]]:
    """Render a pod behind the internal Gateway, and a tier's right to call it."""
    labels = {"app": NAME}

    def named(**extra: Any) -> dict[str, Any]:
        return {"name": NAME, "namespace": NAMESPACE, "labels": labels, **extra}

    rule = {
        "apiGroups": ["serving.kserve.io"],
        "resources": ["llminferenceservices"],
        "resourceNames": [NAME],
        "verbs": ["post"],
    }
    prefix = {"type": "PathPrefix", "value": f"/{NAMESPACE}/{NAME}/v1"}
    container = {
        "name": "echo",
        "image": image,
        "command": ["python3", "-c", ECHO],
        "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
        "securityContext": {
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": named(),
            "spec": {
                "containers": [container],
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 0,
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": named(),
            "spec": {"selector": labels, "ports": [{"port": 8000}]},
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": named(),
            "spec": {
                "parentRefs": [{"name": "maas-internal", "namespace": "maas-gateway"}],
                "rules": [
                    {
                        "matches": [{"path": prefix}],
                        "backendRefs": [{"name": NAME, "port": 8000}],
                    }
                ],
            },
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": named(),
            "rules": [rule],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": named(),
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "Role",
                "name": NAME,
            },
            "subjects": [
                {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "Group",
                    "name": f"system:serviceaccounts:{tier_namespace}",
                }
            ],
        },
    ]


@pytest.fixture(scope="module")
def echo(kubectl: Kubectl, catalog: Catalog) -> Iterator[str]:
    """Run the stand-in; return its name as a model."""
    deployment = kubectl.get("deployment", "maas-api", "--namespace=maas-api")
    # The one image with a Python that is certain to be on the cluster.
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    objects = manifests(image, catalog.tiers[TIER].namespace)
    kubectl.apply(*objects)
    kubectl(
        "wait", "--for=condition=Ready", f"pod/{NAME}", f"--namespace={NAMESPACE}", "--timeout=60s"
    )
    yield f"{NAMESPACE}/{NAME}"
    kubectl.delete(*objects)


@pytest.fixture(scope="module")
def seen(
    echo: str, chat: Chat, new_user: Callable[[str], User]
) -> tuple[User, dict[str, list[str]]]:
    """Send one request with forged headers; return who sent it and the headers that arrived."""
    user = new_user(TIER)
    forged = [
        ("X-MaaS-User", "forged"),
        ("X-MaaS-Tier", "forged"),
        ("X-Gateway-Model-Name", "forged"),
        ("Cookie", "session=kept"),
    ]
    deadline = time.monotonic() + 30
    while (answer := chat(user, echo, headers=forged)).status != 200:
        # The route and the right to it were made a moment ago.
        assert time.monotonic() < deadline, answer
        time.sleep(1)
    headers: dict[str, list[str]] = {}
    for name, value in answer.json()["seen"]["headers"]:
        headers.setdefault(name.lower(), []).append(value)
    return user, headers


Seen = tuple[User, dict[str, list[str]]]


def test_the_callers_token_does_not_arrive(seen: Seen) -> None:
    user, headers = seen
    assert "authorization" not in headers
    assert user.token not in str(headers)


def test_forged_identity_does_not_arrive(seen: Seen) -> None:
    _user, headers = seen
    assert "forged" not in str(headers)


def test_other_headers_do_arrive(seen: Seen) -> None:
    _user, headers = seen
    assert headers["cookie"] == ["session=kept"]
