# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from ansible_collections.maas.platform.plugins.module_utils._model_problems import model_problems

from tests.unit.plugins.model_entries import ENGINES, POOLS


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"runtime": {"engine": "vlm"}}, 'runtime.engine: value "vlm"'),
        ({"runtime": {"engine": "vlm"}}, "one of vllm, llama.cpp, custom (did you mean vllm?)"),
        ({"runtime": {"engine": "custom"}}, "runtime.image: value (missing)"),
        ({"pool": "h200"}, 'pool: value "h200", allowed: a pool in gpu_nodes_pools: h100'),
        ({"pool": "slices", "gpus": 2}, "gpus: value 2, allowed: at most 1 in pool slices"),
        (
            {"gpus": 1, "autoscaling": {"max": 2, "signal": "cpu"}},
            "runtime.resources.requests.cpu: value (missing)",
        ),
        (
            {
                "nodes": 2,
                "parallelism": {"pipeline": 2},
                "runtime": {"engine": "llama.cpp"},
            },
            "nodes: value 2, allowed: 1, engine vllm",
        ),
        (
            {"runtime": {"resources": {"limits": {"nvidia.com/gpu": 1}}}},
            "runtime.resources.limits.nvidia.com/gpu: value 1, allowed: nothing here: gpus says",
        ),
    ],
)
def test_what_this_cluster_does_not_have_is_named(change, line):
    entry = {"name": "m", "uri": "hf://x/y", **change}
    (problem,) = model_problems([entry], {}, ENGINES, POOLS)
    assert problem.startswith("maas_models[0].")
    assert line in problem


def test_a_canary_s_problem_is_the_canary_s():
    entry = {"name": "m", "uri": "hf://x/y", "canary": {"weight": 1, "pool": "h200"}}
    (problem,) = model_problems([entry], {}, ENGINES, POOLS)
    assert problem.startswith('maas_models[0].canary.pool: value "h200"')


def test_a_model_may_scale_by_cpu_where_its_engine_asks_for_some():
    entry = {"name": "m", "uri": "hf://x/y", "autoscaling": {"max": 2, "signal": "cpu"}}
    assert model_problems([entry], {}, ENGINES, POOLS) == []


@pytest.mark.parametrize(
    ("engines", "line"),
    [
        ({"vllm": {}}, "model_serving_runtimes.vllm.image: value (missing)"),
        ({"custom": {"image": "x:1"}}, "model_serving_runtimes.custom"),
        ({"x": {"image": "x:1", "embedding_args": [1]}}, "runtimes.x.embedding_args[0]: value 1"),
        ({"x": {"image": "x:1", "engine": "y"}}, "model_serving_runtimes.x.engine"),
        ([1], "a mapping of engines"),
    ],
)
def test_a_mistake_in_an_engine_is_named(engines, line):
    (problem,) = model_problems([], {}, engines)
    assert line in problem
