# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""A canary promoted, another rolled back; what hands did is told by --check and then repaired."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from cluster import Kubectl
from conftest import KINDS, NAMESPACE, Version, tiers
from model_owner import ModelOwner
from story import BIRCH, CANARY, CEDAR, FIRST, MAPLE, MOVED_ON, SETTLED
from trickle import Caller

testinfra_hosts = ["local://"]

SCALED_DOWN_WITHIN_SECONDS = 120.0


@pytest.fixture(scope="module")
def drifted(
    owner: ModelOwner, callers: Callable[[str], Caller], kubectl: Kubectl
) -> dict[str, Any]:
    """Change by hand how a model scales, who gets its calls, and how it runs; return what was."""
    for name in (BIRCH, CEDAR, MAPLE):
        callers(name)
    owner.ensure(*MOVED_ON, tiers=tiers([MAPLE], own=BIRCH))
    before = specs(kubectl, MAPLE)
    kubectl("delete", "hpa", MAPLE, f"--namespace={NAMESPACE}")
    change(kubectl, "llminferenceservice", MAPLE, str(FIRST * 2), str(FIRST * 4))
    change(kubectl, "httproute", MAPLE, '"15m"', '"7m"')
    return before


@pytest.fixture(scope="module")
def told(owner: ModelOwner, drifted: dict[str, Any], kubectl: Kubectl) -> str:  # noqa: ARG001 - before
    by_hand = specs(kubectl, MAPLE)
    told = owner.explain(*SETTLED, tiers=tiers([MAPLE], own=BIRCH))
    assert specs(kubectl, MAPLE) == by_hand
    return told


@pytest.fixture(scope="module", autouse=True)
def settled(owner: ModelOwner, told: str, callers: Callable[[str], Caller]) -> float:  # noqa: ARG001 - before
    """Run over what hands did and over the canaries' end; return when it began."""
    for name in (BIRCH, CEDAR, MAPLE):
        callers(name).hear(200)
    start = time.time()
    owner.apply(*SETTLED, tiers=tiers([MAPLE], own=BIRCH))
    return start


def test_check_mode_tells_all_of_it(told: str) -> None:
    assert [words for words in (str(FIRST * 4), "7m", f"{BIRCH}-canary") if words not in told] == []


def test_what_hands_did_is_undone(drifted: dict[str, Any], kubectl: Kubectl) -> None:
    assert specs(kubectl, MAPLE) == drifted


def test_the_promoted_canary_is_the_model(version: Version) -> None:
    assert {version(BIRCH) for _ in range(20)} == {CANARY}


def test_the_rolled_back_one_is_what_it_was(version: Version) -> None:
    assert {version(CEDAR) for _ in range(20)} == {FIRST}


@pytest.mark.parametrize("name", [BIRCH, CEDAR, MAPLE])
def test_no_caller_noticed(settled: float, callers: Callable[[str], Caller], name: str) -> None:
    callers(name).hear(200)
    assert callers(name).statuses(settled) == [200]


def test_of_the_canaries_nothing_is_left(kubectl: Kubectl) -> None:
    items = kubectl.get(KINDS, f"--namespace={NAMESPACE}")["items"]
    assert [
        item["metadata"]["name"] for item in items if "-canary" in item["metadata"]["name"]
    ] == []


def test_without_load_it_is_scaled_down(kubectl: Kubectl) -> None:
    deadline = time.monotonic() + SCALED_DOWN_WITHIN_SECONDS
    where = ("deployment", f"{MAPLE}-kserve", f"--namespace={NAMESPACE}")
    while kubectl.get(*where)["spec"]["replicas"] != 1:
        assert time.monotonic() < deadline, kubectl("describe", "hpa", f"--namespace={NAMESPACE}")
        time.sleep(1)


def specs(kubectl: Kubectl, name: str) -> dict[str, Any]:
    """Return how a model's own objects are specified."""
    kinds = "llminferenceservices,httproutes,horizontalpodautoscalers"
    items = kubectl.get(kinds, f"--namespace={NAMESPACE}")["items"]
    return {item["kind"]: item["spec"] for item in items if item["metadata"]["name"] == name}


def change(kubectl: Kubectl, kind: str, name: str, old: str, new: str) -> None:
    """Change a text in an object, as kubectl edit would."""
    found = kubectl("get", kind, name, f"--namespace={NAMESPACE}", "--output=json")
    assert old in found
    kubectl("replace", "--filename=-", manifest=json.loads(found.replace(old, new)))
