# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What benchmarks print, and what they must not touch."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from benchmarks.cli import BENCHMARKS, app
from benchmarks.front_doors import NAMESPACE
from benchmarks.gateway_policies import our_policies, upstream_policies
from benchmarks.lab import OWNER
from benchmarks.objects import _manifests
from benchmarks.rendering import make_tier
from benchmarks.report import Report, write_number


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0.00"), (0.00123, "0.0012"), (1.236, "1.24"), (12.34, "12.3"), (1234.5, "1,234")],
)
def test_a_number_has_as_many_digits_as_it_is_worth(value, text):
    assert write_number(value) == text


def test_a_report_is_a_table_and_json():
    report = Report("tokens", "1,000 tokens", "bare requests")
    report.add("ours", 400.0, "tokens/s", 0.85, "2.5 s")
    report.judge("at least 0.8", met=True)
    text = report.as_markdown()
    assert "| ours | 400 tokens/s | 0.85 | 2.5 s |" in text
    assert text.endswith("Baseline: bare requests.  \nGoal: at least 0.8: reached.")
    assert json.loads(json.dumps(report.as_json()))["rows"][0]["ratio"] == 0.85


def test_without_a_name_the_benchmarks_are_listed():
    printed = CliRunner().invoke(app, []).output
    assert [name for name in BENCHMARKS if name not in printed] == []


def test_an_unknown_benchmark_is_refused():
    done = CliRunner().invoke(app, ["speed"])
    assert done.exit_code == 2


def test_everything_a_benchmark_applies_is_marked_as_its_own():
    tiers = [make_tier(number, 2) for number in range(3)]
    made = [
        *_manifests("maas-bench-x", 3),
        *our_policies(tiers, "ours"),
        *upstream_policies(tiers, "upstream", cached=True),
    ]
    owners = {item["metadata"]["labels"]["app.kubernetes.io/managed-by"] for item in made}
    assert owners == {OWNER}
    places = {item["metadata"].get("namespace", "maas-bench-x") for item in made}
    assert all(place.startswith("maas-bench-") for place in places)


def test_the_platform_s_runs_do_not_wait_for_a_benchmark_s_policies():
    policies = our_policies([make_tier(0, 1)], "ours")
    assert "x-maas-revision" not in json.dumps(policies)
    assert {policy["metadata"]["namespace"] for policy in policies} == {NAMESPACE}
    assert {policy["spec"]["targetRef"]["name"] for policy in policies} == {"ours"}
