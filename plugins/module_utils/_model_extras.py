# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Rendering what stands beside a model's servers: budgets, autoscalers, monitors. Pure."""

from __future__ import annotations

from typing import Any

from ._manifests import Manifest, manifest
from ._model import Autoscaling, Model
from ._model_pods import MAIN, PORT, workload_labels
from ._model_services import version_labels
from ._model_settings import ServingSettings
from ._names import MODEL_LABEL

#: Of each pod, by the metrics adapter of role observability.
_METRICS = {
    "requests": "maas_model_requests_in_flight",
    "queue": "maas_model_requests_waiting",
    "gpu": "maas_model_gpu_utilization",
}


def render_extras(model: Model, settings: ServingSettings) -> list[Manifest]:
    """Return what stands beside a model's servers; nothing where they are paused."""
    if model.state == "paused":
        return []
    extras = []
    for version in model.versions:
        if (version.least_copies or 0) > 1:
            extras.append(_render_budget(version))
        if version.autoscaling is not None:
            extras.append(_render_autoscaler(version, version.autoscaling))
    if settings.pod_monitor:
        extras.append(_render_monitor(model))
    return extras


def _render_budget(version: Model) -> Manifest:
    return manifest(
        "policy/v1",
        "PodDisruptionBudget",
        version.service,
        version.namespace,
        labels=version_labels(version),
        spec={
            "maxUnavailable": 1,
            "selector": {"matchLabels": workload_labels(version.service)},
        },
    )


def _render_autoscaler(version: Model, scaling: Autoscaling) -> Manifest:
    return manifest(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        version.service,
        version.namespace,
        labels=version_labels(version),
        spec={
            "scaleTargetRef": _scaled(version),
            "minReplicas": scaling.min,
            "maxReplicas": scaling.max,
            "metrics": [_render_metric(scaling)],
            "behavior": {
                "scaleDown": {"stabilizationWindowSeconds": scaling.scale_down_after_seconds}
            },
        },
    )


def _scaled(version: Model) -> dict[str, str]:
    """Return what KServe makes of an LLMInferenceService, by its name for it."""
    if version.nodes > 1:
        return {
            "apiVersion": "leaderworkerset.x-k8s.io/v1",
            "kind": "LeaderWorkerSet",
            "name": f"{version.service}-kserve-mn",
        }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{version.service}-kserve"}


def _render_metric(scaling: Autoscaling) -> dict[str, Any]:
    if scaling.signal == "cpu":
        # Of the server alone: what checks it beside it would dilute the average.
        target = {"type": "Utilization", "averageUtilization": scaling.target}
        resource = {"name": "cpu", "container": MAIN, "target": target}
        return {"type": "ContainerResource", "containerResource": resource}
    return {
        "type": "Pods",
        "pods": {
            "metric": {"name": _METRICS[scaling.signal]},
            "target": {"type": "AverageValue", "averageValue": str(scaling.target)},
        },
    }


def _render_monitor(model: Model) -> Manifest:
    services = [version.service for version in model.versions]
    return manifest(
        "monitoring.coreos.com/v1",
        "PodMonitor",
        model.name,
        model.namespace,
        labels={MODEL_LABEL: model.name},
        spec={
            "selector": {
                "matchLabels": {"kserve.io/component": "workload"},
                "matchExpressions": [
                    {"key": "app.kubernetes.io/name", "operator": "In", "values": services}
                ],
            },
            "podMetricsEndpoints": [
                {
                    "portNumber": PORT,
                    "path": "/metrics",
                    "interval": "15s",
                    "relabelings": [
                        {
                            "sourceLabels": ["__meta_kubernetes_pod_label_app_kubernetes_io_name"],
                            "targetLabel": "model",
                        }
                    ],
                }
            ],
        },
    )
