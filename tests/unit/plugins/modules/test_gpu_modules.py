# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy

import pytest
from ansible_collections.maas.platform.plugins.module_utils._drift import merge
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import Cluster
from ansible_collections.maas.platform.plugins.modules import (
    gpu_info,
    gpu_operator_info,
    gpu_pools,
)

GPU = "nvidia.com/gpu"
POOLS = [
    {
        "name": "lab",
        "selector": {"kind": "gpu"},
        "labels": {"team": "ml"},
        "taints": [{"key": "gpu", "effect": "NoSchedule"}],
    }
]


class NodesApi:
    """Answers for nodes and pods, and knows nothing else."""

    def __init__(self, *nodes, pods=()):
        self.nodes = {item["metadata"]["name"]: item for item in nodes}
        self.pods = list(pods)
        self.slept = 0.0
        self.patches = []
        self.lost_races = 0
        self.on_sleep = lambda: None

    def cluster(self):
        return Cluster(self, "https://fake", self._sleep, lambda: self.slept)

    def _sleep(self, seconds):
        self.slept += seconds
        self.on_sleep()

    def __call__(self, method, path, query, body, content_type):
        if method == "PATCH":
            return self._patch(path.rsplit("/", 1)[1], query, body, content_type)
        if path == "/api/v1/nodes":
            return 200, {"items": copy.deepcopy(list(self.nodes.values()))}
        if path.startswith("/api/v1/nodes/"):
            return 200, copy.deepcopy(self.nodes[path.rsplit("/", 1)[1]])
        if path.endswith("/pods"):
            return 200, {"items": copy.deepcopy(self.pods)}
        if path.startswith(("/api/v1/", "/apis/apps/v1/")):
            return 200, {"items": []}
        return 404, "404 page not found\n"

    def _patch(self, name, query, body, content_type):
        assert content_type == "application/merge-patch+json"
        item = self.nodes[name]
        if self.lost_races:
            self.lost_races -= 1
            item["metadata"]["resourceVersion"] = str(int(item["metadata"]["resourceVersion"]) + 1)
        if body["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
            return 409, {"reason": "Conflict", "message": "the object has been modified"}
        changed = merge(item, body)
        if ("dryRun", "All") not in query:
            self.patches.append(name)
            self.nodes[name] = changed
        return 200, copy.deepcopy(changed)


def node(name="a", gpus=4, well=None, **labels):
    return {
        "metadata": {"name": name, "resourceVersion": "7", "labels": {"kind": "gpu", **labels}},
        "spec": {},
        "status": {
            "capacity": {GPU: str(gpus)},
            "allocatable": {GPU: str(gpus if well is None else well)},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def mark(api, check_mode=False, **options):
    params = {
        "pools": POOLS,
        "state": "present",
        "sharing_labels": True,
        "wait": False,
        "wait_timeout": 60,
        "operator_namespace": "gpu-operator",
        **options,
    }
    return gpu_pools.run(params, api.cluster(), check_mode)


def test_nodes_are_marked_once_and_given_back():
    api = NodesApi(node(), node("b"), node("c", kind="cpu"))
    before = copy.deepcopy(api.nodes)
    planned = mark(api, check_mode=True)
    assert (planned["changed"], api.nodes) == (True, before)
    done = mark(api)
    assert done["nodes"] == planned["nodes"]
    assert [found["name"] for found in done["nodes"]] == ["a", "b"]
    assert api.nodes["a"]["metadata"]["labels"]["team"] == "ml"
    assert api.nodes["a"]["spec"]["taints"] == [{"key": "gpu", "effect": "NoSchedule"}]
    assert [part["before"]["taints"] for part in done["diff"]] == [[], []]
    assert not mark(api)["changed"]
    assert mark(api, state="absent")["changed"]
    assert not mark(api, state="absent")["changed"]
    for name, item in before.items():
        assert api.nodes[name]["metadata"]["labels"] == item["metadata"]["labels"]
        assert not api.nodes[name]["spec"].get("taints")


def test_a_node_that_changes_meanwhile_is_read_again():
    api = NodesApi(node())
    api.lost_races = 2
    assert mark(api)["changed"]
    assert api.nodes["a"]["metadata"]["labels"]["maas.platform/pool"] == "lab"


@pytest.mark.parametrize(
    ("pools", "words"),
    [
        ([*POOLS, {"name": "two", "selector": {"size": "big"}}], "node a is in pools lab, two"),
        ([{"name": "far", "selector": {"kind": "tpu"}}], "pool far: no node has the labels"),
        ([{**POOLS[0], "labels": {"size": "small"}}], 'label size is "big" there'),
    ],
)
def test_what_does_not_fit_is_refused_before_any_change(pools, words):
    api = NodesApi(node(size="big"), node("b"))
    with pytest.raises(MaasError) as caught:
        mark(api, pools=pools)
    assert words in str(caught.value)
    assert api.patches == []


def test_it_waits_until_all_nodes_offer_gpus():
    api = NodesApi(node(), node("b", gpus=0))

    def plug_in():
        api.nodes["b"]["status"] = node()["status"]

    api.on_sleep = plug_in
    assert mark(api, wait=True)["lacking"] == []
    assert api.slept > 0


def test_after_the_wait_each_node_says_what_it_lacks():
    api = NodesApi(node(), node("b", gpus=2, well=0))
    with pytest.raises(MaasError) as caught:
        mark(api, wait=True)
    assert caught.value.problems == [
        "node b, pool lab: all 2 nvidia.com/gpu are ill, says the device plugin"
    ]


def test_devices_that_are_ill_are_told_and_not_waited_for():
    api = NodesApi(node(well=3))
    assert mark(api, wait=True)["lacking"] == [
        "node a, pool lab: 1 of 4 nvidia.com/gpu are ill, says the device plugin"
    ]
    assert api.slept == 0


def info(api, **options):
    params = {
        "pools": POOLS,
        "models": [],
        "model_defaults": {},
        "model_namespace": "llm",
        "gpu_resource": GPU,
        "operator_namespace": "gpu-operator",
        **options,
    }
    return gpu_info.run(params, api.cluster())


def test_gpus_are_counted_with_what_is_taken_and_ill():
    pod = {
        "metadata": {"namespace": "jobs", "name": "train"},
        "spec": {"nodeName": "a", "containers": [{"resources": {"limits": {GPU: "2"}}}]},
        "status": {"phase": "Running"},
    }
    models = [{"name": "m", "uri": "hf://x/y", "gpus": 1, "replicas": 2, "pool": "lab"}]
    found = info(NodesApi(node(well=3), pods=[pod]), models=models)
    assert found["nodes"] == [
        {
            "name": "a",
            "pool": "lab",
            "resource": GPU,
            "capacity": 4,
            "allocatable": 3,
            "taken": 2,
            "usable": True,
            "lacks": ["1 of 4 nvidia.com/gpu are ill, says the device plugin"],
        }
    ]
    assert [(pool["others"], pool["asked"], pool["left"]) for pool in found["pools"]] == [
        (2, 2, -1)
    ]
    assert len(found["problems"]) == 1
    assert not found["changed"]


def test_models_that_are_not_valid_are_refused():
    with pytest.raises(MaasError, match="maas_models is not valid"):
        info(NodesApi(node()), models=[{"name": "m"}])


def test_a_cluster_without_gpus_is_not_asked_for_its_pods():
    api = NodesApi({**node(), "status": {"conditions": []}})
    assert info(api, pools=[])["nodes"] == []


def test_conflicts_are_read_from_the_cluster():
    params = {
        "provider": "nvidia",
        "pools": POOLS,
        "discovery": True,
        "operator_namespace": "gpu-operator",
        "discovery_namespace": "node-feature-discovery",
    }
    found = gpu_operator_info.run(params, NodesApi(node()).cluster())
    assert (found["driver"], found["unseen"], found["changed"]) == ("unknown", ["a"], False)
    assert len(found["conflicts"]) == 1
    assert "node a offers 4 nvidia.com/gpu already" in found["conflicts"][0]
