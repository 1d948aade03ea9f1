# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What arrives at a model: a stand-in for one writes down the request that it was sent."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import openai
import pytest
from accounts import User
from catalog import Catalog
from chat import Chat, completions_path
from cluster import Kubectl
from kubernetes.client.exceptions import ApiException
from kubernetes.config import new_client_from_config
from running_lab import Lab
from wire import Wire

testinfra_hosts = ["local://"]

NAME = "test-echo"
NAMESPACE = "llm"
TIER = "premium"

# Answers every POST with what it was sent, in the shape of a completion that calls the first tool.
ECHO = """
import http.server, json

class Echo(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        headers = [list(pair) for pair in self.headers.items()]
        tools = json.loads(sent).get("tools", [])
        calls = [
            {"id": "call-1", "type": "function",
             "function": {"name": tool["function"]["name"], "arguments": json.dumps({"n": 1})}}
            for tool in tools[:1]
        ]
        message = {"role": "assistant", "content": None, "tool_calls": calls}
        body = json.dumps({
            "id": "echo", "object": "chat.completion", "created": 1, "model": "echo",
            "choices": [{"index": 0, "finish_reason": "tool_calls", "message": message}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 0, "total_tokens": 1},
            "seen": {"path": self.path, "headers": headers, "body": sent},
        }).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.ThreadingHTTPServer(("", 8000), Echo).serve_forever()
"""


def route_like(route: dict[str, Any], model: str) -> dict[str, Any]:
    """Copy a model's route with all it matches, changes and removes; only the backend is ours."""
    rules = deepcopy(route["spec"]["rules"])
    for rule in rules:
        rule["backendRefs"] = [{"name": NAME, "port": 8000}]
        for match in rule["matches"]:
            match["path"]["value"] = match["path"]["value"].replace(
                f"/{model}/", f"/{NAMESPACE}/{NAME}/"
            )
    return {"parentRefs": route["spec"]["parentRefs"], "rules": rules}


def manifests(image: str, tier_namespace: str, route: dict[str, Any]) -> list[dict[str, Any]]:
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
            "spec": route,
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
def echo(kubectl: Kubectl, catalog: Catalog, model: str) -> Iterator[str]:
    """Run the stand-in behind a copy of a model's route; return its name as a model."""
    deployment = kubectl.get("deployment", "maas-api", "--namespace=maas-api")
    # The one image with a Python that is certain to be on the cluster.
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    namespace, name = model.split("/")
    route = route_like(kubectl.get("httproute", name, f"--namespace={namespace}"), model)
    objects = manifests(image, catalog.tiers[TIER].namespace, route)
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
        ("X-Own", "kept"),
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


def test_the_platforms_own_headers_do_not_arrive(seen: Seen) -> None:
    _user, headers = seen
    assert [name for name in headers if name.startswith(("x-maas-", "x-gateway-"))] == []


def test_other_headers_do_arrive(seen: Seen) -> None:
    _user, headers = seen
    assert headers["x-own"] == ["kept"]


TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "wetter_in_köln",
            "description": 'Quotes " and \\ and ✨',
            "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}},
        },
    }
]


def test_tool_calls_pass_through(
    seen: Seen, echo: str, lab: Lab, openai_client: Callable[[str, str], openai.OpenAI]
) -> None:
    user, _headers = seen
    with openai_client(f"{lab.url}/{echo}/v1", user.token) as client:
        answer = client.chat.completions.create(
            model="echo",
            messages=[{"role": "user", "content": "How is the weather?"}],
            tools=TOOLS,
            tool_choice="auto",
            max_tokens=4,
        )
    sent = json.loads(answer.model_dump()["seen"]["body"])
    assert (sent["tools"], sent["tool_choice"]) == (TOOLS, "auto")
    (call,) = answer.choices[0].message.tool_calls or []
    assert answer.choices[0].finish_reason == "tool_calls"
    assert call.type == "function"
    assert (call.function.name, call.function.arguments) == ("wetter_in_köln", '{"n": 1}')


def test_a_body_arrives_byte_for_byte(seen: Seen, echo: str, wire: Wire) -> None:
    user, _headers = seen
    body = '{"unknown": [1.0, 1e3],  "text": "é ✨ \\u00e9", "unknown": null}'
    answer = wire.request("POST", completions_path(echo), token=user.token, body=body.encode())
    assert answer.json()["seen"]["body"] == body


Ask = Callable[[dict[str, str]], int]


@pytest.fixture
def ask_inside(lab: Lab, model: str) -> Iterator[Ask]:
    """Reach the internal Gateway through the API server, as only an administrator can."""
    client = new_client_from_config(config_file=str(lab.kubeconfig))
    service = "/api/v1/namespaces/envoy-gateway-system/services/maas-internal:8080/proxy"

    def ask(headers: dict[str, str]) -> int:
        try:
            answer = client.call_api(
                f"{service}/{model}/v1/models",
                "GET",
                header_params=headers,
                auth_settings=["BearerToken"],
                response_type="object",
            )
        except ApiException as exc:
            return int(exc.status)
        return int(answer[1])

    yield ask
    client.close()


class TestPastTheFilter:
    """What never passed the gateway's filter meets no model, even on the internal Gateway."""

    def test_without_the_mark_of_the_filter(self, ask_inside: Ask) -> None:
        assert ask_inside({}) == 404

    def test_only_the_mark_was_missing(self, ask_inside: Ask) -> None:
        assert ask_inside({"x-maas-tier": "free"}) == 200

    def test_a_host_in_capitals(self, wire: Wire, model: str) -> None:
        # Envoy routes any spelling; a filter that compares letters would let this one through.
        headers = [("Host", wire.lab.authority.upper())]
        answer = wire.request("GET", f"/{model}/v1/models", headers=headers)
        assert answer.status in {401, 404}
