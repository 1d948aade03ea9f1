# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Whether everything fits the objects that will hold it. Pure.

An API server refuses objects that are too large, and does so late: Kuadrant writes the gateway's
configuration and Limitador's file after the policies were accepted. So both are estimated here,
from the policies and with the texts that kuadrant-operator 1.5 writes, before anything changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ._checks import Problems
from ._durations import parse_seconds
from ._errors import MaasError
from ._manifests import Manifest
from ._names import ROUTE_NAME
from ._policies import Rendered

#: etcd takes requests of 1.5 MiB; the rest is for metadata, status and what others add.
LARGEST_OBJECT = 1_250_000
#: The API server's own limit for a ConfigMap's data is 1 MiB.
LARGEST_CONFIG_MAP = 1_000_000

#: Services, other routes' rules, hashes and names around the rules of the models' route.
_FILTER_BASE = 20_000
_IDENTIFIER = len("tokenlimit.__12345678")


def check_sizes(rendered: Rendered) -> None:
    """Refuse what would not fit; MaasError lists it."""
    problems = size_problems(rendered)
    if problems:
        raise MaasError("the tiers do not fit the objects that hold them", problems)


def check_switch(rendered: Rendered, united: Sequence[Manifest]) -> None:
    """Refuse a change whose limits, old and new side by side, would not fit."""
    problems = size_problems(replace(rendered, policies=list(united)))
    if problems:
        raise MaasError(
            "the tiers cannot be changed over in one run, so nothing was changed: until the new "
            "AuthPolicy holds, old and new limits stand side by side, and those do not fit the "
            "objects that hold them; rename or replace a few tiers in each run",
            problems,
        )


def size_problems(rendered: Rendered) -> Problems:
    """Return every object that would be too large."""
    problems = Problems()
    for what, size, largest, advice in _sizes(rendered):
        if size > largest:
            problems.found(
                "maas_tiers",
                f"{what} of about {size:,} bytes",
                f"at most {largest:,}, the most that one object holds",
                advice,
            )
    return problems


def filter_size(rendered: Rendered) -> int:
    """Return about how many bytes the filter's configuration at the gateway has."""
    # Kuadrant repeats a route's rules for every match, and there is one for each namespace.
    matches = max(1, sum(_holds_models(item) for item in rendered.namespaces))
    rules = sum(_filter_rules(policy) for policy in rendered.policies if "limits" in policy["spec"])
    return _FILTER_BASE + matches * rules


def limits_size(rendered: Rendered) -> int:
    """Return about how many bytes Limitador's file has."""
    return sum(_limit_lines(policy) for policy in rendered.policies if "limits" in policy["spec"])


def _sizes(rendered: Rendered) -> Iterable[tuple[str, int, int, str]]:
    fewer = "fewer tiers, limits of single models or user overrides"
    yield "the filter's configuration", filter_size(rendered), LARGEST_OBJECT, fewer
    yield "Limitador's file", limits_size(rendered), LARGEST_CONFIG_MAP, fewer
    for policy in rendered.policies:
        yield policy["kind"], _length(policy), LARGEST_OBJECT, fewer
    for item in rendered.catalog:
        size = sum(len(text.encode()) for text in item["data"].values())
        yield "the catalog", size, LARGEST_CONFIG_MAP, "fewer tiers, or shorter texts and groups"


def _holds_models(item: Manifest) -> bool:
    return "maas.platform/models" in item["metadata"]["labels"]


def _filter_rules(policy: Manifest) -> int:
    return sum(
        _filter_rule(policy, name, limit) for name, limit in policy["spec"]["limits"].items()
    )


def _filter_rule(policy: Manifest, name: str, limit: Mapping[str, Any]) -> int:
    counters = [item["expression"] for item in limit.get("counters") or []]
    data = [(("x" * _IDENTIFIER) + name, "1"), *((counter, counter) for counter in counters)]
    rule = {
        "predicates": [item["predicate"] for item in limit.get("when") or []],
        "data": [{"expression": {"key": key, "value": value}} for key, value in data],
    }
    if policy["kind"] == "RateLimitPolicy":
        return _length(rule) + 1
    # A check and a report each, which Kuadrant does not join with those of other limits.
    added = {"key": "ratelimit.hits_addend", "value": 'responseBodyJSON("/usage/total_tokens")'}
    action = {
        "service": "ratelimit-report-service",
        "scope": _scope(policy),
        "sources": [f"tokenratelimitpolicy.kuadrant.io:{_scope(policy)}"],
        "conditionalData": [{**rule, "data": [*rule["data"], {"expression": added}]}],
    }
    return 2 * (_length(action) + 1)


def _limit_lines(policy: Manifest) -> int:
    total = 0
    for name, limit in policy["spec"]["limits"].items():
        variables = sum(
            len(f'  - descriptors[0]["{x["expression"]}"]\n') for x in limit.get("counters") or []
        )
        for rate in limit.get("rates") or []:
            texts = (
                "- conditions:\n",
                f'  - descriptors[0]["{"x" * _IDENTIFIER}{name}"] == "1"\n',
                f"  max_value: {rate['limit']}\n",
                f"  name: {name}\n",
                f"  namespace: {_scope(policy)}\n",
                f"  seconds: {parse_seconds(rate['window'])}\n",
                "  variables:\n",
            )
            total += sum(map(len, texts)) + variables
    return total


def _scope(policy: Manifest) -> str:
    return f"{policy['metadata']['namespace']}/{ROUTE_NAME}"


def _length(value: Any) -> int:
    """Return how long the value is as the API server keeps it: Go escapes these three."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return len(text.encode()) + 5 * sum(map(text.count, "<>&"))
