# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Updates: a good one rolls, three bad ones are taken back, and no caller notices any of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from cluster import Kubectl
from conftest import NAMESPACE, Version, tiers
from day2 import Outcome
from model_owner import ModelOwner
from story import ADDED, BIRCH, CEDAR, FIRST, MAPLE, NAMES, SECOND, WILLOW, changed_badly
from trickle import Caller

testinfra_hosts = ["local://"]


@dataclass(frozen=True)
class Run:
    """One run of the playbook, and since when it was listened to."""

    start: float
    outcome: Outcome


@pytest.fixture(scope="module", autouse=True)
def updated(owner: ModelOwner, callers: Callable[[str], Caller]) -> Run:
    """Change all four at once."""
    owner.ensure(*ADDED, tiers=tiers([BIRCH], own=BIRCH))
    for name in NAMES:
        callers(name).hear(200)
    start = time.time()
    return Run(start, owner.run(*changed_badly(), tiers=tiers([BIRCH], own=BIRCH)))


@pytest.mark.parametrize("name", NAMES)
def test_no_caller_notices(updated: Run, callers: Callable[[str], Caller], name: str) -> None:
    callers(name).hear(200)
    assert callers(name).statuses(updated.start) == [200]


def test_the_good_one_serves(version: Version) -> None:
    assert {version(BIRCH) for _ in range(10)} == {SECOND}


@pytest.mark.parametrize("name", [CEDAR, MAPLE, WILLOW])
def test_the_bad_ones_are_what_they_were(kubectl: Kubectl, version: Version, name: str) -> None:
    assert {version(name) for _ in range(10)} == {FIRST}
    pods = kubectl.get(
        "pods", f"--namespace={NAMESPACE}", f"--selector=app.kubernetes.io/name={name}"
    )["items"]
    assert [pod["metadata"].get("deletionTimestamp") for pod in pods] == [None]


def test_the_run_fails_and_says_why(updated: Run) -> None:
    assert updated.outcome.status == 2
    assert updated.outcome.message == ""
