# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Everything that can be said about models without a cluster. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._checks import Problems
from ._model_engines import read_engines
from ._model_settings import ServingSettings, check_models
from ._models import read_models
from ._pools import GPU_RESOURCE, read_pools


def model_problems(
    raw_models: Any,
    raw_defaults: Any = None,
    raw_engines: Any = None,
    raw_pools: Any = (),
    gpu_resource: str = GPU_RESOURCE,
) -> list[str]:
    """Return everything wrong with the models, their defaults, engines and pools.

    Without engines nothing is said about which ones there are.
    """
    problems = Problems()
    models = read_models(problems, raw_models, defaults=raw_defaults or {})
    pools = read_pools(problems, raw_pools)
    engines = read_engines(problems, raw_engines or {})
    if raw_engines is not None:
        settings = ServingSettings(engines=engines, pools=pools, gpu_resource=gpu_resource)
        check_models(problems, models, settings, places=entry_places(raw_models))
    return [str(problem) for problem in problems]


def entry_places(raw_models: Any, path: str = "maas_models") -> dict[str, str]:
    """Return where each model's entry stands, by its name."""
    entries = raw_models if isinstance(raw_models, (list, tuple)) else []
    return {
        entry["name"]: f"{path}[{index}]"
        for index, entry in enumerate(entries)
        if isinstance(entry, Mapping) and isinstance(entry.get("name"), str)
    }
