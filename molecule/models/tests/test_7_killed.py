# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""A run killed in the middle of an update: nobody notices, and the next run finishes its work."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from cluster import Kubectl
from conftest import NAMESPACE, Version, tiers
from model_owner import ModelOwner
from story import BIRCH, CEDAR, GROWN, MAPLE, OAK, SECOND, SETTLED
from trickle import Caller

testinfra_hosts = ["local://"]


@pytest.fixture(scope="module", autouse=True)
def finished(owner: ModelOwner, callers: Callable[[str], Caller], kubectl: Kubectl) -> float:
    """Kill a run while a model is being updated and another one comes, then run again."""
    for name in (BIRCH, CEDAR, MAPLE, OAK):
        callers(name)
    owner.ensure(*SETTLED, tiers=tiers([MAPLE], own=BIRCH))
    start = time.time()
    owner.kill(*GROWN, when=lambda: is_there(kubectl, OAK))
    callers(BIRCH).hear(200)
    owner.apply(*GROWN)
    return start


def is_there(kubectl: Kubectl, name: str) -> bool:
    found = kubectl.get("llminferenceservices", f"--namespace={NAMESPACE}")["items"]
    return name in [item["metadata"]["name"] for item in found]


@pytest.mark.parametrize("name", [BIRCH, CEDAR, MAPLE])
def test_no_caller_noticed(finished: float, callers: Callable[[str], Caller], name: str) -> None:
    callers(name).hear(200)
    assert callers(name).statuses(finished) == [200]


def test_the_new_one_serves(finished: float, callers: Callable[[str], Caller]) -> None:
    callers(OAK).hear(200)
    assert callers(OAK).statuses(finished) == [403, 200]


def test_the_update_is_finished(version: Version) -> None:
    assert {version(BIRCH) for _ in range(10)} == {SECOND}
