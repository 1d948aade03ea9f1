# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""From what the inventory says of models to what a cluster is to hold of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._checks import Problems, duration
from ._errors import MaasError
from ._model import Model
from ._model_engines import read_engines
from ._model_extras import render_extras
from ._model_namespaces import render_namespaces
from ._model_routes import Stage, render_route
from ._model_services import render_services
from ._model_settings import ServingSettings, check_models
from ._models import read_models
from ._objects import Object
from ._pools import read_pools
from ._serving_record import STOP_ANNOTATION, with_annotations
from ._serving_wish import Wish

#: Options that are durations, and what they set.
_DURATIONS = {"ready_timeout": "ready_seconds", "retire_after": "retire_after_seconds"}
#: Options that settings take as they are.
_PLAIN = (
    "provider",
    "gateway_namespace",
    "paths",
    "request_timeout",
    "image_mirror",
    "gpu_resource",
    "prompt_check",
    "check_image",
    "check_resources",
    "start_timeout_seconds",
    "retry_after_seconds",
    "pod_monitor",
    "network_peers",
)
#: The folders of rendered objects, in the order in which to apply them.
PARTS = ("namespaces", "models", "routes")


def read_serving(params: Mapping[str, Any]) -> tuple[list[Model], ServingSettings]:
    """Return models and settings; MaasError names everything that is wrong with either."""
    problems = Problems()
    chosen = {name: params[name] for name in _PLAIN if params.get(name) is not None}
    for option, name in _DURATIONS.items():
        seconds = duration(problems, option, params[option])
        if seconds is not None:
            chosen[name] = seconds
    settings = ServingSettings(
        **chosen,
        engines=read_engines(problems, params["runtimes"], "model_serving_runtimes"),
        pools=read_pools(problems, params["pools"]),
    )
    models = read_models(problems, params["models"], defaults=params["defaults"])
    if not problems:
        check_models(problems, models, settings)
    if problems:
        raise MaasError(
            "the models cannot be served as the inventory has them; nothing was changed", problems
        )
    return models, settings


def make_wishes(models: Sequence[Model], settings: ServingSettings) -> list[Wish]:
    """Return what each model is to be."""
    return [_wish(model, settings) for model in models]


def shared_objects(models: Sequence[Model], settings: ServingSettings) -> list[list[Object]]:
    """Return what several models need, in groups that follow each other."""
    items = render_namespaces(models, settings)
    namespaces = [item for item in items if item["kind"] == "Namespace"]
    return [namespaces, [item for item in items if item["kind"] != "Namespace"]]


def render_parts(models: Sequence[Model], settings: ServingSettings) -> dict[str, list[Object]]:
    """Return all objects by part, as on a cluster without models."""
    retired = [model.name for model in models if model.state == "retired"]
    if retired:
        raise MaasError(
            f"models {', '.join(retired)} are retired, and until when they are served is known to "
            "the cluster only, so they cannot be rendered without one; take them out, or converge"
        )
    parts: dict[str, list[Object]] = {part: [] for part in PARTS}
    parts["namespaces"] = [item for group in shared_objects(models, settings) for item in group]
    for model in models:
        wish = _wish(model, settings)
        paused = wish.state == "paused"
        extra = {STOP_ANNOTATION: "true"} if paused else {}
        services = [with_annotations(item, extra) for item in wish.services]
        parts["models"] += [*wish.needs, *services, *wish.extras]
        parts["routes"] += wish.route(Stage(canary=model.canary is not None, paused=paused))
    return parts


def _wish(model: Model, settings: ServingSettings) -> Wish:
    rendered = render_services(model, settings)

    def route(stage: Stage) -> list[Object]:
        return render_route(model, settings, stage)

    return Wish(
        model.namespace,
        model.name,
        model.state,
        services=[item for item in rendered if item["kind"] == "LLMInferenceService"],
        route=route,
        needs=[item for item in rendered if item["kind"] != "LLMInferenceService"],
        extras=render_extras(model, settings),
        ready_seconds=model.ready_seconds or settings.ready_seconds,
        retire_seconds=model.retire_after_seconds or settings.retire_after_seconds,
        keeps_replicas=model.autoscaling is None,
    )
