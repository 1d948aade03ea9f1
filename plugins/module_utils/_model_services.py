# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Rendering the LLMInferenceServices of a model, and what they need. Pure."""

from __future__ import annotations

from typing import Any

from ._manifests import Manifest, manifest
from ._model import Model
from ._model_pods import claim_name, merge_spec, render_pods
from ._model_settings import ServingSettings
from ._names import CANARY_LABEL, MODEL_LABEL, SERVING_GROUP

#: Names the Secret with what a download needs, in the model's namespace.
STORAGE_SECRET_ANNOTATION = "serving.kserve.io/storageSecretName"  # noqa: S105 - a name
#: Where KServe's own container downloads from.
_DOWNLOADED = ("hf://", "s3://")


def render_services(model: Model, settings: ServingSettings) -> list[Manifest]:
    """Return a model's LLMInferenceServices in the order to apply, after what they need.

    Whether the model is paused or retired makes no difference here.
    """
    return [
        item
        for version in model.versions
        for item in (*_render_needs(version, settings), render_service(version, settings))
    ]


def render_service(version: Model, settings: ServingSettings) -> Manifest:
    """Return the LLMInferenceService of one version.

    It has no router: KServe's own routes would expose more than callers may reach.
    """
    spec: dict[str, Any] = {"model": {"uri": version.uri, "name": version.name}}
    if version.replicas is not None:
        spec["replicas"] = version.replicas
    if not version.storage_initializer:
        spec["storageInitializer"] = {"enabled": False}
    if version.nodes > 1:
        spec["parallelism"] = _render_parallelism(version)
    spec |= render_pods(version, settings)
    return manifest(
        f"{SERVING_GROUP}/{settings.serving_version}",
        "LLMInferenceService",
        version.service,
        version.namespace,
        labels=version_labels(version),
        annotations=_annotations(version),
        spec=merge_spec(spec, version.spec),
    )


def version_labels(version: Model) -> dict[str, str]:
    """Return what marks an object as a model's, or as its canary's.

    On objects only: KServe would put a spec's labels into its Deployment's selector, which
    cannot change.
    """
    labels = {MODEL_LABEL: version.name}
    return {**labels, CANARY_LABEL: "true"} if version.is_canary else labels


def _annotations(version: Model) -> dict[str, str]:
    downloads = version.storage_initializer and version.uri.startswith(_DOWNLOADED)
    if version.storage_secret is None or not downloads:
        return {}
    return {STORAGE_SECRET_ANNOTATION: version.storage_secret}


def _render_parallelism(version: Model) -> dict[str, int]:
    """Return what KServe reads the number of nodes from."""
    cut = version.parallelism
    if cut is not None and cut.data > 1:
        local = cut.data // version.nodes
        return {"tensor": cut.tensor, "data": cut.data, "dataLocal": local}
    return {"tensor": cut.tensor if cut else 1, "pipeline": version.nodes}


def _render_needs(version: Model, settings: ServingSettings) -> list[Manifest]:
    needs = []
    pool = settings.pools.get(version.pool or "")
    if version.gpus and pool is not None and pool.device_class:
        device = {
            "deviceClassName": pool.device_class,
            "allocationMode": "ExactCount",
            "count": version.gpus,
        }
        requests = [{"name": "gpu", "exactly": device}]
        needs.append(
            manifest(
                "resource.k8s.io/v1",
                "ResourceClaimTemplate",
                claim_name(version),
                version.namespace,
                labels=version_labels(version),
                spec={"spec": {"devices": {"requests": requests}}},
            )
        )
    if version.nodes > 1:
        needs.append(_render_group_policy(version))
    return needs


def _render_group_policy(version: Model) -> Manifest:
    """Let the pods of one server talk to each other; others see its first one's port only."""
    group = {
        "matchLabels": {
            "app.kubernetes.io/name": version.service,
            "app.kubernetes.io/part-of": "llminferenceservice",
        }
    }
    return manifest(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        f"{version.service}-nodes",
        version.namespace,
        labels=version_labels(version),
        spec={
            "podSelector": group,
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": group}]}],
        },
    )
