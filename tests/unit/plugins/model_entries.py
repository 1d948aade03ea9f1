# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What tests of models share: a cluster's settings, entries, and strategies that make entries."""

from __future__ import annotations

from ansible_collections.maas.platform.plugins.module_utils._checks import Problems
from ansible_collections.maas.platform.plugins.module_utils._model_engines import read_engines
from ansible_collections.maas.platform.plugins.module_utils._model_settings import ServingSettings
from ansible_collections.maas.platform.plugins.module_utils._models import read_models
from ansible_collections.maas.platform.plugins.module_utils._pools import read_pools
from hypothesis import strategies as st

ENGINES = {
    "vllm": {
        "image": "ghcr.io/llm-d/llm-d-cuda:v0.8.0",
        "command": ["vllm", "serve", "/mnt/models"],
        "args": ["--port", "8000"],
    },
    "llama.cpp": {
        "image": "ghcr.io/ggml-org/llama.cpp:server",
        "args": ["--alias", "$(MODEL_NAME)"],
        "embedding_args": ["--embeddings"],
        "resources": {"requests": {"cpu": "2"}},
    },
}
POOLS = [
    {
        "name": "h100",
        "selector": {"gpu": "h100"},
        "taints": [{"key": "gpu", "value": "h100", "effect": "NoSchedule"}],
    },
    {"name": "slices", "selector": {"gpu": "l4"}, "sharing": {"time_slicing": 4}},
    {"name": "parts", "selector": {"gpu": "a100"}, "sharing": {"mig": "1g.10gb"}},
    {"name": "claims", "selector": {"gpu": "b200"}, "sharing": {"dra": "gpu.nvidia.com"}},
]


def settings(**change):
    """Return a cluster's settings, with engines, pools and an image that asks."""
    problems = Problems()
    given = {
        "engines": read_engines(problems, ENGINES),
        "pools": read_pools(problems, POOLS),
        "check_image": "ghcr.io/maas-platform/maas-api:0.1.0",
        **change,
    }
    assert problems == []
    return ServingSettings(**given)


def model(**change):
    """Return the model that an entry makes; nothing may be wrong with it."""
    problems = Problems()
    (read,) = read_models(problems, [{"name": "m", "uri": "hf://x/y", **change}], defaults={})
    assert problems == []
    return read


names = st.from_regex(r"[a-z]([-a-z0-9]{0,34}[a-z0-9])?", fullmatch=True)
_words = st.lists(st.text(max_size=12), max_size=4)
_env = st.dictionaries(st.from_regex(r"[A-KN-Z_]{1,8}", fullmatch=True), st.text(max_size=12))
runtimes = st.fixed_dictionaries(
    {},
    optional={
        "image": st.just("registry.example.com/server:1"),
        "engine": st.sampled_from([*ENGINES, "custom"]),
        "args": _words,
        "extra_args": _words,
        "command": _words,
        "env": _env,
        "resources": st.just({"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}}),
    },
)
_copies = st.one_of(
    st.just({}),
    st.builds(lambda count: {"replicas": count}, st.integers(0, 20)),
    st.builds(
        lambda least, more, signal: {
            "autoscaling": {"min": least, "max": least + more, "signal": signal}
        },
        st.integers(1, 5),
        st.integers(0, 5),
        st.sampled_from(["requests", "queue", "gpu", "cpu"]),
    ),
)
_optional = {
    "uri": st.sampled_from(["hf://a/b", "oci://r/i:1", "pvc://c/d", "s3://b/k"]),
    "gpus": st.integers(0, 8),
    "pool": st.sampled_from([pool["name"] for pool in POOLS]),
    "storage": st.just({"secret": "download"}),
    "storage_initializer": st.booleans(),
    "runtime": runtimes,
}
_cut = st.builds(
    lambda tensor, nodes: {"parallelism": {"tensor": tensor, "pipeline": nodes}, "nodes": nodes},
    st.integers(1, 8),
    st.integers(1, 3),
)
versions = st.builds(
    lambda said, copies, cut: {**said, **copies, **(cut if "gpus" not in said else {})},
    st.fixed_dictionaries({}, optional=_optional),
    _copies,
    st.just({}) | _cut,
)
#: Entries whose every key is legal; some of their relations are not.
entries = st.builds(
    lambda name, version, own, canary: {
        "name": name,
        "uri": "hf://a/b",
        **version,
        **own,
        **canary,
    },
    names,
    versions,
    st.fixed_dictionaries(
        {},
        optional={
            "state": st.sampled_from(["present", "paused"]),
            "spread": st.sampled_from(["node", "zone"]),
            "task": st.sampled_from(["completion", "embedding"]),
            "priority_class": st.just("high"),
            "ready_timeout": st.sampled_from(["1m", "2h"]),
        },
    ),
    st.just({})
    | st.builds(
        lambda weight, version: {"canary": {"weight": weight, "uri": "hf://a/c", **version}},
        st.integers(0, 100),
        versions,
    ),
)
