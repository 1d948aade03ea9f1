# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Rendering a model's route: the only way in. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ._manifests import Manifest, manifest
from ._model import Model
from ._model_pods import PORT
from ._model_retirement import error_body, render_deadline, retirement_headers
from ._model_settings import OPENSHIFT, ServingSettings
from ._names import ACCOUNT_HEADER, INTERNAL_GATEWAY, MODEL_LABEL, PASSED_HEADER

_GATEWAY_GROUP = "gateway.networking.k8s.io"
_ENVOY_GROUP = "gateway.envoyproxy.io"


@dataclass(frozen=True)
class Stage:
    """Where a model's requests are to go at this moment of a run."""

    #: Whether the canary gets its share; without, the model gets all of them.
    canary: bool = False
    paused: bool = False
    #: Of a retired model: when that was announced, and until when it answers.
    since: datetime | None = None
    until: datetime | None = None


def render_route(
    model: Model, settings: ServingSettings, stage: Stage | None = None
) -> list[Manifest]:
    """Return a model's route with what it points at before it, and what points at it after.

    Exact paths only: everything else a server has is 404, its metrics for instance.
    """
    at = stage or Stage()
    stopped = at.paused and settings.provider != OPENSHIFT
    rules = [_render_rule(model, settings, at, path, stopped) for path in settings.paths]
    parent = {
        "group": _GATEWAY_GROUP,
        "kind": "Gateway",
        "name": INTERNAL_GATEWAY,
        "namespace": settings.gateway_namespace,
    }
    objects = [_render_refusal(model, settings)] if stopped else []
    objects.append(
        manifest(
            f"{_GATEWAY_GROUP}/v1",
            "HTTPRoute",
            model.name,
            model.namespace,
            labels={MODEL_LABEL: model.name},
            spec={"parentRefs": [parent], "rules": rules},
        )
    )
    if at.until is not None and settings.provider != OPENSHIFT:
        objects.append(render_deadline(model, at.until))
    return objects


def _render_rule(
    model: Model, settings: ServingSettings, stage: Stage, path: str, stopped: bool
) -> dict[str, Any]:
    # The mark of the checks at the public Gateway, which takes it off what clients send: whatever
    # came round them has no route.
    passed = {"name": PASSED_HEADER, "type": "RegularExpression", "value": ".+"}
    exact = {"type": "Exact", "value": f"/{model.namespace}/{model.name}/v1/{path}"}
    rule: dict[str, Any] = {
        "name": path.replace("/", "-"),
        "matches": [{"path": exact, "headers": [passed]}],
    }
    filters: list[dict[str, Any]] = []
    if stopped:
        refusal = {"group": _ENVOY_GROUP, "kind": "HTTPRouteFilter", "name": model.name}
        filters.append({"type": "ExtensionRef", "extensionRef": refusal})
    else:
        whole = {"type": "ReplaceFullPath", "replaceFullPath": f"/v1/{path}"}
        filters.append({"type": "URLRewrite", "urlRewrite": {"path": whole}})
        marks = {"remove": [PASSED_HEADER, ACCOUNT_HEADER]}
        filters.append({"type": "RequestHeaderModifier", "requestHeaderModifier": marks})
        rule["timeouts"] = {"request": settings.request_timeout}
        rule["backendRefs"] = _render_backends(model, stage)
    if stage.since is not None and stage.until is not None:
        headers = {"set": retirement_headers(stage.since, stage.until)}
        filters.append({"type": "ResponseHeaderModifier", "responseHeaderModifier": headers})
    return {**rule, "filters": filters}


def _render_backends(model: Model, stage: Stage) -> list[dict[str, Any]]:
    canary = model.canary
    if canary is None or not stage.canary:
        return [_render_backend(model, 1)]
    return [
        _render_backend(model, 100 - canary.weight),
        _render_backend(canary.version, canary.weight),
    ]


def _render_backend(version: Model, weight: int) -> dict[str, Any]:
    name = f"{version.service}-kserve-workload-svc"
    return {"group": "", "kind": "Service", "name": name, "port": PORT, "weight": weight}


def _render_refusal(model: Model, settings: ServingSettings) -> Manifest:
    """Return the answer of a paused model."""
    message = f"The model {model.name} is paused. Try again later."
    return manifest(
        f"{_ENVOY_GROUP}/v1alpha1",
        "HTTPRouteFilter",
        model.name,
        model.namespace,
        labels={MODEL_LABEL: model.name},
        spec={
            "directResponse": {
                "statusCode": 503,
                "contentType": "application/json",
                "header": {
                    "set": [{"name": "Retry-After", "value": str(settings.retry_after_seconds)}]
                },
                "body": {
                    "type": "Inline",
                    "inline": error_body(message, "server_error", "model_paused"),
                },
            }
        },
    )
