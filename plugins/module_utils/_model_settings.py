# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What a cluster says about all of its models, and whether they fit it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ._checks import Problems
from ._errors import nearest
from ._model import Model
from ._model_defaults import merge
from ._model_engines import CUSTOM, VLLM, Engine, engine_of
from ._names import GATEWAY_NAMESPACE
from ._pools import GPU_RESOURCE, Pool

OPENSHIFT = "openshift"
_REGISTRY = re.compile(r"^([^/]+[.:][^/]*|localhost)/")


@dataclass(frozen=True)
class ServingSettings:
    """What is the same for every model of a cluster."""

    provider: str = "envoy_gateway"
    gateway_namespace: str = GATEWAY_NAMESPACE
    #: What callers reach of a model, below its /v1.
    paths: Sequence[str] = ("chat/completions", "completions", "embeddings", "models")
    request_timeout: str = "15m"
    #: Replaces the registry of models' images; empty: as they are written.
    image_mirror: str = ""
    engines: Mapping[str, Engine] = field(default_factory=dict)
    #: Of models that name no pool.
    gpu_resource: str = GPU_RESOURCE
    pools: Mapping[str, Pool] = field(default_factory=dict)
    #: Whether a server counts as started once it answered a prompt, rather than a GET of /health.
    prompt_check: bool = True
    #: What asks it; used as it is, without the mirror.
    check_image: str = ""
    check_resources: Mapping[str, Any] = field(
        default_factory=lambda: {
            "requests": {"cpu": "5m", "memory": "24Mi"},
            "limits": {"memory": "64Mi"},
        }
    )
    #: How long the preset lets a server load; models with a longer ready_timeout get longer.
    start_timeout_seconds: int = 1800
    ready_seconds: int = 900
    retire_after_seconds: int = 168 * 3600
    #: What a paused model tells callers to wait before they try again.
    retry_after_seconds: int = 60
    pod_monitor: bool = False
    #: Who besides the internal Gateway may connect to servers, as a NetworkPolicy writes peers.
    network_peers: Sequence[Mapping[str, Any]] = ()
    serving_version: str = "v1alpha2"

    def mirrored(self, image: str) -> str:
        """Return an image as this cluster pulls it."""
        if not self.image_mirror:
            return image
        return f"{self.image_mirror}/{_REGISTRY.sub('', image)}"


def check_models(
    problems: Problems,
    models: Sequence[Model],
    settings: ServingSettings,
    path: str = "maas_models",
    places: Mapping[str, str] | None = None,
) -> None:
    """Say which models name engines, pools or signals that this cluster does not have.

    places maps models' names to where their entries stand; without, the name is shown.
    """
    for model in models:
        here = (places or {}).get(model.name, f"{path}[name={model.name}]")
        for version in model.versions:
            where = f"{here}.canary" if version.is_canary else here
            _check_engine(problems, where, version, settings)
            _check_pool(problems, where, version, settings)
            _check_resources(problems, where, version, settings)


def _check_engine(problems: Problems, path: str, version: Model, settings: ServingSettings) -> None:
    name = engine_of(version)
    known = [*settings.engines, CUSTOM]
    here = f"{path}.runtime"
    if name not in known:
        if version.runtime.engine is None:
            allowed = f"an image: model_serving_runtimes has no {name}"
            problems.missing(f"{here}.image", allowed)
        else:
            allowed = f"one of {', '.join(known)}"
            problems.found(f"{here}.engine", name, allowed, nearest(name, known))
        return
    engine = settings.engines.get(name, Engine())
    if not (version.runtime.image or engine.image):
        problems.missing(f"{here}.image", f"an image: engine {name} has none of its own")
    if version.nodes > 1 and name != VLLM and "worker" not in version.spec:
        allowed = f"1, engine {VLLM}, or what the other nodes run in spec.worker"
        problems.found(f"{path}.nodes", version.nodes, allowed)
    if version.autoscaling and version.autoscaling.signal == "cpu":
        resources = merge(engine.resources, version.runtime.resources)
        if not {"cpu"} & {*resources.get("requests", ()), *resources.get("limits", ())}:
            allowed = "an amount: autoscaling by cpu measures by it"
            problems.missing(f"{here}.resources.requests.cpu", allowed)


def _check_pool(problems: Problems, path: str, version: Model, settings: ServingSettings) -> None:
    if version.pool is None:
        return
    pool = settings.pools.get(version.pool)
    if pool is None:
        names = ", ".join(settings.pools) or "(there are none)"
        allowed = f"a pool in gpu_nodes_pools: {names}"
        hint = nearest(version.pool, settings.pools)
        problems.found(f"{path}.pool", version.pool, allowed, hint)
    elif pool.most_per_pod is not None and version.gpus > pool.most_per_pod:
        allowed = f"at most {pool.most_per_pod} in pool {pool.name}: its pods take turns on a GPU"
        problems.found(f"{path}.gpus", version.gpus, allowed)


def _check_resources(
    problems: Problems, path: str, version: Model, settings: ServingSettings
) -> None:
    """Refuse GPUs that are asked for where nobody counts them."""
    offered = {settings.gpu_resource, *(pool.resource for pool in settings.pools.values())}
    for kind, amounts in version.runtime.resources.items():
        for name in amounts:
            if name in offered:
                here = f"{path}.runtime.resources.{kind}.{name}"
                problems.found(here, amounts[name], "nothing here: gpus says how many")
