# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Entries that cannot be meant: refused before anything changes, each with what would be right."""

from __future__ import annotations

from typing import Any

import pytest
from cluster import Kubectl
from conftest import KINDS, NAMESPACE, tiers
from model_owner import ModelOwner, model

testinfra_hosts = ["local://"]


def versions(kubectl: Kubectl) -> dict[str, int]:
    """Return the generation of everything a model is made of."""
    items = kubectl.get(KINDS, f"--namespace={NAMESPACE}")["items"]
    return {
        f"{item['kind']}/{item['metadata']['name']}": item["metadata"].get("generation", 0)
        for item in items
    }


# In the order of the inventory, where they stand after the lab's own two models.
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a scheme nobody knows": (
        model("story-scheme", uri="gs://bucket/model"),
        'maas_models[2].uri: value "gs://bucket/model",'
        " allowed: where its files are: hf://, oci://, pvc:// or s3://",
    ),
    "two of one name": (
        model("gemma"),
        'maas_models[3].name: value "gemma", allowed: a name that maas_models[0] has not',
    ),
    "a weight above 100": (
        model("story-weight", canary={"weight": 101, "replicas": 1}),
        "maas_models[4].canary.weight: value 101,"
        " allowed: a whole number, at least 0 and at most 100",
    ),
    "a canary like the model": (
        model("story-same", canary={"weight": 5}),
        "maas_models[5].canary: value (not shown), allowed: with weight, at least one of uri,"
        " replicas, autoscaling, gpus, nodes, parallelism, pool, storage_initializer, storage,"
        " runtime, spec",
    ),
    "a state that is none": (
        model("story-state", state="stopped"),
        'maas_models[6].state: value "stopped", allowed: one of present, paused, retired, absent',
    ),
    "an unknown signal": (
        model(
            "story-signal",
            replicas=None,
            autoscaling={"min": 1, "max": 2, "signal": "mood", "target": 1},
        ),
        'maas_models[7].autoscaling.signal: value "mood",'
        " allowed: one of requests, queue, gpu, cpu",
    ),
}
MISSING = (
    'maas_tiers[4].models[1]: value "story-nowhere", allowed: a model in maas_models: gemma,'
    " gemma-large, story-scheme, story-weight, story-same, story-state, story-signal"
    " (did you mean story-state?)"
)


@pytest.fixture(scope="module")
def refusal(owner: ModelOwner, kubectl: Kubectl) -> list[str]:
    """Run once over everything that is wrong, and see that nothing changed."""
    before = versions(kubectl)
    entries = [entry for entry, _line in WRONG.values()]
    message = owner.refuse(*entries, tiers=tiers(["story-nowhere"]))
    assert versions(kubectl) == before
    return message.splitlines()


def test_the_host_is_named_and_the_problems_are_counted(refusal: list[str]) -> None:
    assert refusal[0] == f"kind: {len(WRONG) + 1} to correct, nothing was changed."


@pytest.mark.parametrize(("place", "wrong"), enumerate(WRONG, 1))
def test_a_wrong_entry_is_named(refusal: list[str], place: int, wrong: str) -> None:
    _entry, line = WRONG[wrong]
    assert refusal[place] == f"{place}. {line}"


def test_a_tier_that_names_a_missing_model(refusal: list[str]) -> None:
    assert refusal[len(WRONG) + 1] == f"{len(WRONG) + 1}. {MISSING}"


def test_more_gpus_than_any_node_has(owner: ModelOwner, kubectl: Kubectl) -> None:
    before = versions(kubectl)
    message = owner.refuse(model("story-huge", gpus=64))
    assert message == ""
    assert versions(kubectl) == before
