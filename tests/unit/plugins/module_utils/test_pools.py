# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from ansible_collections.maas.platform.plugins.module_utils._checks import Problems
from ansible_collections.maas.platform.plugins.module_utils._pools import read_pools
from hypothesis import given
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3)
    ),
    max_leaves=8,
)
KEYS = st.sampled_from(["name", "selector", "labels", "taints", "sharing", "resource", "other"])


def read(*entries):
    problems = Problems()
    pools = read_pools(problems, list(entries))
    return pools, [str(problem) for problem in problems]


def entry(**changes):
    return {"name": "p", "selector": {"node": "gpu"}, **changes}


def test_a_pool_needs_a_name_and_a_selector():
    pools, problems = read(entry())
    assert problems == []
    pool = pools["p"]
    assert (pool.selector, pool.resource, pool.sharing) == (
        {"node": "gpu"},
        "nvidia.com/gpu",
        "none",
    )
    assert pool.tolerations == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]


@pytest.mark.parametrize(
    ("sharing", "resource", "most"),
    [
        (None, "nvidia.com/gpu", None),
        ("none", "nvidia.com/gpu", None),
        ({"time_slicing": 4}, "nvidia.com/gpu", 1),
        ({"mig": "1g.10gb"}, "nvidia.com/mig-1g.10gb", None),
        ({"mig": "1g.10gb+me"}, "nvidia.com/mig-1g.10gb.me", None),
        ({"dra": "gpu.nvidia.com"}, "", None),
    ],
)
def test_sharing_decides_what_pods_ask_for(sharing, resource, most):
    pools, problems = read(entry(sharing=sharing))
    assert problems == []
    assert (pools["p"].resource, pools["p"].most_per_pod) == (resource, most)


def test_taints_become_tolerations():
    pools, problems = read(
        entry(
            resource="amd.com/gpu",
            taints=[
                {"key": "team", "value": "ml", "effect": "NoSchedule"},
                {"key": "gpu", "effect": "NoExecute"},
            ],
        )
    )
    assert problems == []
    assert pools["p"].tolerations == [
        {"key": "team", "operator": "Equal", "value": "ml", "effect": "NoSchedule"},
        {"key": "gpu", "operator": "Exists", "effect": "NoExecute"},
        {"key": "amd.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
    ]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"name": "P_1"}, "name"),
        ({"selector": {}}, "selector"),
        ({"selector": {"node": 1}}, "selector.node"),
        ({"labels": {"a b": "c"}}, "labels.a b"),
        ({"labels": {"node": "other"}}, "labels.node"),
        ({"labels": {"nvidia.com/mig.config": "x"}}, "labels.nvidia.com/mig.config"),
        ({"taints": [{"key": "a", "effect": "Never"}]}, "taints[0].effect"),
        ({"taints": [{"key": "a", "effect": "NoExecute"}] * 2}, "taints[1]"),
        ({"sharing": {"time_slicing": 1}}, "sharing.time_slicing"),
        ({"sharing": {"time_slicing": True}}, "sharing.time_slicing"),
        ({"sharing": {"mig": "8g.1gb"}}, "sharing.mig"),
        ({"sharing": {"mig": "1g.10gb", "dra": "a"}}, "sharing"),
        ({"sharing": {"dra": "gpu.nvidia.com"}, "resource": "nvidia.com/gpu"}, "resource"),
        ({"sharing": {"time_slicing": 2}, "resource": "amd.com/gpu"}, "resource"),
        ({"resource": "cpu"}, "resource"),
        ({"resource": "kubernetes.io/batteries"}, "resource"),
        ({"gpus": 4}, "gpus"),
    ],
)
def test_what_is_wrong_is_said_once_and_where(changes, path):
    _pools, problems = read(entry(**changes))
    assert [problem.partition(": value ")[0] for problem in problems] == [
        f"gpu_nodes_pools[0].{path}"
    ]


def test_two_pools_differ_in_name_and_selector():
    pools, problems = read(entry(), entry(), entry(name="q"))
    assert list(pools) == ["p", "q"]
    assert [problem.partition(": value ")[0] for problem in problems] == [
        "gpu_nodes_pools[1].name",
        "gpu_nodes_pools[2].selector",
    ]


@given(JSON | st.lists(st.dictionaries(KEYS, JSON, max_size=5), max_size=3))
def test_anything_is_read_or_refused(raw):
    problems = Problems()
    pools = read_pools(problems, raw)
    assert problems or isinstance(raw, list)
    for pool in pools.values():
        assert pool.name
        assert bool(pool.resource) != bool(pool.device_class)
