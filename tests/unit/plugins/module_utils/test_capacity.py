# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from ansible_collections.maas.platform.plugins.module_utils._capacity import (
    ANY_NODE,
    Ask,
    asks_of,
    judge,
)
from ansible_collections.maas.platform.plugins.module_utils._checks import Problems
from ansible_collections.maas.platform.plugins.module_utils._gpu_nodes import GpuNode
from ansible_collections.maas.platform.plugins.module_utils._models import read_models
from ansible_collections.maas.platform.plugins.module_utils._pools import Pool, Taint
from hypothesis import given
from hypothesis import strategies as st

GPU = "nvidia.com/gpu"
POOL = Pool("big", {"pool": "big"})


def node(name, gpus, *, labels=None, taints=(), ready=True, cordoned=False, ill=0):
    counts = {GPU: gpus} if gpus is not None else {}
    well = {GPU: gpus - ill} if gpus is not None else {}
    where = {"pool": "big"} if labels is None else labels
    return GpuNode(name, where, tuple(taints), ready, "", cordoned, counts, well)


def ask(name="m", gpus=1, replicas=1, pool="big", nodes=1):
    return Ask(name, "llm", name, pool, gpus, replicas, nodes)


def pod(name, node_name, gpus, namespace="llm", phase="Running"):
    return {
        "metadata": {"namespace": namespace, "labels": {"app.kubernetes.io/name": name}},
        "spec": {
            "nodeName": node_name,
            "containers": [{"resources": {"limits": {GPU: str(gpus)}}}],
        },
        "status": {"phase": phase},
    }


def said(asks, nodes, pods=(), pools=None):
    return judge(asks, nodes, pods, {"big": POOL} if pools is None else pools)


def test_what_fits_is_not_spoken_of():
    verdict = said([ask(gpus=2, replicas=2)], [node("a", 8)])
    assert (verdict.problems, verdict.warnings) == ([], [])
    (row,) = verdict.rows
    assert (row.allocatable, row.asked, row.left) == (8, 4, 4)


def test_more_than_there_is_is_a_problem():
    verdict = said([ask("m", 4, 2), ask("n", 1, 1)], [node("a", 8)])
    assert verdict.problems == [f"pool big: models ask for 9 {GPU}, it has 8: 1 are missing"]


def test_more_for_one_pod_than_any_node_has_is_a_problem():
    verdict = said([ask(gpus=5)], [node("a", 4), node("b", 4)])
    assert verdict.problems == [
        f"model m: asks for 5 {GPU} in one pod, no node of pool big has more than 4"
    ]


def test_what_others_hold_is_not_there():
    pods = [pod("job", "a", 6), pod("m", "a", 2), pod("done", "a", 8, phase="Succeeded")]
    verdict = said([ask(gpus=4)], [node("a", 8)], pods)
    assert verdict.problems == [
        f"pool big: models ask for 4 {GPU}, it has 8, 6 of them taken by others: 2 are missing"
    ]


@pytest.mark.parametrize(
    "state",
    [
        {"ready": False},
        {"cordoned": True},
        {"ill": 8},
        {"taints": [Taint("team", "ml", "NoSchedule")]},
        {"labels": {"pool": "other"}},
    ],
)
def test_nodes_that_take_no_pod_do_not_count(state):
    verdict = said([ask()], [node("a", 8, **state)])
    assert verdict.rows[0].allocatable == 0
    assert len(verdict.problems) == 2


def test_a_change_needs_room_for_one_more_pod():
    verdict = said([ask("m", 4), ask("n", 2)], [node("a", 8)])
    assert verdict.problems == []
    assert verdict.warnings == [
        f"pool big: 2 {GPU} are left, a new version of its largest model needs 4 beside the old "
        "one: it would wait, and be rolled back"
    ]


def test_gpus_on_different_nodes_do_not_add_up_for_a_pod():
    verdict = said([ask("m", 2, 3)], [node("a", 3), node("b", 3)])
    assert verdict.problems == []
    assert "lie on different nodes" in verdict.warnings[0]


def test_turns_on_a_gpu_are_no_more_gpu():
    pool = Pool("big", {"pool": "big"}, sharing="time_slicing", slices=4)
    verdict = said([ask(gpus=2)], [node("a", 8)], pools={"big": pool})
    assert len(verdict.problems) == 1
    assert "shares its GPUs by time and gives a pod 1" in verdict.problems[0]


def test_a_group_of_nodes_is_that_many_pods():
    verdict = said([ask(gpus=8, replicas=1, nodes=2)], [node("a", 8), node("b", 8)])
    assert (verdict.problems, verdict.warnings) == ([], [])
    assert verdict.rows[0].asked == 16


def test_models_without_a_pool_share_what_pools_leave():
    verdict = said([ask("m", 4), ask("n", 4, pool="")], [node("a", 8)])
    assert verdict.problems == []
    assert [(row.pool, row.others, row.left) for row in verdict.rows] == [
        ("big", 0, 4),
        (ANY_NODE, 4, 0),
    ]


def test_claims_are_shown_and_not_counted():
    pool = Pool("big", {"pool": "big"}, sharing="dra", device_class="gpu.example", resource="")
    verdict = said([ask(gpus=64)], [node("a", None)], pools={"big": pool})
    assert verdict.problems == []
    assert verdict.table[1].split() == ["big", "(claims)", "1", "-", "-", "64", "-"]


def test_the_table_has_a_line_for_each_pool_and_each_model():
    verdict = said([ask("m", 2, 2), ask("n", 1, None)], [node("a", 8)])
    assert [line.split() for line in verdict.table] == [
        ["pool", "resource", "nodes", "allocatable", "others", "asked", "left"],
        ["big", GPU, "1", "8", "0", "5", "3"],
        [],
        ["model", "pool", "pods", "GPUs", "each", "GPUs"],
        ["m", "big", "2", "2", "4"],
        ["n", "big", "1+", "1", "1"],
    ]


def test_canaries_ask_too_and_the_paused_do_not():
    problems = Problems()
    models = read_models(
        problems,
        [
            {
                "name": "a",
                "uri": "hf://x/y",
                "gpus": 1,
                "autoscaling": {"min": 1, "max": 3, "signal": "requests", "target": 4},
                "canary": {"weight": 10, "gpus": 2},
            },
            {"name": "b", "uri": "hf://x/y", "gpus": 8, "replicas": 1, "state": "paused"},
        ],
        defaults={},
    )
    assert problems == []
    assert [(found.service, found.gpus, found.replicas) for found in asks_of(models)] == [
        ("a", 1, 3),
        ("a-canary", 2, 3),
        ("b", 8, 0),
    ]


@given(
    st.lists(st.integers(0, 9), max_size=5),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), max_size=6),
)
def test_it_is_refused_just_where_the_sum_or_one_pod_is_too_large(sizes, wishes):
    nodes = [node(f"n{index}", size) for index, size in enumerate(sizes)]
    asks = [ask(f"m{index}", gpus, count) for index, (gpus, count) in enumerate(wishes)]
    verdict = said(asks, nodes)
    real = [found for found in asks if found.total]
    too_many = sum(found.total for found in real) > sum(sizes)
    too_big = any(found.gpus > max(sizes, default=0) for found in real)
    assert bool(verdict.problems) == (too_many or too_big)
    assert len({len(line.split()) for line in verdict.table[:2]}) == 1
