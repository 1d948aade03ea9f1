# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy

from ansible_collections.maas.platform.plugins.module_utils._drift import merge
from ansible_collections.maas.platform.plugins.module_utils._gpu_settings import (
    MEMORY_ANNOTATION,
    labels_of,
    plan_node,
)
from ansible_collections.maas.platform.plugins.module_utils._pools import Pool, Taint
from hypothesis import given
from hypothesis import strategies as st

KEYS = st.sampled_from(["team", "zone", "gpu"])
VALUES = st.sampled_from(["", "a", "b"])
LABELS = st.dictionaries(KEYS, VALUES, max_size=3)
TAINTS = st.lists(
    st.builds(Taint, KEYS, VALUES, st.sampled_from(["NoSchedule", "NoExecute"])),
    max_size=3,
    unique_by=lambda taint: (taint.key, taint.effect),
).map(tuple)
POOLS = st.builds(
    Pool, st.just("p"), st.just({"node": "gpu"}), LABELS, TAINTS, st.sampled_from(["none", "mig"])
)


def make_node(labels, taints=()):
    written = [
        {"key": taint.key, "effect": taint.effect} | ({"value": taint.value} if taint.value else {})
        for taint in taints
    ]
    return {"metadata": {"name": "a", "labels": dict(labels)}, "spec": {"taints": written}}


def after(item, pool):
    plan = plan_node(item, pool)
    assert not plan.conflicts
    return merge(item, plan.patch)


def bare(item):
    """Return a node without the traces of empty mappings."""
    found = copy.deepcopy(item)
    if not found["metadata"].get("annotations"):
        found["metadata"].pop("annotations", None)
    return found


@given(LABELS, TAINTS, POOLS)
def test_what_was_put_on_comes_off_and_nothing_else(labels, taints, pool):
    before = make_node(labels, taints)
    if plan_node(before, pool).conflicts:
        return
    marked = after(before, pool)
    assert labels_of(pool, True).items() <= marked["metadata"]["labels"].items()
    assert plan_node(marked, pool).patch == {}
    assert bare(after(marked, None)) == before


@given(LABELS, TAINTS, POOLS, POOLS)
def test_a_pool_that_changes_leaves_nothing_of_what_it_was(labels, taints, first, second):
    before = make_node(labels, taints)
    if plan_node(before, first).conflicts or plan_node(before, second).conflicts:
        return
    changed = after(after(before, first), second)
    assert changed["metadata"]["labels"] == after(before, second)["metadata"]["labels"]
    assert bare(after(changed, None))["metadata"] == before["metadata"]


def test_what_others_say_is_not_overwritten():
    pool = Pool("p", {}, {"team": "a"}, (Taint("gpu", "x", "NoSchedule"),))
    plan = plan_node(make_node({"team": "b"}, [Taint("gpu", "y", "NoSchedule")]), pool)
    assert plan.conflicts == (
        'label team is "b" there, the pool says "a"',
        "taint gpu=y:NoSchedule is there, the pool says gpu=x:NoSchedule",
    )


def test_a_label_that_somebody_changed_since_is_theirs():
    pool = Pool("p", {}, {"team": "a"})
    marked = after(make_node({}), pool)
    marked["metadata"]["labels"]["team"] = "c"
    assert after(marked, None)["metadata"]["labels"] == {"team": "c"}


def test_the_operators_own_cut_comes_back():
    pool = Pool("p", {}, sharing="mig", profile="1g.10gb")
    marked = after(make_node({"nvidia.com/mig.config": "all-disabled"}), pool)
    assert marked["metadata"]["labels"]["nvidia.com/mig.config"] == "all-1g.10gb"
    assert after(marked, None)["metadata"]["labels"] == {"nvidia.com/mig.config": "all-disabled"}


def test_an_annotation_that_cannot_be_read_is_no_memory():
    item = make_node({"team": "a"})
    item["metadata"]["annotations"] = {MEMORY_ANNOTATION: '{"labels": []}'}
    assert after(item, None)["metadata"]["labels"] == {"team": "a"}


def test_sharing_is_told_to_the_operator_where_it_is_ours():
    sliced = Pool("p", {}, sharing="time_slicing", slices=4)
    claimed = Pool("q", {}, sharing="dra", device_class="x", resource="")
    assert labels_of(sliced, True)["nvidia.com/device-plugin.config"] == "p"
    assert labels_of(claimed, True)["nvidia.com/gpu.deploy.device-plugin"] == "false"
    assert labels_of(sliced, False) == {"maas.platform/pool": "p"}
