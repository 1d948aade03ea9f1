# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Models are no longer listed: first nobody may call them, then they go."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from cluster import Kubectl
from conftest import KINDS, NAMESPACE
from model_owner import ModelOwner
from story import BIRCH, CEDAR, GROWN, MAPLE, OAK
from trickle import Caller

testinfra_hosts = ["local://"]

NAMES = (BIRCH, CEDAR, MAPLE, OAK)


@pytest.fixture(scope="module", autouse=True)
def removed(owner: ModelOwner, callers: Callable[[str], Caller]) -> float:
    """Leave all of them out but one, which says so itself; return when it began."""
    for name in NAMES:
        callers(name)
    owner.ensure(*GROWN)
    for name in NAMES:
        callers(name).hear(200)
    start = time.time()
    owner.apply(GROWN[0] | {"state": "absent"})
    return start


@pytest.mark.parametrize("name", NAMES)
def test_access_goes_first(removed: float, callers: Callable[[str], Caller], name: str) -> None:
    callers(name).hear(403)
    assert callers(name).statuses(removed) == [200, 403]


def test_nothing_is_left(kubectl: Kubectl) -> None:
    items = kubectl.get(f"{KINDS},pods", f"--namespace={NAMESPACE}")["items"]
    names = [item["metadata"]["name"] for item in items]
    assert [name for name in names if name.startswith("story-")] == []
