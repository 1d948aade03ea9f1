# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""One run: half of a model's calls to a canary, a model paused, one scaled by load, one retired."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest
from cluster import Kubectl
from conftest import NAMESPACE, Ask, Version, tiers
from model_owner import ModelOwner
from story import (
    BIRCH,
    CANARY,
    CEDAR,
    CHANGED,
    MAPLE,
    MOVED,
    NAMES,
    RETIRE_SECONDS,
    SECOND,
    WILLOW,
)
from trickle import Caller, Trickle
from wire import Wire

testinfra_hosts = ["local://"]

SCALED_WITHIN_SECONDS = 90.0


@pytest.fixture(scope="module", autouse=True)
def moved(owner: ModelOwner, callers: Callable[[str], Caller]) -> float:
    """Make all four moves; return when it began."""
    for name in NAMES:
        callers(name)
    owner.ensure(*CHANGED, tiers=tiers([BIRCH], own=BIRCH))
    for name in NAMES:
        callers(name).hear(200)
    start = time.time()
    owner.apply(*MOVED, tiers=tiers([BIRCH], own=BIRCH))
    return start


@pytest.fixture(scope="module", autouse=True)
def load(moved: float, trickle: Trickle, ask: Ask) -> Iterator[list[Caller]]:  # noqa: ARG001 - from then on
    """Keep the scaled model busy with long answers."""
    callers = [
        trickle.follow(f"load {n}", lambda: ask(MAPLE, tokens=40), every_seconds=0.01)
        for n in range(3)
    ]
    yield callers
    for caller in callers:
        caller.stop()


class TestRetired:
    """Announced until its last moment; gone from then on, without anybody's doing."""

    def test_answers_say_until_when(self, kubectl: Kubectl, ask: Ask, moved: float) -> None:
        until = last_moment(kubectl)
        assert moved < until - RETIRE_SECONDS < time.time()
        answer = ask(WILLOW)
        assert answer.status == 200
        sunset = answer.header("sunset") or ""
        assert parsedate_to_datetime(sunset).timestamp() == until
        deprecated = re.fullmatch(r"@(\d+)", answer.header("deprecation") or "")
        assert deprecated is not None
        assert int(deprecated[1]) == until - RETIRE_SECONDS

    def test_other_models_say_nothing(self, ask: Ask) -> None:
        answer = ask(BIRCH)
        assert (answer.header("sunset"), answer.header("deprecation")) == (None, None)


class TestCanary:
    """Half of the calls, of every caller."""

    def test_each_version_answers_about_half(self, version: Version) -> None:
        seen = Counter(version(BIRCH) for _ in range(60))
        assert set(seen) == {SECOND, CANARY}
        # Further from half than this would be a chance of one in a hundred million.
        assert 8 <= seen[CANARY] <= 52

    def test_no_caller_noticed(self, callers: Callable[[str], Caller], moved: float) -> None:
        callers(BIRCH).hear(200)
        assert callers(BIRCH).statuses(moved) == [200]


class TestPaused:
    """Nothing runs, and a caller is told to come back."""

    def test_a_caller_is_told(
        self, ask: Ask, callers: Callable[[str], Caller], moved: float
    ) -> None:
        answer = ask(CEDAR)
        assert answer.status == 503
        assert answer.header("retry-after") == "60"
        assert answer.header("content-type") == "application/json"
        error = answer.json()["error"]
        assert (error["code"], error["type"], error["param"]) == (
            "model_paused",
            "service_unavailable",
            "model",
        )
        assert callers(CEDAR).statuses(moved) == [200, 503]

    def test_the_same_at_the_base_url(self, wire: Wire, token: Callable[[str], str]) -> None:
        body = {"model": CEDAR, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
        answer = wire.request("POST", "/v1/chat/completions", token=token("all"), body=body)
        assert (answer.status, answer.json()["error"]["code"]) == (503, "model_paused")

    def test_nobody_else_is_told(self, ask: Ask) -> None:
        assert ask(CEDAR, "some").status == 403

    def test_nothing_runs(self, kubectl: Kubectl) -> None:
        assert pods_of(kubectl, CEDAR) == []


def test_retirement_comes_by_itself(
    kubectl: Kubectl, ask: Ask, callers: Callable[[str], Caller], moved: float
) -> None:
    until = last_moment(kubectl)
    caller = callers(WILLOW)
    caller.hear(404, seconds=RETIRE_SECONDS)
    assert caller.statuses(moved) == [200, 404]
    assert until <= caller.first(404, moved).answered < until + 2
    assert ask(WILLOW).json()["error"]["code"] == "model_retired"


def test_load_scales_up(kubectl: Kubectl, callers: Callable[[str], Caller], moved: float) -> None:
    deadline = time.monotonic() + SCALED_WITHIN_SECONDS
    while ready(kubectl, MAPLE) < 2:
        assert time.monotonic() < deadline, kubectl("describe", "hpa", f"--namespace={NAMESPACE}")
        time.sleep(1)
    assert callers(MAPLE).statuses(moved) == [200]


def last_moment(kubectl: Kubectl) -> float:
    """Return the deadline that was decided when the model was retired."""
    service = kubectl.get("llminferenceservice", WILLOW, f"--namespace={NAMESPACE}")
    text = service["metadata"]["annotations"]["maas.platform/until"]
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()


def pods_of(kubectl: Kubectl, name: str) -> list[str]:
    selector = f"--selector=app.kubernetes.io/name={name}"
    return kubectl("get", "pods", f"--namespace={NAMESPACE}", selector, "--output=name").split()


def ready(kubectl: Kubectl, name: str) -> int:
    """Return how many pods of a model are ready."""
    deployment = kubectl.get("deployment", f"{name}-kserve", f"--namespace={NAMESPACE}")
    return int(deployment["status"].get("readyReplicas", 0))
