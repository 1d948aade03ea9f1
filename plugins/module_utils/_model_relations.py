# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a model's keys fit each other, once its defaults are known. Pure."""

from __future__ import annotations

from ._checks import Problems
from ._model import Model, Parallelism
from ._model_scaling import AUTOSCALING_KEYS


def check_relations(problems: Problems, path: str, model: Model) -> None:
    """Say which keys of a model, and of its canary, contradict each other."""
    _check_version(problems, path, model)
    if model.canary is not None:
        _check_version(problems, f"{path}.canary", model.canary.version)


def _check_version(problems: Problems, path: str, version: Model) -> None:
    _check_autoscaling(problems, path, version)
    _check_gpus(problems, path, version)


def _check_autoscaling(problems: Problems, path: str, version: Model) -> None:
    scaling = version.autoscaling
    if scaling is None:
        return
    here = f"{path}.autoscaling"
    if not scaling.max:
        problems.missing(f"{here}.max", AUTOSCALING_KEYS["max"])
    elif scaling.max < scaling.min:
        problems.found(f"{here}.max", scaling.max, f"at least min, which is {scaling.min}")
    if scaling.signal == "gpu" and not version.gpus:
        problems.found(f"{here}.signal", "gpu", "with gpus only; without, requests, queue or cpu")
    for key in ("replicas", "scaling"):
        if key in version.spec:
            allowed = "nothing here: autoscaling says how many copies there are"
            problems.found(f"{path}.spec.{key}", version.spec[key], allowed)


def _check_gpus(problems: Problems, path: str, version: Model) -> None:
    cut = version.parallelism
    if cut is None:
        if version.nodes > 1:
            allowed = "1 without parallelism: nothing says how the model is cut over nodes"
            problems.found(f"{path}.nodes", version.nodes, allowed)
        return
    if version.nodes > 1 and not _fit_nodes(problems, path, version.nodes, cut):
        return
    share = cut.gpus // version.nodes
    if version.gpus != share:
        said = f"tensor {cut.tensor} x pipeline {cut.pipeline} x data {cut.data}"
        over = f", on {version.nodes} nodes" if version.nodes > 1 else ""
        problems.found(f"{path}.gpus", version.gpus, f"{share}: parallelism is {said}{over}")


def _fit_nodes(problems: Problems, path: str, nodes: int, cut: Parallelism) -> bool:
    """Refuse what KServe's groups of pods cannot hold: a node is a stage, or has whole ranks."""
    here = f"{path}.parallelism"
    before = len(problems)
    if cut.pipeline > 1 and cut.data > 1:
        problems.found(f"{here}.data", cut.data, "1 with pipeline over several nodes")
    elif cut.data > 1:
        if cut.data % nodes:
            problems.found(f"{here}.data", cut.data, f"a multiple of nodes, which is {nodes}")
    elif cut.pipeline != nodes:
        allowed = f"as many as nodes, which is {nodes}, where data is 1"
        problems.found(f"{here}.pipeline", cut.pipeline, allowed)
    return len(problems) == before
