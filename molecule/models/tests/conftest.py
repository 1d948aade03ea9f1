# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures: a model owner, users of the models, and callers of each model who note every answer.

The files tell one story, in the order of their numbers: what one leaves, the next goes on with.
A file that runs alone first makes what its part of the story begins with.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from api import Api
from chat import Chat
from cluster import Kubectl
from day2 import WIDE, Entry, Inventory, Owner, tier
from hidden import Hidden
from model_owner import ModelOwner
from people import People
from trickle import Caller, Trickle
from wire import Answer, Wire

from playbooks import run_playbook

NAMESPACE = "llm"
PREFIX = "maas-default-gateway-tier-"
KINDS = (
    "llminferenceservices,deployments,services,httproutes,envoyextensionpolicies,"
    "httproutefilters,horizontalpodautoscalers,poddisruptionbudgets"
)
OWN_LIMIT = 3
#: Calls every model all the time; no limit is near.
STEADY = [tier("story-all", 1001, People.group("all"), models=["*"])]

Version = Callable[[str], int]
Ask = Callable[..., Answer]


def tiers(some: list[str], own: str | None = None) -> list[Entry]:
    """Write two more tiers: one whose models tests change, one with a limit for one model."""
    limits = WIDE
    if own is not None:
        limits = WIDE | {"models": {own: {"requests": [{"limit": OWN_LIMIT, "window": "1h"}]}}}
    return [
        tier("story-some", 1002, People.group("some"), models=["gemma", *some]),
        tier("story-own", 1003, People.group("own"), models=["*"], limits=limits),
    ]


@pytest.fixture(scope="session")
def people(kubectl: Kubectl) -> Iterator[People]:
    people = People(kubectl)
    yield people
    people.remove_all()


@pytest.fixture(scope="session")
def owner(
    tmp_path_factory: pytest.TempPathFactory, kubectl: Kubectl, people: People
) -> Iterator[ModelOwner]:
    """Bring in the users' tiers, and at the end put the lab's own inventory back."""
    edits = Inventory(tmp_path_factory.mktemp("inventory"), STEADY)
    people.make(["all", "some", "own"])
    by_playbook = Owner(edits, "models")
    try:
        # Tiers are a matter of seconds; models come by the tests.
        Owner(edits, "tiers").apply(*tiers([]))
        yield ModelOwner(by_playbook, tiers([]))
        edits.forget()
        by_playbook.apply()
        last = run_playbook("models")
        assert " changed=0 " in last.stdout, last.stdout[-3000:]
        assert left(kubectl) == []
    finally:
        put_back(kubectl)


def left(kubectl: Kubectl) -> list[str]:
    """Return what is there of the story's models and tiers."""
    found = kubectl.get(KINDS, f"--namespace={NAMESPACE}")["items"]
    found += kubectl.get("namespaces", "--selector=maas.platform/tier")["items"]
    names = [f"{item['kind']}/{item['metadata']['name']}" for item in found]
    return sorted(name for name in names if "story-" in name)


def put_back(kubectl: Kubectl) -> None:
    """Leave the lab's own models and tiers alone on the cluster, whatever a failed test left."""
    names = [name.removeprefix("Namespace/") for name in left(kubectl)]
    tier_namespaces = [name for name in names if name.startswith(PREFIX)]
    if tier_namespaces:
        kubectl("delete", "namespaces", "--wait=false", *tier_namespaces)
    if names:
        run_playbook("models")


@pytest.fixture(scope="session")
def token(owner: ModelOwner, api: Api, people: People) -> Callable[[str], str]:  # noqa: ARG001 - the tiers first
    """Mint for the one person in a group, once."""
    minted: dict[str, str] = {}

    def token(group: str) -> str:
        if group not in minted:
            answer = api.mint(people.member(group).login)
            assert answer.status == 201, answer
            minted[group] = Hidden(answer.json()["token"])
        return minted[group]

    return token


@pytest.fixture(scope="session")
def ask(token: Callable[[str], str], chat: Chat) -> Ask:
    """Ask a model for a few tokens."""

    def ask(name: str, group: str = "all", tokens: int = 1) -> Answer:
        return chat(token(group), f"{NAMESPACE}/{name}", tokens=tokens)

    return ask


@pytest.fixture(scope="session")
def version(token: Callable[[str], str], wire: Wire) -> Version:
    """Ask a model which context it has: the setting that tests tell its versions by."""

    def version(name: str) -> int:
        path = f"/{NAMESPACE}/{name}/v1/models"
        answer = wire.request("GET", path, token=token("all"))
        assert answer.status == 200, answer
        return int(answer.json()["data"][0]["meta"]["n_ctx"])

    return version


@pytest.fixture(scope="session")
def trickle(ask: Ask, token: Callable[[str], str], wire: Wire) -> Iterator[Trickle]:
    """Start the callers whose answers never change."""
    path = f"/{NAMESPACE}/gemma/v1/models"
    trickle = Trickle()
    trickle.expect("a model of before", lambda: ask("gemma"), 200, every_seconds=1)
    trickle.expect("somebody without it", lambda: ask("gemma-large", "some"), 403, every_seconds=1)
    trickle.expect("a stranger", lambda: wire.request("GET", path, token="garbage"), 401, 1)
    token("own")
    yield trickle
    trickle.stop()


@pytest.fixture(scope="session")
def callers(trickle: Trickle, ask: Ask) -> Callable[[str], Caller]:
    """Follow a model, from before it is there until after it is gone."""
    known: dict[str, Caller] = {}

    def follow(name: str) -> Caller:
        if name not in known:
            known[name] = trickle.follow(name, lambda: ask(name), every_seconds=0.5, may_fail=True)
        return known[name]

    return follow


@pytest.fixture(scope="session")
def checked() -> list[float]:
    """When the answers to the steady callers were last looked at."""
    return [time.time()]


@pytest.fixture(autouse=True)
def nobody_notices(trickle: Trickle, checked: list[float]) -> Iterator[None]:
    """No steady caller got a wrong answer while the test ran, and what it needed was made."""
    yield
    since, checked[0] = checked[0], time.time()
    wrong = trickle.wrong(since)
    assert not wrong, "\n".join([f"{len(wrong)} of {trickle.heard(since)}:", *wrong])
