# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from ansible_collections.maas.platform.plugins.module_utils._gpu_checks import (
    Scene,
    Wish,
    conflicts,
    find_driver,
)
from ansible_collections.maas.platform.plugins.module_utils._gpu_nodes import (
    asked_by,
    lacks,
    read_node,
)
from ansible_collections.maas.platform.plugins.module_utils._names import MANAGED_LABELS
from ansible_collections.maas.platform.plugins.module_utils._pools import Pool

GPU = "nvidia.com/gpu"
SEEN = {"feature.node.kubernetes.io/pci-10de.present": "true"}
POOL = Pool("big", {"pool": "big"})
WISH = Wish("nvidia", True, "gpu-operator", "node-feature-discovery")


def node(name="a", capacity=None, allocatable=None, labels=SEEN, ready="True"):
    return read_node(
        {
            "metadata": {"name": name, "labels": {"pool": "big", **labels}},
            "spec": {},
            "status": {
                "capacity": {"cpu": "2"} | ({} if capacity is None else {GPU: capacity}),
                "allocatable": {} if allocatable is None else {GPU: allocatable},
                "conditions": [{"type": "Ready", "status": ready, "message": "kubelet is away"}],
            },
        }
    )


def operator_pod(app, reason=None, ready="False"):
    state = {"waiting": {"reason": reason, "message": "no such image"}} if reason else {}
    return {
        "metadata": {"name": f"{app}-x", "namespace": "gpu-operator", "labels": {"app": app}},
        "spec": {"nodeName": "a", "containers": []},
        "status": {
            "conditions": [{"type": "Ready", "status": ready}],
            "containerStatuses": [{"state": state}],
        },
    }


def test_a_node_that_offers_all_it_has_lacks_nothing():
    assert lacks(node(capacity="4", allocatable="4"), POOL) == []


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (node(ready="False"), ["it is not Ready: kubelet is away"]),
        (
            node(capacity="4", allocatable="3"),
            ["1 of 4 nvidia.com/gpu are ill, says the device plugin"],
        ),
        (
            node(capacity="4", allocatable="0"),
            ["all 4 nvidia.com/gpu are ill, says the device plugin"],
        ),
        (
            node(capacity="0", allocatable="0"),
            ["the device plugin for nvidia.com/gpu is gone, or found no device"],
        ),
        (node(), ["no device plugin has registered nvidia.com/gpu with its kubelet"]),
        (
            node(labels={}),
            [
                "Node Feature Discovery has not labelled it: does its worker run there?",
                "no device plugin has registered nvidia.com/gpu with its kubelet",
            ],
        ),
        (
            node(labels={"feature.node.kubernetes.io/pci-1002.present": "true"}),
            [
                "Node Feature Discovery finds no NVIDIA device on its PCI bus",
                "no device plugin has registered nvidia.com/gpu with its kubelet",
            ],
        ),
        (
            node(labels={**SEEN, "nvidia.com/gpu.deploy.operands": "false"}),
            [
                "label nvidia.com/gpu.deploy.operands=false keeps the operator's parts off it",
                "no device plugin has registered nvidia.com/gpu with its kubelet",
            ],
        ),
    ],
)
def test_what_a_node_lacks_is_said(found, words):
    assert lacks(found, POOL) == words


def test_the_operators_pods_say_which_step_fails():
    pods = [
        operator_pod("nvidia-device-plugin-daemonset"),
        operator_pod("nvidia-driver-daemonset", "ImagePullBackOff"),
        operator_pod("nvidia-container-toolkit-daemonset", ready="True"),
    ]
    assert lacks(node(), POOL, pods) == [
        "driver: pod nvidia-driver-daemonset-x: ImagePullBackOff: no such image",
        "device plugin: pod nvidia-device-plugin-daemonset-x is not ready yet",
        "no device plugin has registered nvidia.com/gpu with its kubelet",
    ]


def test_a_pod_holds_what_runs_or_what_starts_whichever_is_more():
    pod = {
        "spec": {
            "containers": [{"resources": {"limits": {GPU: "1"}}}, {"resources": {}}],
            "initContainers": [{"resources": {"requests": {GPU: 2}}}],
        }
    }
    assert (asked_by(pod, GPU), asked_by(pod, "amd.com/gpu")) == (2, 0)


def daemon_set(name, namespace, image="x", path="/var/lib/kubelet/device-plugins"):
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "template": {
                "spec": {
                    "containers": [{"image": image}],
                    "volumes": [{"hostPath": {"path": path}}],
                }
            }
        },
    }


def namespace(name, ours):
    labels = dict(MANAGED_LABELS) if ours else {}
    return {"metadata": {"name": name, "labels": labels}}


def policy(home, enabled=True):
    annotations = {"meta.helm.sh/release-namespace": home}
    return {
        "metadata": {"name": "cluster-policy", "annotations": annotations},
        "spec": {"driver": {"enabled": enabled}},
    }


def test_an_empty_cluster_has_no_conflict():
    assert conflicts(WISH, Scene(nodes=[node()]), {"big": POOL}) == []


@pytest.mark.parametrize(
    ("scene", "words"),
    [
        (Scene(cluster_policies=[policy("theirs")]), "ClusterPolicy cluster-policy is there"),
        (
            # The same name, and not made here.
            Scene(
                cluster_policies=[policy("gpu-operator")],
                namespaces=[namespace("gpu-operator", ours=False)],
            ),
            "ClusterPolicy cluster-policy is there",
        ),
        (
            Scene(daemon_sets=[daemon_set("nvidia-device-plugin", "kube-system")]),
            "DaemonSet kube-system/nvidia-device-plugin is a device plugin",
        ),
        (Scene(nodes=[node(capacity="4")]), "node a offers 4 nvidia.com/gpu already"),
        (
            Scene(daemon_sets=[daemon_set("w", "nfd", "r/node-feature-discovery:v1", "/sys")]),
            "DaemonSet nfd/w: somebody else runs Node Feature Discovery",
        ),
    ],
)
def test_what_others_run_is_named(scene, words):
    (found,) = conflicts(WISH, scene, {"big": POOL})
    assert found.startswith(words)


def test_what_we_installed_is_no_conflict():
    scene = Scene(
        nodes=[node(capacity="4")],
        namespaces=[
            namespace("gpu-operator", ours=True),
            namespace("node-feature-discovery", ours=True),
        ],
        daemon_sets=[
            daemon_set("nvidia-device-plugin-daemonset", "gpu-operator"),
            daemon_set("w", "node-feature-discovery", "r/node-feature-discovery:v1", "/sys"),
            daemon_set("rdma", "kube-system", "r/k8s-rdma:v1"),
        ],
        cluster_policies=[policy("gpu-operator")],
    )
    assert conflicts(WISH, scene, {"big": POOL}) == []


def test_without_an_operator_of_ours_theirs_may_be_there():
    scene = Scene(
        nodes=[node(capacity="4")],
        daemon_sets=[daemon_set("nvidia-device-plugin", "kube-system")],
        cluster_policies=[policy("theirs")],
    )
    wish = Wish("none", False, "gpu-operator", "node-feature-discovery")
    assert conflicts(wish, scene, {"big": POOL}) == []


def test_pools_have_to_fit_provider_and_cluster():
    claims = Pool("c", {"a": "b"}, sharing="dra", device_class="gpu.nvidia.com", resource="")
    amd = Pool("m", {"a": "c"}, resource="amd.com/gpu")
    found = conflicts(WISH, Scene(claims=False), {"c": claims, "m": amd})
    assert [line.partition(":")[0] for line in found] == ["pool c", "pool m"]


def features(name, *modules):
    flags = {"kernel.loadedmodule": {"elements": {name: {} for name in modules}}}
    return {"metadata": {"name": name}, "spec": {"features": {"flags": flags}}}


@pytest.mark.parametrize(
    ("found", "driver", "problems"),
    [
        ([], "unknown", 0),
        ([features("a", "nvidia")], "unknown", 0),
        ([features("a"), features("b")], "operator", 0),
        ([features("a", "nvidia"), features("b", "nvidia", "kvm")], "host", 0),
        ([features("a", "nvidia"), features("b")], "unknown", 1),
    ],
)
def test_the_nodes_own_drivers_are_found(found, driver, problems):
    scene = Scene(nodes=[node("a"), node("b")], features=found)
    said = find_driver(WISH, scene, {"big": POOL})
    assert (said.driver, len(said.problems)) == (driver, problems)


def test_a_driver_that_the_operator_loaded_stays_the_operators():
    scene = Scene(
        nodes=[node()], features=[features("a", "nvidia")], cluster_policies=[policy("x")]
    )
    assert find_driver(WISH, scene, {"big": POOL}).driver == "operator"
