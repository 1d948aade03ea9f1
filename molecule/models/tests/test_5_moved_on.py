# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The next run: a canary without calls, a model back from its pause, one that is gone for good."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from cluster import Kubectl
from conftest import KINDS, NAMESPACE, Ask, Version, tiers
from day2 import Outcome
from model_owner import ModelOwner
from story import BIRCH, CANARY, CEDAR, FIRST, MAPLE, MOVED, MOVED_ON, SECOND, WILLOW
from trickle import Caller, Trickle

testinfra_hosts = ["local://"]

BITES_WITHIN_SECONDS = 5.0


@dataclass(frozen=True)
class Run:
    """One run of the playbook, since when it was listened to, and who lost a model by it."""

    start: float
    outcome: Outcome
    loser: Caller


@pytest.fixture(scope="module", autouse=True)
def moved_on(
    owner: ModelOwner, callers: Callable[[str], Caller], trickle: Trickle, ask: Ask
) -> Run:
    """Move on with all four, and take one away from a tier."""
    for name in (BIRCH, CEDAR, MAPLE, WILLOW):
        callers(name)
    owner.ensure(*MOVED, tiers=tiers([BIRCH], own=BIRCH))
    callers(WILLOW).hear(404, seconds=90)
    loser = trickle.follow("who loses a model", lambda: ask(BIRCH, "some"), every_seconds=0.3)
    loser.hear(200)
    start = time.time()
    outcome = owner.apply(*MOVED_ON, tiers=tiers([MAPLE], own=BIRCH))
    return Run(start, outcome, loser)


def test_a_canary_without_weight_gets_no_call(
    moved_on: Run, callers: Callable[[str], Caller], version: Version, kubectl: Kubectl
) -> None:
    assert Counter(version(BIRCH) for _ in range(40)) == {SECOND: 40}
    assert callers(BIRCH).statuses(moved_on.start) == [200]
    canary = kubectl.get("deployment", f"{BIRCH}-canary-kserve", f"--namespace={NAMESPACE}")
    assert canary["status"]["readyReplicas"] == 1


def test_a_paused_model_is_back(
    moved_on: Run, callers: Callable[[str], Caller], version: Version
) -> None:
    callers(CEDAR).hear(200)
    assert callers(CEDAR).statuses(moved_on.start) == [503, 200]
    assert {version(CEDAR) for _ in range(40)} == {FIRST, CANARY}


def test_a_retired_model_has_left_nothing(
    moved_on: Run, callers: Callable[[str], Caller], kubectl: Kubectl
) -> None:
    callers(WILLOW).hear(403)
    assert callers(WILLOW).statuses(moved_on.start) == [404, 403]
    items = kubectl.get(KINDS, f"--namespace={NAMESPACE}")["items"]
    names = [item["metadata"]["name"] for item in items]
    assert [name for name in names if name.startswith(WILLOW)] == []


def test_a_tier_loses_a_model_and_gets_another_within_seconds(moved_on: Run, ask: Ask) -> None:
    moved_on.loser.hear(403)
    moved_on.loser.stop()
    assert moved_on.loser.statuses(moved_on.start) == [200, 403]
    lost = moved_on.loser.first(403, moved_on.start)
    assert lost.sent - moved_on.outcome.at("applied_at") <= BITES_WITHIN_SECONDS
    assert ask(MAPLE, "some").status == 200
