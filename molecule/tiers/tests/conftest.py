# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures: a tier owner, people to use the tiers, and a trickle of requests that must not notice.

Steady tiers stand beside the ones a test edits. Their users call all the time, and every answer
to them is known before it is asked for: after each test, none may have been another.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
import yaml
from api import Api
from chat import Chat
from cluster import Kubectl
from day2 import WIDE, Inventory, Owner, tier
from hidden import Hidden
from people import People
from trickle import Caller, Trickle
from wire import Answer, Wire

from playbooks import run_playbook

PREFIX = "maas-default-gateway-tier-"
LAB_TIERS = ["enterprise", "free", "premium"]
OPEN, CLOSED = "llm/gemma", "llm/gemma-large"
STEADY = [
    tier("steady-low", 1001, People.group("low")),
    tier("steady-high", 1002, People.group("high"), models=["*"]),
    # One request, and one token, in a day: whoever has used it is refused from then on.
    tier(
        "steady-spent",
        1003,
        People.group("spent"),
        limits=WIDE | {"requests": [{"limit": 1, "window": "24h"}]},
    ),
    tier(
        "steady-used-up",
        1004,
        People.group("used-up"),
        limits=WIDE | {"tokens": [{"limit": 1, "window": "24h"}]},
    ),
]

Mint = Callable[[str], str]
Touch = Callable[..., Answer]
Follow = Callable[..., Caller]


@pytest.fixture(scope="session")
def people(kubectl: Kubectl) -> Iterator[People]:
    people = People(kubectl)
    yield people
    people.remove_all()


@pytest.fixture(scope="session")
def owner(
    tmp_path_factory: pytest.TempPathFactory, kubectl: Kubectl, people: People
) -> Iterator[Owner]:
    """Bring in the steady tiers, and at the end put the lab's own inventory back."""
    owner = Owner(Inventory(tmp_path_factory.mktemp("inventory"), STEADY))
    people.make(["low", "high", "spent", "used-up", "one", "two"])
    try:
        owner.apply()
        yield owner
        owner.inventory.forget()
        owner.apply()
        last = run_playbook("tiers")
        assert " changed=0 " in last.stdout, last.stdout[-3000:]
        assert tier_namespaces(kubectl) == [f"{PREFIX}{tier}" for tier in LAB_TIERS]
    finally:
        put_back(kubectl)


def put_back(kubectl: Kubectl) -> None:
    """Leave the lab's own tiers alone on the cluster, whatever a failed test left."""
    left = set(tier_namespaces(kubectl)) - {f"{PREFIX}{tier}" for tier in LAB_TIERS}
    if left:
        kubectl("delete", "namespaces", "--wait=false", *sorted(left))
        run_playbook("tiers")


def tier_namespaces(kubectl: Kubectl) -> list[str]:
    """Return the names of all namespaces that belong to a tier."""
    found = kubectl.get("namespaces", "--selector=maas.platform/tier")["items"]
    return sorted(item["metadata"]["name"] for item in found)


def end_transition(kubectl: Kubectl, tier_name: str, after_seconds: float = -3600) -> float:
    """Move the deadline of a tier's old tokens from far away to now; return it."""
    where = ("configmap", "tier-to-group-mapping", "--namespace=maas-api")
    former = yaml.safe_load(kubectl.get(*where)["data"]["former"])
    assert [entry["name"] for entry in former] == [tier_name]
    until = int(time.time() + after_seconds)
    former[0]["until"] = f"{datetime.fromtimestamp(until, UTC):%Y-%m-%dT%H:%M:%SZ}"
    patch = {"data": {"former": yaml.safe_dump(former)}}
    kubectl("patch", *where, f"--patch={json.dumps(patch)}")
    return until


@pytest.fixture(scope="session")
def mint(owner: Owner, api: Api, people: People) -> Mint:  # noqa: ARG001 - the tiers first
    """Mint for the one person in a group, as that person."""

    def mint(group: str) -> str:
        answer = api.mint(people.member(group).login)
        assert answer.status == 201, answer
        return Hidden(answer.json()["token"])

    return mint


@pytest.fixture(scope="session")
def touch(wire: Wire) -> Touch:
    """Make the cheapest request that counts."""

    def touch(token: str, model: str = OPEN) -> Answer:
        return wire.request("GET", f"/{model}/v1/models", token=token)

    return touch


@pytest.fixture(scope="session")
def trickle(mint: Mint, touch: Touch, chat: Chat) -> Iterator[Trickle]:
    """Start the callers whose answers never change."""
    low, high, spent, used_up = (mint(name) for name in ("low", "high", "spent", "used-up"))
    assert touch(spent).status == 200
    assert chat(used_up, OPEN).status == 200
    trickle = Trickle()
    trickle.expect("low calls its model", lambda: touch(low), 200)
    trickle.expect("high completes", lambda: chat(high, CLOSED), 200, every_seconds=2)
    trickle.expect("low calls a model it may not", lambda: touch(low, CLOSED), 403)
    trickle.expect("spent is out of requests", lambda: touch(spent), 429)
    trickle.expect("used-up is out of tokens", lambda: touch(used_up), 429)
    trickle.expect("a stranger", lambda: touch("garbage"), 401)
    yield trickle
    trickle.stop()


@pytest.fixture(autouse=True)
def nobody_notices(trickle: Trickle) -> Iterator[None]:
    """No request got a wrong answer, and none of all callers a 5xx, while the test ran."""
    start = time.time()
    yield
    wrong = trickle.wrong(start)
    assert not wrong, "\n".join([f"{len(wrong)} of {trickle.heard(start)}:", *wrong])


@pytest.fixture
def follow(trickle: Trickle, touch: Touch) -> Iterator[Follow]:
    """Follow one token for a test, and know what it hears."""
    callers: list[Caller] = []

    def follow(name: str, token: str, model: str = OPEN) -> Caller:
        callers.append(trickle.follow(name, lambda: touch(token, model), every_seconds=0.2))
        return callers[-1]

    yield follow
    for caller in callers:
        caller.stop()
