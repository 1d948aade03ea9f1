# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""How much somebody may use: rates, quotas, and quotas of single models. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union

from ._checks import Problems, duration, keys, mapping, sequence, whole_number
from ._durations import ALLOWED as DURATION
from ._errors import nearest
from ._models import ModelRef

UNLIMITED: Literal["unlimited"] = "unlimited"

QUOTA = "a list of {limit: …, window: …}, or the word unlimited"
_KINDS = {"requests": QUOTA, "tokens": QUOTA}
_MODELS = "a mapping of model names to requests and tokens"
KEYS = {**_KINDS, "models": _MODELS}
_RATE_KEYS = {"limit": "a whole number, at least 1", "window": DURATION}


@dataclass(frozen=True)
class Rate:
    """So many in so long."""

    limit: int
    window_seconds: int


#: Rates, each with a window of its own; never empty, because no limit is said by a word.
Quota = Union[tuple[Rate, ...], Literal["unlimited"]]  # noqa: UP007 - sanity's oldest Python


@dataclass(frozen=True)
class ModelLimits:
    """What holds for one model instead of the common quotas; None: the common one does."""

    model: ModelRef
    requests: Quota | None = None
    tokens: Quota | None = None

    def of(self, kind: str) -> Quota | None:
        """Return the quota of this kind, requests or tokens."""
        return self.requests if kind == "requests" else self.tokens


@dataclass(frozen=True)
class Limits:
    """What an inventory says under limits."""

    requests: Quota | None = None
    tokens: Quota | None = None
    models: tuple[ModelLimits, ...] = ()


def read_limits(
    problems: Problems,
    path: str,
    entry: Any,
    models: Mapping[str, ModelRef] | None,
    required: Sequence[str] = (),
) -> Limits:
    """Return what could be read; models are those that may be named, None: any name may."""
    raw = mapping(problems, path, entry, f"a mapping with {', '.join(KEYS)}")
    if raw is None:
        return Limits()
    keys(problems, path, raw, KEYS, required)
    quotas = _read_kinds(problems, path, raw)
    return Limits(
        requests=quotas.get("requests"),
        tokens=quotas.get("tokens"),
        models=_read_models(problems, f"{path}.models", raw.get("models", {}), models),
    )


def _read_kinds(problems: Problems, path: str, raw: Mapping[str, Any]) -> dict[str, Quota]:
    return {
        kind: _read_quota(problems, f"{path}.{kind}", raw[kind]) for kind in _KINDS if kind in raw
    }


def _read_models(
    problems: Problems, path: str, entry: Any, models: Mapping[str, ModelRef] | None
) -> tuple[ModelLimits, ...]:
    read = []
    for name, limits in (mapping(problems, path, entry, _MODELS) or {}).items():
        here = f"{path}.{name}"
        raw = mapping(problems, here, limits, f"a mapping with {', '.join(_KINDS)}")
        if models is not None and name not in models:
            allowed = f"a model that may be called: {', '.join(models) or '(there are none)'}"
            problems.found(here, name, allowed, nearest(name, models))
        if raw is None:
            continue
        keys(problems, here, raw, _KINDS)
        quotas = _read_kinds(problems, here, raw)
        if not raw:
            problems.found(here, limits, f"at least one of {', '.join(_KINDS)}")
        elif models is not None and name in models:
            read.append(ModelLimits(models[name], quotas.get("requests"), quotas.get("tokens")))
    return tuple(sorted(read, key=lambda limits: limits.model))


def _read_quota(problems: Problems, path: str, raw: Any) -> Quota:
    if raw == UNLIMITED:
        return UNLIMITED
    entries = [] if isinstance(raw, str) else sequence(problems, path, raw, QUOTA)
    if entries == []:
        problems.found(path, raw, QUOTA, nearest(raw, [UNLIMITED]))
    rates: dict[int, Rate] = {}
    for index, entry in enumerate(entries or []):
        here = f"{path}[{index}]"
        rate = _read_rate(problems, here, entry)
        if rate is None:
            continue
        # Limitador tells limits apart by their window: of two, one would vanish.
        if rate.window_seconds in rates:
            problems.found(f"{here}.window", entry["window"], "each window once")
        rates[rate.window_seconds] = rate
    return tuple(rates[window] for window in sorted(rates))


def _read_rate(problems: Problems, path: str, entry: Any) -> Rate | None:
    raw = mapping(problems, path, entry, "a mapping with limit and window")
    if raw is None:
        return None
    keys(problems, path, raw, _RATE_KEYS, required=_RATE_KEYS)
    limit = whole_number(problems, f"{path}.limit", raw["limit"], 1) if "limit" in raw else None
    window = duration(problems, f"{path}.window", raw["window"]) if "window" in raw else None
    return Rate(limit, window) if limit is not None and window is not None else None
