# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Rendering 1,000 tiers: all their objects."""

from __future__ import annotations

import yaml
from ansible_collections.maas.platform.plugins.module_utils._models import ModelRef
from ansible_collections.maas.platform.plugins.module_utils._policies import render
from ansible_collections.maas.platform.plugins.module_utils._tiers import Rate, Tier

from benchmarks.lab import Lab, stopwatch
from benchmarks.report import Report

_TIERS = 1000
_MODELS = 20
_ROUNDS = 3


def run(_lab: Lab, small: bool) -> Report:
    """Render tiers; the time PyYAML takes to write the same objects stands beside it."""
    count = _TIERS // 10 if small else _TIERS
    tiers = [make_tier(number, _MODELS) for number in range(count)]
    report = Report(
        "rendering",
        f"{count:,} tiers with {_MODELS} models each, rendered",
        "PyYAML (the C one where it is there) writing the same objects as text",
    )
    best = min(_time_render(tiers) for _ in range(_ROUNDS))
    rendered = render(tiers)
    manifests = [item for part in _PARTS for item in rendered.part(part)]
    with stopwatch() as written:
        yaml.dump_all(manifests, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper))
    report.add(f"rendered, best of {_ROUNDS}", best, "s", best / written[0])
    report.add("written as YAML", written[0], "s", 1.0, f"{len(manifests):,} objects")
    report.add("rendered, for each tier", best / count * 1000, "ms")
    return report


_PARTS = ("namespaces", "access", "catalog", "policies")


def make_tier(number: int, models: int) -> Tier:
    """Return one of many tiers, with two windows for tokens and one for requests."""
    return Tier(
        name=f"bench-{number:04}",
        display_name=f"Tier {number}",
        description="",
        level=number,
        groups=(f"group-{number}",),
        models=tuple(ModelRef("llm", f"model-{model:02}") for model in range(models)),
        default_ttl_seconds=3600,
        max_ttl_seconds=86400,
        requests=(Rate(100 + number, 120),),
        tokens=(Rate(10_000, 60), Rate(1_000_000, 86400)),
    )


def _time_render(tiers: list[Tier]) -> float:
    with stopwatch() as seconds:
        render(tiers)
    return seconds[0]
