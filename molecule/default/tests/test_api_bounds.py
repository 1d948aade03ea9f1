# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The MaaS API where something is too much or broken: a flood of bad tokens, a bad catalog."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from api import Api
from cluster import Kubectl
from running_lab import Lab
from strays import run

testinfra_hosts = ["local://"]

NAMESPACE = "maas-api"
CATALOG = "tier-to-group-mapping"
FLOODERS = "maas-test-flood"
SECONDS = 30

Metric = Callable[[str], float]

# Brings so many tokens that are no good to the public Gateway, over one connection.
FLOOD = """
import http.client, json, socket, ssl, sys

address, port, host, count = json.loads(sys.argv[1])
context = ssl._create_unverified_context()
connection = http.client.HTTPSConnection(host, port, timeout=10, context=context)
raw = socket.create_connection((address, port), 10)
connection.sock = context.wrap_socket(raw, server_hostname=host)
statuses = []
for number in range(count):
    connection.request(
        "GET", "/maas-api/v1/me", headers={"Host": host, "Authorization": f"Bearer junk-{number}"}
    )
    answer = connection.getresponse()
    answer.read()
    statuses.append(answer.status)
print(json.dumps(statuses))
"""


@pytest.fixture(scope="module")
def metric(kubectl: Kubectl) -> Metric:
    """Return a number of the service's, of all replicas together."""

    def read(name: str) -> float:
        chosen = (f"--namespace={NAMESPACE}", "--selector=app.kubernetes.io/name=maas-api")
        total = 0.0
        for pod in kubectl.get("pods", *chosen)["items"]:
            path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}:8080/proxy"
            lines = kubectl("get", f"--raw={path}/metrics").splitlines()
            total += sum(
                float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")
            )
        return total

    return read


@pytest.fixture(scope="module")
def flood(kubectl: Kubectl, lab: Lab, metric: Metric) -> Iterator[tuple[list[int], float]]:
    """Let a pod flood the API; return its answers, and how often the API server was asked."""
    proxies = kubectl.get(
        "pods",
        "--all-namespaces",
        "--selector=gateway.envoyproxy.io/owning-gateway-name=maas-default-gateway",
        "--field-selector=status.phase=Running",
    )["items"]
    address = proxies[0]["status"]["podIP"]
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": FLOODERS}}
    kubectl.apply(namespace)
    name = 'maas_api_token_reviews_total{result="refused"}'
    before = metric(name)
    answers = run(kubectl, FLOODERS, FLOOD, [address, 10443, lab.host, 300])
    yield answers, metric(name) - before
    kubectl.delete(namespace)


def test_a_flood_of_bad_tokens_ends_before_the_api_server(flood: tuple[list[int], float]) -> None:
    answers, asked = flood
    assert answers[:120] == [401] * 120
    assert (set(answers[120:]), answers[-1]) == ({401, 429}, 429)
    # Two more a second are allowed while it goes on.
    assert 120 <= asked < 200


def test_nobody_else_is_held_up(api: Api, lab: Lab, flood: tuple[list[int], float]) -> None:
    assert 429 in flood[0]
    for user in ("alice", "bob"):
        assert api("GET", "/v1/me", token=lab.identity(user)).status == 200
    assert api("GET", "/v1/me", token="not-a-token").status == 401


@pytest.fixture
def catalog_map(kubectl: Kubectl) -> Iterator[dict[str, Any]]:
    """Return the catalog's ConfigMap; whatever a test does to it is undone."""
    found = kubectl.get("configmap", CATALOG, f"--namespace={NAMESPACE}")
    for name in ("managedFields", "resourceVersion", "uid", "creationTimestamp"):
        found["metadata"].pop(name, None)
    yield found
    write(kubectl, found)


def write(kubectl: Kubectl, config_map: dict[str, Any]) -> None:
    """Write it as the role tiers does, so that a later run of that finds nothing changed."""
    options = ("--server-side", "--field-manager=maas.platform", "--force-conflicts")
    kubectl("apply", *options, "--filename=-", manifest=config_map)


def soon(read: Callable[[], Any], wanted: Any) -> Any:
    """Return what is read, as soon as it is what is wanted or the time is over."""
    end = time.monotonic() + SECONDS
    while (seen := read()) != wanted and time.monotonic() < end:
        time.sleep(0.2)
    return seen


def test_a_bad_catalog_changes_nothing_and_is_told(
    kubectl: Kubectl, api: Api, metric: Metric, catalog_map: dict[str, Any]
) -> None:
    replicas = metric("maas_api_catalog_valid")
    assert replicas >= 1
    revision = api("GET", "/health").json()["revision"]
    known = events(kubectl)

    write(kubectl, {**catalog_map, "data": {**catalog_map["data"], "tiers": "- name: [free"}})

    assert soon(lambda: metric("maas_api_catalog_valid"), 0) == 0
    told = soon(lambda: len(events(kubectl).keys() - known.keys()) >= replicas, True)
    assert told is True
    event = next(event for name, event in events(kubectl).items() if name not in known)
    assert (event["type"], event["reason"]) == ("Warning", "CatalogRefused")
    assert event["involvedObject"]["kind"] == "ConfigMap"
    said = kubectl("logs", "deployment/maas-api", f"--namespace={NAMESPACE}", "--since=1m")
    assert "tier catalog refused" in [
        json.loads(line).get("event") for line in said.splitlines() if line.startswith("{")
    ]
    # Everybody is served as before, from the catalog before.
    assert api("GET", "/v1/me", "alice").json()["tier"] == "free"
    assert api("GET", "/health").json()["revision"] == revision
    assert api.mint(api.lab.identity("carol")).json()["tier"] == "premium"

    write(kubectl, catalog_map)

    assert soon(lambda: metric("maas_api_catalog_valid"), replicas) == replicas


def events(kubectl: Kubectl) -> dict[str, Any]:
    """Return the Events about the catalog, by their names."""
    chosen = f"--field-selector=involvedObject.name={CATALOG}"
    items = kubectl.get("events", f"--namespace={NAMESPACE}", chosen)["items"]
    return {item["metadata"]["name"]: item for item in items}
