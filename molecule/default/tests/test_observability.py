# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Metrics: everything is read, and each user's usage is what the answers said, to the token."""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from accounts import User
from chat import Chat, usage
from cluster import Kubectl
from running_lab import CHECKOUT

testinfra_hosts = ["local://"]

NAMESPACE = "maas-observability"
PROXY = f"/api/v1/namespaces/{NAMESPACE}/services/prometheus:9090/proxy/api/v1"
JOBS = {
    "authorino",
    "authorino-controller",
    "envoy-gateway",
    "kuadrant-operator",
    "limitador",
    "maas-api",
    "maas-default-gateway",
    "maas-internal",
    "models-llm",
    "prometheus",
}
# Counters are read every 15 s and summed up every 30 s.
PATIENCE_SECONDS = 90

Query = Callable[[str], dict[tuple[str, ...], float]]


@pytest.fixture(scope="module")
def query(kubectl: Kubectl) -> Query:
    """Ask for one value for each set of labels, whose values come in the order of their names."""

    def ask(expression: str) -> dict[tuple[str, ...], float]:
        path = f"{PROXY}/query?{urllib.parse.urlencode({'query': expression})}"
        return {
            tuple(value for _, value in sorted(found["metric"].items())): float(found["value"][1])
            for found in kubectl.raw(path)["data"]["result"]
        }

    return ask


def eventually(read: Callable[[], Any], wanted: Any) -> Any:
    """Return what is read, as soon as it is what is wanted or patience is over."""
    end = time.monotonic() + PATIENCE_SECONDS
    while (seen := read()) != wanted and time.monotonic() < end:
        time.sleep(1)
    return seen


def test_every_target_is_read(query: Query) -> None:
    def down() -> set[tuple[str, ...]]:
        return set(query("sum by (job) (up == 0)"))

    def known() -> set[str]:
        return {labels[0] for labels in query("sum by (job) (up)")}

    assert eventually(known, JOBS) == JOBS
    assert eventually(down, set()) == set()


def test_usage_is_what_the_answers_said(
    new_user: Callable[[str], User], chat: Chat, query: Query, model: str
) -> None:
    user = new_user("premium")
    plain = [usage([chat(user, model, tokens=2).json()]) for _ in range(3)]
    streamed = [usage(chat(user, model, tokens=2, stream=True).events()) for _ in range(2)]
    labels = (model, "premium", user.account)

    def used(what: str) -> dict[tuple[str, ...], float]:
        return query(
            "sum by (model, tier, user) "
            f'(sum_over_time(maas:{what}:used{{user="{user.account}"}}[1h]))'
        )

    wanted = {labels: sum(plain) + sum(streamed)}
    assert eventually(lambda: used("tokens"), wanted) == wanted
    assert used("requests") == {labels: 5}


def test_a_refused_call_is_nobodys_usage(
    new_user: Callable[[str], User], chat: Chat, query: Query, model: str, denied_model: str
) -> None:
    user = new_user("free")
    assert chat(user, denied_model).status == 403
    assert chat(user, model).status == 200

    def requests() -> dict[tuple[str, ...], float]:
        return query(
            f'sum by (model) (sum_over_time(maas:requests:used{{user="{user.account}"}}[1h]))'
        )

    assert eventually(requests, {(model,): 1}) == {(model,): 1}


def test_an_answer_without_usage_is_a_request_and_nothing_else(
    new_user: Callable[[str], User], chat: Chat, query: Query, kubectl: Kubectl, model: str
) -> None:
    user = new_user("premium")
    assert chat.touch(user, model) == 200

    def used(what: str) -> list[float]:
        asked = f'sum_over_time(maas:{what}:used{{user="{user.account}"}}[1h])'
        return list(query(asked).values())

    assert eventually(lambda: used("requests"), [1]) == [1]
    assert used("tokens") == []
    # Envoy complains about each count that is no number.
    said = kubectl(
        *("logs", "--namespace=envoy-gateway-system", "--container=envoy", "--tail=-1"),
        f"--since={PATIENCE_SECONDS}s",
        "--selector=gateway.envoyproxy.io/owning-gateway-name=maas-internal",
    )
    assert "non-number" not in said


def test_the_rules_do_what_their_tests_say(kubectl: Kubectl) -> None:
    tests = yaml.safe_load((CHECKOUT / "tests/unit/roles/observability/rules.yml").read_text())
    # promtool comes with Prometheus, and reads JSON as the YAML that it is.
    tests["rule_files"] = [f"/etc/prometheus/{name}" for name in tests["rule_files"]]

    said = kubectl(
        *("exec", "--stdin", f"--namespace={NAMESPACE}", "deployment/prometheus", "--"),
        *("promtool", "test", "rules", "/dev/stdin"),
        manifest=tests,
    )

    assert said.split()[-1] == "SUCCESS"


def test_no_alert_is_broken(kubectl: Kubectl) -> None:
    groups = kubectl.raw(f"{PROXY}/rules")["data"]["groups"]
    health = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    assert set(health.values()) == {"ok"}
