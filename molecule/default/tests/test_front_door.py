# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The gateway itself: what it answers, what is in force, and how little gets past it."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import pytest
from accounts import User
from chat import Chat
from cluster import Kubectl
from running_lab import Lab
from wire import Wire

testinfra_hosts = ["local://"]

POLICIES = {
    "authpolicy": "gateway-auth-policy",
    "ratelimitpolicy": "gateway-rate-limits",
    "tokenratelimitpolicy": "gateway-token-rate-limits",
}


def test_a_completion_says_what_it_cost(
    chat: Chat, new_user: Callable[[str], User], model: str
) -> None:
    answer = chat(new_user("free"), model, tokens=3)
    assert answer.status == 200
    usage = answer.json()["usage"]
    assert usage["completion_tokens"] == 3
    assert usage["total_tokens"] == usage["prompt_tokens"] + 3


def test_plain_http_leads_to_https(lab: Lab, wire: Wire) -> None:
    answer = wire.plain_request("GET", "/maas-api/health?x=1")
    assert (answer.status, answer.header("location")) == (301, f"{lab.url}/maas-api/health?x=1")


def test_plain_http_serves_no_model(
    lab: Lab, wire: Wire, new_user: Callable[[str], User], model: str
) -> None:
    path = f"/{model}/v1/models"
    # The filter runs on both listeners, so a stranger is refused before being redirected.
    assert wire.plain_request("GET", path).status == 401
    answer = wire.plain_request("GET", path, token=new_user("premium").token)
    assert (answer.status, answer.header("location")) == (301, lab.url + path)


def test_the_certificate_is_for_the_host_only(lab: Lab) -> None:
    stranger = Lab(**{**vars(lab), "host": "other.lab.test"})
    with pytest.raises((ssl.SSLError, ConnectionError)):
        Wire(stranger).request("GET", "/maas-api/health")


@pytest.mark.parametrize(("kind", "name"), POLICIES.items())
def test_policies_are_enforced(kubectl: Kubectl, kind: str, name: str) -> None:
    policy = kubectl.get(kind, name, "--namespace=maas-gateway")
    enforced = condition(policy, "Enforced")
    assert enforced["status"] == "True"
    generation = policy["metadata"]["generation"]
    assert enforced.get("observedGeneration", policy["status"]["observedGeneration"]) == generation


def test_the_internal_gateway_is_not_published(kubectl: Kubectl) -> None:
    services = kubectl.get("services", "--all-namespaces")["items"]
    public = {
        port["nodePort"]: service["metadata"]["name"]
        for service in services
        # The lab's own place to log in is no part of the platform.
        if service["metadata"]["namespace"] != "lab-login"
        for port in service["spec"].get("ports", [])
        if "nodePort" in port
    }
    assert set(public.values()) == {"maas-default-gateway"}


def test_the_lab_runs_the_policies_the_roles_made(kubectl: Kubectl) -> None:
    everywhere = {
        kind: sorted(
            f"{item['metadata']['namespace']}/{item['metadata']['name']}"
            for item in kubectl.get(kind, "--all-namespaces")["items"]
        )
        for kind in POLICIES
    }
    assert everywhere == {
        "authpolicy": [
            "maas-api/maas-api",
            "maas-gateway/gateway-auth-policy",
        ],
        "ratelimitpolicy": ["maas-gateway/gateway-rate-limits"],
        "tokenratelimitpolicy": ["maas-gateway/gateway-token-rate-limits"],
    }


def test_limits_fail_closed(kubectl: Kubectl) -> None:
    name = "kuadrant-operator-controller-manager"
    deployment = kubectl.get("deployment", name, "--namespace=kuadrant-system")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    env = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert env["RATELIMIT_SERVICE_FAILURE_MODE"] == "deny"
    assert env["RATELIMIT_CHECK_SERVICE_FAILURE_MODE"] == "deny"


def authorino_restarts(kubectl: Kubectl) -> int:
    """Count how often Authorino has died."""
    pods = kubectl.get("pods", "--namespace=kuadrant-system", "--selector=authorino-resource")
    assert pods["items"]
    return sum(
        status["restartCount"]
        for pod in pods["items"]
        for status in pod["status"]["containerStatuses"]
    )


@pytest.mark.parametrize(
    ("junk", "status"),
    [("%zz", 404), ("v1/%", 404), ("v1/%f", 404), ("%%/v1/models", 404), ("%00", 400)],
)
def test_a_path_that_nobody_can_read_harms_nobody(
    wire: Wire,
    kubectl: Kubectl,
    new_user: Callable[[str], User],
    model: str,
    junk: str,
    status: int,
) -> None:
    # Authorino 0.27 dies of a path that it cannot parse, so no such path may reach it.
    before = authorino_restarts(kubectl)
    path = f"/{model}/{junk}"

    assert wire.request("GET", path).status == status
    assert wire.request("GET", path, token=new_user("premium").token).status == status
    # Whatever is not refused at once is sent to HTTPS, where the same happens.
    assert wire.plain_request("GET", path).status in {301, status}
    assert authorino_restarts(kubectl) == before


def condition(item: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return one condition of an object."""
    return next(entry for entry in item["status"]["conditions"] if entry["type"] == kind)
