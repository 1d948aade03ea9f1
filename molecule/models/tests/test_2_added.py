# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Models are added: nobody reaches them before they have answered a prompt."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from api import Api
from cluster import Kubectl
from conftest import NAMESPACE, OWN_LIMIT, Ask, Version, tiers
from model_owner import ModelOwner
from story import ADDED, BIRCH, CEDAR, FIRST, NAMES
from strays import knock
from trickle import Caller
from wire import Wire

testinfra_hosts = ["local://"]


@pytest.fixture(scope="module", autouse=True)
def added(owner: ModelOwner, callers: Callable[[str], Caller]) -> float:
    """Add them, while somebody asks for them all the time; return when it began."""
    start = time.time()
    for name in NAMES:
        callers(name).hear(403)
    owner.apply(*ADDED, tiers=tiers([BIRCH], own=BIRCH))
    return start


@pytest.mark.parametrize("name", NAMES)
def test_unknown_until_it_serves(
    added: float, callers: Callable[[str], Caller], version: Version, name: str
) -> None:
    callers(name).hear(200)
    assert callers(name).statuses(added) == [403, 200]
    assert version(name) == FIRST


def test_a_second_run_changes_nothing(owner: ModelOwner) -> None:
    again = owner.apply(*ADDED, tiers=tiers([BIRCH], own=BIRCH))
    assert again.changed == 0, again.results


def test_the_list_of_models_has_them(api: Api, token: Callable[[str], str]) -> None:
    listed = api("GET", "/v1/models", token=token("some")).json()["data"]
    assert [model["id"] for model in listed] == ["gemma", BIRCH]


def test_a_models_own_limit_holds_at_the_base_url(wire: Wire, token: Callable[[str], str]) -> None:
    def ask(name: str) -> int:
        body = {"model": name, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
        own = token("own")
        return wire.request("POST", "/v1/chat/completions", token=own, body=body).status

    assert [ask(BIRCH) for _ in range(OWN_LIMIT + 1)] == [200] * OWN_LIMIT + [429]
    assert [ask(CEDAR) for _ in range(OWN_LIMIT + 1)] == [200] * (OWN_LIMIT + 1)


def test_a_tier_calls_only_what_it_names(ask: Ask) -> None:
    assert [ask(name, "some").status for name in NAMES] == [200, 403, 403, 403]


def test_a_stray_pod_among_the_models_reaches_none(kubectl: Kubectl) -> None:
    pods = kubectl.get("pods", f"--namespace={NAMESPACE}", "--field-selector=status.phase=Running")[
        "items"
    ]
    addresses = {
        pod["metadata"]["labels"]["app.kubernetes.io/name"]: pod["status"]["podIP"] for pod in pods
    }
    targets = {f"{name}:{port}": (addresses[name], port) for name in NAMES for port in (8000, 8001)}
    assert knock(kubectl, NAMESPACE, targets) == dict.fromkeys(targets, "closed")
