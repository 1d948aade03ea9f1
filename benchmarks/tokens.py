# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Many tokens: one task for all users, beside a loop and beside the requests alone."""

from __future__ import annotations

import json
import statistics
from typing import Any

from ansible_collections.maas.platform.plugins.module_utils._accounts import account_name
from ansible_collections.maas.platform.plugins.module_utils._catalog import Catalog, write_catalog
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import Cluster
from ansible_collections.maas.platform.plugins.module_utils._names import (
    CATALOG_NAME,
    TOKEN_AUDIENCE,
)
from ansible_collections.maas.platform.plugins.module_utils._read_catalog import read_catalog
from ansible_collections.maas.platform.plugins.module_utils._tier import Tier
from ansible_collections.maas.platform.plugins.module_utils._token_wishes import read_wishes
from ansible_collections.maas.platform.plugins.module_utils._tokens import grant, mint

from benchmarks.lab import LABELS, PREFIX, Lab, namespace, stopwatch
from benchmarks.report import Report

_USERS = 1000
_SAMPLE = 20
_TURNS = 6
_TTL_SECONDS = 600
_API_NAMESPACE = f"{PREFIX}api"
#: A catalog of the benchmark's own holds this tier; the gateway knows nothing of it.
_TIER = Tier(
    name="maas-bench",
    display_name="Benchmark",
    description="",
    level=0,
    groups=("bench",),
    models=(),
    default_ttl_seconds=_TTL_SECONDS,
    max_ttl_seconds=_TTL_SECONDS,
    requests="unlimited",
    tokens="unlimited",
)
_GOAL_RATIO = 0.8


def run(lab: Lab, small: bool) -> Report:
    """Mint tokens in every way; the rates stand beside that of the requests alone."""
    count = _USERS // 10 if small else _USERS
    users = [f"user-{number:04}" for number in range(count)]
    report = Report(
        "tokens",
        f"{count:,} tokens",
        "bare TokenRequests by the same client, 8 at once, accounts there already",
    )
    with lab.cleaned():
        _prepare(lab)
        cluster = lab.cluster()
        made = _task(lab, users)
        task = _task(lab, users)
        # In turns, because other work on the machine comes and goes.
        turns = [(_bare(cluster, users), _mint(cluster, users)) for _turn in range(_TURNS)]
        bare, inside = (statistics.median(times) for times in zip(*turns, strict=True))
        loop = _loop(lab, users[:_SAMPLE]) * count / _SAMPLE
        start = lab.start_seconds()
    ratios = sorted(alone / whole for alone, whole in turns)
    spread = f"turn by turn {ratios[0]:.2f} to {ratios[-1]:.2f}"
    report.add("bare TokenRequests", count / bare, "tokens/s", 1.0, f"{bare:.2f} s")
    for what, seconds, note in (
        ("tier_token's own work, accounts there already", inside, spread),
        ("tier_token, the whole run of Ansible", task, f"of it {start:.2f} s Ansible without task"),
        ("tier_token, the whole run, every account made first", made, ""),
        ("a loop of kubectl create token", loop, f"worked out from {_SAMPLE}"),
    ):
        remark = f"{seconds:.2f} s{', ' if note else ''}{note}"
        report.add(what, count / seconds, "tokens/s", bare / seconds, remark)
    if ratios[0] < _GOAL_RATIO <= ratios[-1]:
        report.remarks.append("The turns lie on both sides of the goal: read the spread.")
    reached = bare / inside >= _GOAL_RATIO
    report.judge(f"tier_token's own work at least {_GOAL_RATIO} of the bare rate", reached)
    return report


def _prepare(lab: Lab) -> None:
    data = {key: json.dumps(value) for key, value in write_catalog(Catalog((_TIER,))).items()}
    metadata = {"name": CATALOG_NAME, "namespace": _API_NAMESPACE, "labels": LABELS}
    catalog = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    lab.apply([namespace(_API_NAMESPACE), namespace(_TIER.namespace), catalog])


def _task(lab: Lab, users: list[str]) -> float:
    options: dict[str, Any] = {"users": users, "tier": _TIER.name, "api_namespace": _API_NAMESPACE}
    with stopwatch() as seconds:
        lab.play([{"name": "Mint", "maas.platform.tier_token": options, "no_log": True}])
    return seconds[0]


def _mint(cluster: Cluster, users: list[str]) -> float:
    with stopwatch() as seconds:
        catalog = read_catalog(cluster, _API_NAMESPACE)
        mint(cluster, catalog, grant(catalog, read_wishes(users, _TIER.name)))
    return seconds[0]


def _bare(cluster: Cluster, users: list[str]) -> float:
    names = [account_name(user) for user in users]

    def request(name: str) -> tuple[str, str]:
        return cluster.request_token(_TIER.namespace, name, TOKEN_AUDIENCE, _TTL_SECONDS)

    with stopwatch() as seconds:
        cluster.each(request, names)
    return seconds[0]


def _loop(lab: Lab, users: list[str]) -> float:
    with stopwatch() as seconds:
        for user in users:
            name, where = account_name(user), f"--namespace={_TIER.namespace}"
            lab.kube("create", "token", name, where, f"--audience={TOKEN_AUDIENCE}")
    return seconds[0]
