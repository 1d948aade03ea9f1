# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The rules of role observability; molecule/default tests with promtool what they compute."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Template

ROOT = Path(__file__).resolve().parents[3]
RULES = ROOT / "roles" / "observability" / "files" / "rules"
COUNTERS = ("requests", "tokens", "prompt_tokens")


def rules(name: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((RULES / name).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_every_counter_is_summed_up_before_it_is_seen() -> None:
    # In the other order nobody would ever have used anything.
    records = [rule["record"] for rule in rules("usage.yml")]
    assert records == [
        *(f"maas:{counter}:{what}" for counter in COUNTERS for what in ("used", "seen")),
        "maas:gateway_pod:seen",
    ]


@pytest.mark.parametrize("counter", COUNTERS)
def test_the_counters_rules_differ_in_its_name_alone(counter: str) -> None:
    def of(name: str) -> list[str]:
        found = [rule["expr"] for rule in rules("usage.yml") if f":{name}:" in rule["record"]]
        return [re.sub(rf"(?<=maas[:_]){name}(?=[:_])", "*", expression) for expression in found]

    assert of(counter) == of("requests")


def test_every_alert_says_what_to_do() -> None:
    alerts = rules("alerts.yml")
    assert all(rule["annotations"].keys() == {"summary", "action"} for rule in alerts)
    assert {rule["labels"]["severity"] for rule in alerts} == {"critical", "warning"}


def test_rules_are_tested() -> None:
    tests = yaml.safe_load((Path(__file__).parent / "observability" / "rules.yml").read_text())
    assert set(tests["rule_files"]) == {path.name for path in RULES.glob("*.yml")}


def test_prometheus_reads_every_file_of_rules() -> None:
    # Prometheus starts without a file that is listed under a wrong name, and says nothing.
    role = ROOT / "roles" / "observability"
    listed = yaml.safe_load((role / "vars/main/prometheus.yml").read_text())["_observability_rules"]
    template = (role / "templates/prometheus.yml.j2").read_text()
    head = template.partition("{% if observability_alertmanagers")[0]
    rendered = Template(head).render(
        _observability_rules=listed, observability_scrape_interval="15s"
    )
    read = yaml.safe_load(rendered)["rule_files"]
    assert read == [f"/etc/prometheus/{name}.yml" for name in listed]
    assert {f"{name}.yml" for name in listed} == {path.name for path in RULES.glob("*.yml")}


@pytest.mark.parametrize("name", ["guards.yml.j2", "scaling.yml.j2"])
def test_a_template_without_objects_is_still_a_document(name: str) -> None:
    # Of an empty text Ansible makes the word None, which is no object.
    text = (RULES.parents[1] / "templates" / name).read_text()
    # The filter's name in Ansible, and in Jinja.
    template = Template(text.replace("to_json", "tojson"), trim_blocks=True)
    rendered = template.render(
        observability_mode="monitors",
        observability_scraper_peers=[],
        observability_model_namespaces=[],
    )
    assert rendered.strip()
    assert [found for found in yaml.safe_load_all(rendered) if found] == []
