# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What model_info says of models in every state, on a cluster in memory."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._serving_convergence import (
    Serving,
    ServingRun,
)
from ansible_collections.maas.platform.plugins.module_utils._serving_wishes import (
    make_wishes,
    shared_objects,
)
from ansible_collections.maas.platform.plugins.modules import model_info

from tests.unit.plugins.fake_serving import FakeServing, crashing
from tests.unit.plugins.model_entries import model, settings

START = datetime(2026, 11, 23, 8, 0, 0, tzinfo=UTC)
GPU = "nvidia.com/gpu"
_LIMIT = [{"limit": 5, "windowSeconds": 120}]
_URL = "https://maas.example.com"
_PARAMS = {
    "name": None,
    "namespace": None,
    "models": [],
    "model_defaults": {},
    "url": _URL,
    "gateway_namespace": "maas-gateway",
    "api_namespace": "maas-api",
}


class Cluster(FakeServing):
    """A cluster that models are converged on, and that is then asked for them."""

    def __init__(self):
        super().__init__()
        self.add("v1", "Node", "nodes", "n1")
        labels = self.objects["/api/v1/nodes/n1"]["metadata"].setdefault("labels", {})
        labels["maas.platform/pool"] = "h100"

    def converge(self, *changes):
        wanted, how = [model(**change) for change in changes], settings()
        run = ServingRun(wait_seconds=20)
        shared, wishes = shared_objects(wanted, how), make_wishes(wanted, how)
        for group in shared:
            for item in group:
                if item["kind"] == "Namespace":
                    self.add("v1", "Namespace", "namespaces", item["metadata"]["name"])
        Serving(self.cluster(), run, lambda: START).converge([], wishes)
        for path, item in self.objects.items():
            if "/pods/" in path:
                item["spec"] = (
                    {**item["spec"]["spec"], "nodeName": "n1"}
                    if ("spec" in item["spec"])
                    else {**item["spec"], "nodeName": "n1"}
                )

    def info(self, **options):
        return model_info.run({**_PARAMS, **options}, self.cluster(), lambda: START)

    def one(self, name="m"):
        (found,) = self.info(name=name)["models"]
        return found


@pytest.fixture
def cluster():
    return Cluster()


def test_a_model_that_serves_is_told_whole(cluster):
    cluster.converge({"gpus": 2, "replicas": 2, "pool": "h100"})
    assert cluster.one() == {
        "namespace": "llm",
        "name": "m",
        "state": "serving",
        "until": "",
        "url": f"{_URL}/llm/m/v1",
        "replicas": {"wanted": 2, "ready": 2},
        "canary": {},
        "autoscaling": {},
        "gpus": {"asked": 4, "used": 4},
        "nodes": ["n1"],
        "pools": ["h100"],
        "tiers": [],
        "proven": True,
        "error": "",
    }
    assert not cluster.info()["changed"]


def test_amounts_that_the_api_server_writes_otherwise_are_the_same_version(cluster):
    cluster.converge({"gpus": 1})
    main = cluster.service("m")["spec"]["template"]["containers"][0]
    main["resources"]["limits"][GPU] = str(main["resources"]["limits"][GPU])
    assert cluster.one()["proven"]


def test_a_canary_says_its_share(cluster):
    cluster.converge({"replicas": 2, "canary": {"weight": 10, "uri": "hf://x/z"}})
    found = cluster.one()
    assert found["canary"] == {
        "weight": 10,
        "ready": True,
        "replicas": {"wanted": 1, "ready": 1},
        "proven": True,
        "error": "",
    }
    assert [it["name"] for it in cluster.info()["models"]] == ["m"]
    assert "2/2 + 10 % canary" in cluster.info()["table"][1]


def test_autoscaling_is_told(cluster):
    cluster.converge({"autoscaling": {"min": 1, "max": 4}})
    found = cluster.one()["autoscaling"]
    assert found == {"min": 1, "max": 4, "current": 0, "desired": 0}


def test_a_paused_model_has_no_copies(cluster):
    cluster.converge({})
    cluster.converge({"state": "paused"})
    found = cluster.one()
    assert (found["state"], found["replicas"]) == ("paused", {"wanted": 0, "ready": 0})


def test_a_retired_model_says_until_when(cluster):
    cluster.converge({})
    cluster.converge({"state": "retired", "retire_after": "2h"})
    found = cluster.one()
    assert (found["state"], found["until"]) == ("retired", "2026-11-23T10:00:00Z")
    assert found["error"] == ""


def test_a_first_version_that_crashes_failed_and_says_why(cluster):
    image = settings().engines["llama.cpp"].image
    cluster.broken[image] = crashing(3, "error: no such file")
    cluster.converge({})
    found = cluster.one()
    assert (found["state"], found["proven"]) == ("failed", False)
    assert "error: no such file" in found["error"]


def test_a_model_that_loads_is_starting_and_one_that_lost_pods_degraded(cluster):
    cluster.converge({"replicas": 2})
    deployment = "/apis/apps/v1/namespaces/llm/deployments/m-kserve"
    cluster.objects[deployment]["status"]["availableReplicas"] = 1
    assert cluster.one()["state"] == "degraded"
    cluster.objects[deployment]["status"]["availableReplicas"] = 0
    assert cluster.one()["state"] == "starting"
    assert cluster.one()["error"]


def test_a_model_without_its_route_is_degraded(cluster):
    cluster.converge({})
    del cluster.objects["/apis/gateway.networking.k8s.io/v1/namespaces/llm/httproutes/m"]
    found = cluster.one()
    assert (found["state"], found["error"]) == ("degraded", "HTTPRoute llm/m is not there")


def test_what_is_missing_and_what_others_made_is_told(cluster):
    cluster.converge({})
    cluster.service("m")["metadata"]["labels"] = {}
    wanted = [{"name": "gone", "uri": "hf://x/y"}, {"name": "over", "uri": "x", "state": "absent"}]
    wanted[1]["uri"] = "hf://x/y"
    wanted.append({"name": "old", "uri": "hf://x/y", "state": "retired"})
    states = {it["name"]: it["state"] for it in cluster.info(models=wanted)["models"]}
    assert states == {"gone": "missing", "m": "unmanaged"}


def test_tiers_are_those_of_the_catalog(cluster):
    tier = {
        "name": "free",
        "displayName": "Free",
        "description": "",
        "level": 0,
        "groups": [],
        "namespace": "maas-default-gateway-tier-free",
        "enabled": True,
        "priority": 0,
        "models": [{"namespace": "llm", "name": "m"}],
        "token": {"defaultTtlSeconds": 600, "maxTtlSeconds": 600},
        "limits": {"requests": _LIMIT, "tokens": _LIMIT, "models": []},
    }
    closed = {**tier, "name": "closed", "level": 1, "enabled": False}
    closed["namespace"] = "maas-default-gateway-tier-closed"
    data = {"tiers": json.dumps([tier, closed])}
    cluster.add("v1", "ConfigMap", "configmaps", "tier-to-group-mapping", "maas-api", data=data)
    cluster.converge({})
    assert cluster.one()["tiers"] == ["free"]


def test_the_gateway_says_the_host_and_nobody_else(cluster):
    cluster.converge({})
    assert cluster.info(url="")["models"][0]["url"] == ""
    cluster.add(
        "gateway.networking.k8s.io/v1",
        "Gateway",
        "gateways",
        "maas-default-gateway",
        "maas-gateway",
        spec={"listeners": [{"name": "https", "hostname": "maas.lab.test"}]},
    )
    assert cluster.info(url="")["models"][0]["url"] == "https://maas.lab.test/llm/m/v1"


def test_an_unknown_name_is_refused_with_the_nearest(cluster):
    cluster.converge({"name": "gemma"})
    with pytest.raises(MaasError, match="did you mean gemma"):
        cluster.info(name="gema")


def test_models_that_are_not_valid_are_refused(cluster):
    with pytest.raises(MaasError, match="maas_models is not valid"):
        cluster.info(models=[{"name": "m"}])


def test_an_empty_cluster_has_no_models():
    found = FakeServing().cluster()
    assert model_info.run(_PARAMS, found, lambda: START)["models"] == []
