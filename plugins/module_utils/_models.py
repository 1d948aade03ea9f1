# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Models as the inventory writes them. Pure: no Ansible, no cluster."""

from __future__ import annotations

from typing import Any

from ._checks import Problems, sequence
from ._model import CANARY_SUFFIX, Autoscaling, Canary, Model, ModelRef, Parallelism, Runtime
from ._model_entry import LONGEST_NAME, read_defaults, read_entry
from ._model_relations import check_relations
from ._names import MODEL_NAMESPACE

__all__ = [
    "LONGEST_NAME",
    "Autoscaling",
    "Canary",
    "Model",
    "ModelRef",
    "Parallelism",
    "Runtime",
    "read_models",
]


def read_models(
    problems: Problems,
    raw: Any,
    path: str = "maas_models",
    default_namespace: str = MODEL_NAMESPACE,
    *,
    defaults: Any = None,
    defaults_path: str = "maas_model_defaults",
) -> list[Model]:
    """Return the models that could be read, and keep the problems of the others.

    Entries that are to be absent are checked and left out. Whether keys fit each other can
    only be told with the defaults below them: who gives none is not told.
    """
    below = {} if defaults is None else read_defaults(problems, defaults, defaults_path)
    models: list[Model] = []
    seen: dict[str, str] = {}
    second: dict[str, str] = {}
    for index, entry in enumerate(sequence(problems, path, raw, "a list of models") or []):
        here = f"{path}[{index}]"
        read = read_entry(problems, here, entry, default_namespace, below)
        if read is None:
            continue
        name, model = read
        if name in seen:
            problems.found(f"{here}.name", name, f"a name that {seen[name]} has not")
            continue
        seen[name] = here
        if model is None:
            continue
        if model.canary is not None:
            second[f"{name}{CANARY_SUFFIX}"] = here
        if defaults is not None:
            check_relations(problems, here, model)
        models.append(model)
    for name, here in second.items():
        if name in seen:
            allowed = f"no canary beside {seen[name]}: {name} is what it would be called"
            problems.found(f"{here}.canary", "(a mapping)", allowed)
    return models
