# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""How large the filter's configuration gets, with one front rule and with a route per model."""

from __future__ import annotations

import time
from dataclasses import replace

from ansible_collections.maas.platform.plugins.module_utils._models import ModelRef
from ansible_collections.maas.platform.plugins.module_utils._names import API_NAMESPACE
from ansible_collections.maas.platform.plugins.module_utils._policies import Platform, render
from ansible_collections.maas.platform.plugins.module_utils._quotas import ModelLimits, Rate
from ansible_collections.maas.platform.plugins.module_utils._tier import Tier

from benchmarks.front_doors import (
    NAMESPACE,
    POLICY_KINDS,
    Door,
    filter_bytes,
    open_doors,
    wait,
)
from benchmarks.gateway_policies import Policy, retarget
from benchmarks.lab import Lab
from benchmarks.rendering import make_tier
from benchmarks.report import Report

_TIERS = 25
_MODELS = 50
#: etcd refuses larger requests.
_OBJECT_BYTES = 1.5 * 1024 * 1024
_GATEWAY = "bench-size"
_RULES = 10


def run(lab: Lab, small: bool) -> Report:
    """Let the real operator write the configuration for many tiers, and weigh it."""
    tiers = [make_tier(number, _MODELS) for number in range(_TIERS)]
    report = Report(
        "filter-size",
        f"the filter's configuration at {_TIERS} tiers and {_MODELS} models",
        "what an object may have, 1.5 MiB",
    )
    with lab.cleaned(*POLICY_KINDS):
        front = Door(_GATEWAY, "front")
        open_doors(lab, [front])
        common = _weigh(lab, _render(tiers, front.route))
        special = _weigh(lab, _render([_with_model_limit(tier) for tier in tiers], front.route))
        # Each further route adds its own to what is there.
        plain = _grow(lab, tiers, Door(_GATEWAY, "model"), special)
        many = Door(_GATEWAY, "many", rules=1 if small else _RULES)
        manifold = _grow(lab, tiers, many, special + plain)
    _add(report, "one front rule, common limits", common, "whatever the number of models")
    _add(report, "one front rule, limits of its own for one model in each tier", special, "")
    for what, each in (
        ("a route per model, of one rule", plain),
        (f"a route per model, of {many.rules} rules, as KServe's own", manifold),
    ):
        fitting = int(_OBJECT_BYTES // each)
        note = f"worked out from one: {each / 1024:.0f} KiB; {fitting} models would fit"
        _add(report, what, each * _MODELS, note)
    report.judge("fits into one object", special <= _OBJECT_BYTES)
    return report


def _grow(lab: Lab, tiers: list[Tier], door: Door, before: int) -> int:
    """Return how much larger the configuration is with one route more."""
    open_doors(lab, [door])
    return _weigh(lab, _render(tiers, door.route)) - before


def _add(report: Report, what: str, size: float, note: str) -> None:
    report.add(what, size / 1024, "KiB", size / _OBJECT_BYTES, note)


def _render(tiers: list[Tier], route: str) -> list[Policy]:
    return retarget(render(tiers, (), Platform(NAMESPACE, API_NAMESPACE)).policies, route)


def _with_model_limit(tier: Tier) -> Tier:
    rates = (Rate(tier.level + 1, 60),)
    model = ModelRef("llm", f"model-{tier.level:02}")
    return replace(tier, model_limits=(ModelLimits(model, rates, rates),))


def _weigh(lab: Lab, policies: list[Policy]) -> int:
    lab.apply(policies)
    for policy in policies:
        wait(lab, f"{policy['kind'].lower()}/{policy['metadata']['name']}", "Enforced")
    # The conditions come a moment before the last write.
    sizes = [0]
    while len(sizes) < 2 or sizes[-1] != sizes[-2]:
        time.sleep(1)
        sizes.append(filter_bytes(lab, _GATEWAY))
    return sizes[-1]
