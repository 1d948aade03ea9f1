# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Inside the cluster: what a stray pod reaches, and what the MaaS API's account may do."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from cluster import Kubectl
from strays import NAME, knock

testinfra_hosts = ["local://"]

API_ACCOUNT = "system:serviceaccount:maas-api:maas-api"

# Whom not just any pod may reach: namespace, what the pods' names start with, and the port.
PRIVATE = {
    "the MaaS API's tier lookup": ("maas-api", "maas-api-", 8080),
    "the internal Gateway": ("envoy-gateway-system", "envoy-maas-gateway-maas-internal", 8080),
    "a model": ("llm", "gemma-kserve", 8000),
    "another model": ("llm", "gemma-large-kserve", 8000),
    "Authorino's checks": ("kuadrant-system", "authorino-", 50051),
    "Limitador's checks": ("kuadrant-system", "limitador-limitador", 8081),
    "Limitador's counters": ("kuadrant-system", "limitador-limitador", 8080),
    "Prometheus": ("maas-observability", "prometheus-", 9090),
}
PUBLIC = ("envoy-gateway-system", "envoy-maas-gateway-maas-default-gateway", 10443)


@pytest.fixture(scope="module")
def heard(kubectl: Kubectl) -> Iterator[dict[str, str]]:
    """Let a pod that nobody knows knock at every door; return which were open."""
    pods = kubectl.get("pods", "--all-namespaces", "--field-selector=status.phase=Running")["items"]

    def address(namespace: str, start: str, port: int) -> tuple[str, int]:
        found = [
            pod["status"]["podIP"]
            for pod in pods
            if pod["metadata"]["namespace"] == namespace
            and pod["metadata"]["name"].startswith(start)
        ]
        assert found, f"no pod {namespace}/{start}*"
        return found[0], port

    targets = {name: address(*where) for name, where in (PRIVATE | {"public": PUBLIC}).items()}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}}
    kubectl.apply(namespace)
    yield knock(kubectl, NAME, targets)
    kubectl.delete(namespace)


@pytest.mark.parametrize("door", PRIVATE)
def test_a_stray_pod_finds_the_door_closed(heard: dict[str, str], door: str) -> None:
    assert heard[door] == "closed"


def test_a_stray_pod_reaches_the_public_gateway_like_everybody(heard: dict[str, str]) -> None:
    assert heard["public"] == "open"


# What the MaaS API may do, beyond what every account may: a verb, a resource, and a name where
# it is bound to one. Whatever is not here, it cannot: no secrets, no pods, no rights to give.
EVERYWHERE = {"create tokenreviews.authentication.k8s.io"}
ACCOUNTS = {f"{verb} serviceaccounts" for verb in ("delete", "get", "list", "patch", "watch")}
MINTING = {"create serviceaccounts", "create serviceaccounts/token"}
MAY = {
    "maas-default-gateway-tier-free": ACCOUNTS | MINTING,
    "maas-default-gateway-tier-enterprise": ACCOUNTS | MINTING,
    "maas-api": {
        "get configmaps tier-to-group-mapping",
        "list configmaps tier-to-group-mapping",
        "watch configmaps tier-to-group-mapping",
        "create events",
    },
    "maas-gateway": {
        "get authpolicies.kuadrant.io gateway-auth-policy",
        "get ratelimitpolicies.kuadrant.io gateway-rate-limits",
        "get tokenratelimitpolicies.kuadrant.io gateway-token-rate-limits",
    },
    "llm": {f"{verb} llminferenceservices.serving.kserve.io" for verb in ("get", "list", "watch")},
    "default": set(),
    "kube-system": set(),
    "kuadrant-system": set(),
    "envoy-gateway-system": set(),
}


@pytest.mark.parametrize("namespace", MAY)
def test_the_maas_api_may_do_this_and_no_more(kubectl: Kubectl, namespace: str) -> None:
    may = rules(kubectl, API_ACCOUNT, namespace)
    anybody = rules(kubectl, "system:serviceaccount:maas-test-nowhere:nobody", namespace)
    assert may - anybody == MAY[namespace] | EVERYWHERE


def rules(kubectl: Kubectl, account: str, namespace: str) -> set[str]:
    """Ask the API server what an account may do in a namespace."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    own = f"system:serviceaccounts:{account.split(':')[2]}"
    groups = ("system:serviceaccounts", own, "system:authenticated")
    answer = kubectl(
        "create",
        f"--as={account}",
        *(f"--as-group={group}" for group in groups),
        "--validate=false",
        "--filename=-",
        "--output=json",
        manifest=review,
    )
    return {
        " ".join([verb, f"{resource}.{group}".rstrip("."), name]).rstrip()
        for rule in json.loads(answer)["status"]["resourceRules"]
        for verb in rule["verbs"]
        for group in rule.get("apiGroups", [""])
        for resource in rule.get("resources", [])
        for name in rule.get("resourceNames", [""])
    }
