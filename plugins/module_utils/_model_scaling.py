# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Reading how many pods and GPUs a model has. Pure."""

from __future__ import annotations

from typing import Any, get_args

from ._checks import Problems, choice, duration, keys, mapping, whole_number
from ._model import Autoscaling, Parallelism, Signal

AUTOSCALING_KEYS = {
    "min": "a whole number, at least 1 (the default)",
    "max": "a whole number, at least min",
    "signal": f"one of {', '.join(get_args(Signal))}",
    "target": "a whole number: requests for each pod, or percent",
    "scale_down_after": "a duration such as 5m (the default)",
}
PARALLELISM_KEYS = {
    "tensor": "GPUs that every layer is cut over, a whole number",
    "pipeline": "GPUs that the layers are dealt out to, a whole number",
    "data": "copies that share one server, a whole number",
}
#: What each pod should have of its signal where the entry does not say.
TARGETS: dict[Signal, int] = {"requests": 16, "queue": 4, "gpu": 80, "cpu": 70}
_DEFAULT_SIGNAL: Signal = "requests"
_DEFAULT_SCALE_DOWN_SECONDS = 300
#: Kubernetes takes no longer stabilization window.
_LONGEST_SCALE_DOWN_SECONDS = 3600


def read_autoscaling(problems: Problems, path: str, entry: Any) -> Autoscaling | None:
    """Return the autoscaling as far as it could be read; max is 0 where it is missing.

    Whether min and max fit is known once defaults are merged: _model_relations looks at it.
    """
    raw = mapping(problems, path, entry, f"a mapping with {', '.join(AUTOSCALING_KEYS)}")
    if raw is None:
        return None
    keys(problems, path, raw, AUTOSCALING_KEYS)
    least = _read_number(problems, path, raw, "min") or 1
    most = _read_number(problems, path, raw, "max") or 0
    signal: Signal | None = choice(
        problems, f"{path}.signal", raw.get("signal", _DEFAULT_SIGNAL), get_args(Signal)
    )
    target = _read_number(problems, path, raw, "target") or TARGETS[signal or _DEFAULT_SIGNAL]
    after = _DEFAULT_SCALE_DOWN_SECONDS
    if raw.get("scale_down_after") is not None:
        here = f"{path}.scale_down_after"
        after = duration(problems, here, raw["scale_down_after"]) or after
        if after > _LONGEST_SCALE_DOWN_SECONDS:
            problems.found(here, raw["scale_down_after"], "at most 1h")
    return Autoscaling(least, most, signal or _DEFAULT_SIGNAL, target, after)


def read_parallelism(problems: Problems, path: str, entry: Any) -> Parallelism | None:
    """Return how the model is cut over GPUs."""
    raw = mapping(problems, path, entry, f"a mapping with {', '.join(PARALLELISM_KEYS)}")
    if raw is None:
        return None
    keys(problems, path, raw, PARALLELISM_KEYS)
    sizes = {key: _read_number(problems, path, raw, key) or 1 for key in PARALLELISM_KEYS}
    return Parallelism(**sizes)


def _read_number(problems: Problems, path: str, raw: Any, key: str) -> int | None:
    if raw.get(key) is None:
        return None
    return whole_number(problems, f"{path}.{key}", raw[key], 1, 2**31 - 1)
