# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Engines, and what a model's server runs once its entry and its engine are put together. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ._checks import Problems, keys, mapping
from ._errors import MaasError
from ._model import Model, Runtime
from ._model_defaults import merge
from ._model_runtime import KEYS, read_runtime

VLLM = "vllm"
LLAMA_CPP = "llama.cpp"
#: An image that brings its own command.
CUSTOM = "custom"

_ENGINE_KEYS = {
    **{key: KEYS[key] for key in ("image", "command", "args", "env", "resources")},
    "embedding_args": "a list of text, for models whose task is embedding",
}
_NAME = re.compile(r"[a-z0-9]([-a-z0-9._]*[a-z0-9])?")


@dataclass(frozen=True)
class Engine:
    """What a server runs with unless a model's entry says otherwise."""

    image: str | None = None
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] = ()
    embedding_args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Server:
    """What a model's server runs, with nothing left open."""

    engine: str
    image: str
    command: tuple[str, ...] | None
    #: Without what parallelism adds.
    args: tuple[str, ...]
    extra_args: tuple[str, ...]
    env: Mapping[str, str]
    resources: Mapping[str, Any]


def read_engines(
    problems: Problems, raw: Any, path: str = "model_serving_runtimes"
) -> dict[str, Engine]:
    """Return the engines by name, and keep the problems of those that could not be read."""
    entries = mapping(problems, path, raw, "a mapping of engines' names to what they run")
    engines: dict[str, Engine] = {}
    for name, entry in (entries or {}).items():
        here = f"{path}.{name}"
        if not _NAME.fullmatch(name) or name == CUSTOM:
            allowed = f"a name of a-z, 0-9, -, _ and ., other than {CUSTOM}"
            problems.found(here, name, allowed)
            continue
        found = mapping(problems, here, entry, f"a mapping with {', '.join(_ENGINE_KEYS)}")
        if found is None:
            continue
        keys(problems, here, found, _ENGINE_KEYS, required=("image",), shown=False)
        engines[name] = _read_engine(problems, here, found)
    return engines


def _read_engine(problems: Problems, path: str, raw: Mapping[str, Any]) -> Engine:
    said = {key: value for key, value in raw.items() if key in _ENGINE_KEYS}
    embedding = said.pop("embedding_args", None)
    runtime = read_runtime(problems, path, said)
    scratch = Problems()
    second = read_runtime(scratch, path, {} if embedding is None else {"args": embedding})
    for problem in scratch:
        place = problem.path.replace(f"{path}.args", f"{path}.embedding_args")
        problems.append(type(problem)(place, problem.value, problem.allowed, problem.hint))
    return Engine(
        image=runtime.image,
        command=runtime.command,
        args=runtime.args or (),
        embedding_args=second.args or (),
        env=runtime.env,
        resources=runtime.resources,
    )


def engine_of(version: Model) -> str:
    """Return the name of a version's engine; where it says none, image and GPUs tell."""
    if version.runtime.engine is not None:
        return version.runtime.engine
    if version.runtime.image is not None:
        return CUSTOM
    return VLLM if version.gpus else LLAMA_CPP


def server_of(version: Model, engines: Mapping[str, Engine]) -> Server:
    """Return what a version's server runs; MaasError where its engine does not exist."""
    name = engine_of(version)
    engine = Engine() if name == CUSTOM else engines.get(name)
    runtime: Runtime = version.runtime
    if engine is None or not (runtime.image or engine.image):
        raise MaasError(f"model {version.name}: there is no engine {name} with an image")
    args = engine.args if runtime.args is None else runtime.args
    if version.task == "embedding" and runtime.args is None:
        args = (*args, *engine.embedding_args)
    return Server(
        engine=name,
        image=runtime.image or engine.image or "",
        command=engine.command if runtime.command is None else runtime.command,
        args=args,
        extra_args=runtime.extra_args,
        env={**engine.env, **runtime.env},
        resources=merge(engine.resources, runtime.resources),
    )
