# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from ansible_collections.maas.platform.plugins.module_utils._model_extras import render_extras
from ansible_collections.maas.platform.plugins.module_utils._model_namespaces import (
    render_namespaces,
)

from tests.unit.plugins.model_entries import model, settings


def _named(objects):
    return [(item["kind"], item["metadata"]["name"]) for item in objects]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"replicas": 1}, []),
        ({"replicas": 2}, [("PodDisruptionBudget", "m")]),
        ({"autoscaling": {"max": 2}}, [("HorizontalPodAutoscaler", "m")]),
        (
            {"autoscaling": {"min": 2, "max": 2}},
            [("PodDisruptionBudget", "m"), ("HorizontalPodAutoscaler", "m")],
        ),
        ({"autoscaling": {"min": 2, "max": 2}, "state": "paused"}, []),
        (
            {"replicas": 1, "canary": {"weight": 1, "replicas": 3}},
            [("PodDisruptionBudget", "m-canary")],
        ),
    ],
)
def test_what_stands_beside_the_servers(change, expected):
    assert _named(render_extras(model(**change), settings())) == expected


def test_a_budget_lets_one_pod_go_at_a_time():
    (budget,) = render_extras(model(replicas=2), settings())
    assert budget["spec"] == {
        "maxUnavailable": 1,
        "selector": {
            "matchLabels": {"app.kubernetes.io/name": "m", "kserve.io/component": "workload"}
        },
    }


@pytest.mark.parametrize(
    ("scaling", "metric"),
    [
        (
            {"target": 8},
            {
                "type": "Pods",
                "pods": {
                    "metric": {"name": "maas_model_requests_in_flight"},
                    "target": {"type": "AverageValue", "averageValue": "8"},
                },
            },
        ),
        (
            {"signal": "queue"},
            {
                "type": "Pods",
                "pods": {
                    "metric": {"name": "maas_model_requests_waiting"},
                    "target": {"type": "AverageValue", "averageValue": "4"},
                },
            },
        ),
        (
            {"signal": "gpu"},
            {
                "type": "Pods",
                "pods": {
                    "metric": {"name": "maas_model_gpu_utilization"},
                    "target": {"type": "AverageValue", "averageValue": "80"},
                },
            },
        ),
        (
            {"signal": "cpu", "target": 50},
            {
                "type": "ContainerResource",
                "containerResource": {
                    "name": "cpu",
                    "container": "main",
                    "target": {"type": "Utilization", "averageUtilization": 50},
                },
            },
        ),
    ],
)
def test_a_model_scales_by_its_signal(scaling, metric):
    (scaler,) = render_extras(model(gpus=1, autoscaling={"max": 3, **scaling}), settings())
    assert scaler["spec"] == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "m-kserve"},
        "minReplicas": 1,
        "maxReplicas": 3,
        "metrics": [metric],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
    }


def test_groups_of_pods_are_scaled_as_groups():
    cut = {"parallelism": {"pipeline": 2}, "nodes": 2, "autoscaling": {"max": 2}}
    (scaler,) = render_extras(model(**cut), settings())
    assert scaler["spec"]["scaleTargetRef"] == {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "name": "m-kserve-mn",
    }


def test_a_monitor_finds_both_versions():
    canary = {"canary": {"weight": 1, "gpus": 1}}
    (monitor,) = render_extras(model(**canary), settings(pod_monitor=True))
    (chosen,) = monitor["spec"]["selector"]["matchExpressions"]
    assert chosen["values"] == ["m", "m-canary"]


def test_namespaces_come_first_and_are_guarded():
    models = [model(namespace="b"), model(name="n", namespace="a"), model(name="o", namespace="a")]
    objects = render_namespaces(models, settings(network_peers=[{"podSelector": {}}]))
    assert _named(objects) == [
        ("Namespace", "a"),
        ("Namespace", "b"),
        ("NetworkPolicy", "maas-models"),
        ("NetworkPolicy", "maas-models"),
    ]
    assert objects[0]["metadata"]["labels"]["maas.platform/models"] == "true"
    (rule,) = objects[2]["spec"]["ingress"]
    assert rule["ports"] == [{"port": 8000, "protocol": "TCP"}]
    assert rule["from"] == [
        {
            "namespaceSelector": {
                "matchLabels": {"kubernetes.io/metadata.name": "envoy-gateway-system"}
            },
            "podSelector": {
                "matchLabels": {
                    "gateway.envoyproxy.io/owning-gateway-name": "maas-internal",
                    "gateway.envoyproxy.io/owning-gateway-namespace": "maas-gateway",
                }
            },
        },
        {"podSelector": {}},
    ]


def test_openshift_s_gateway_has_its_own_pods():
    openshift = settings(provider="openshift", gateway_namespace="openshift-ingress")
    guard = render_namespaces([model()], openshift)[1]
    assert guard["spec"]["ingress"][0]["from"] == [
        {
            "namespaceSelector": {
                "matchLabels": {"kubernetes.io/metadata.name": "openshift-ingress"}
            },
            "podSelector": {
                "matchLabels": {"gateway.networking.k8s.io/gateway-name": "maas-internal"}
            },
        }
    ]
