# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from ansible_collections.maas.platform.plugins.module_utils._checks import Problems
from ansible_collections.maas.platform.plugins.module_utils._models import (
    Autoscaling,
    ModelRef,
    Parallelism,
    Runtime,
    read_models,
)


def _read(raw, defaults=None):
    """Return the models, and what is wrong with them."""
    problems = Problems()
    models = read_models(problems, raw, defaults={} if defaults is None else defaults)
    return models, [str(problem) for problem in problems]


def _one(change, defaults=None):
    """Return the one model, which nothing is wrong with."""
    (model,), problems = _read([{"name": "m", "uri": "hf://x/y", **change}], defaults)
    assert problems == []
    return model


def test_a_model_is_read_with_its_defaults():
    ((model,), _problems) = _read([{"name": "gemma", "uri": "hf://google/gemma"}])
    assert model.ref == ModelRef("llm", "gemma")
    assert (model.replicas, model.gpus, model.storage_initializer) == (None, 0, True)
    assert model.display_name == "gemma"


def test_a_model_keeps_how_it_runs():
    runtime = {"image": "x:1", "args": ["--n", "4"], "env": {"A": "b"}, "resources": {"limits": {}}}
    ((model,), _problems) = _read(
        [{"name": "m", "uri": "pvc://a/b", "namespace": "other", "runtime": runtime, "gpus": 2}]
    )
    assert model.runtime == Runtime(
        image="x:1", args=("--n", "4"), env={"A": "b"}, resources={"limits": {}}
    )
    assert model.ref == ModelRef("other", "m")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"name": "Gemma"}, 'maas_models[0].name: value "Gemma"'),
        ({"name": "3-gemma"}, "starts with a letter"),
        ({"name": "x" * 44}, "at most 43 characters"),
        ({"name": "a/b"}, "maas_models[0].name"),
        ({"namespace": "maas-api"}, "a namespace of your own"),
        ({"namespace": "v1"}, "a namespace of your own"),
        ({"namespace": "ui"}, "a namespace of your own"),
        ({"namespace": "kube-system"}, "a namespace of your own"),
        ({"namespace": "maas-default-gateway-tier-free"}, "a namespace of your own"),
        ({"uri": "gemma"}, "hf://, oci://, pvc:// or s3://"),
        ({"uri": "http://x/y"}, "maas_models[0].uri"),
        ({"uri": "hf3://x"}, "did you mean hf?"),
        ({"replicas": "1"}, 'maas_models[0].replicas: value "1"'),
        ({"gpus": 0.5}, "maas_models[0].gpus: value 0.5"),
        ({"storage_initializer": "yes"}, "true or false"),
        ({"autoscaling": {"min": 1}}, "maas_models[0].autoscaling.max: value (missing)"),
        ({"autoscaling": {"min": 3, "max": 2}}, "max: value 2, allowed: at least min, which is 3"),
        ({"autoscaling": {"max": 2}, "replicas": 1}, "replicas or autoscaling, not both"),
        ({"autoscaling": {"max": 2, "signal": "queu"}}, "did you mean queue?"),
        ({"autoscaling": {"max": 2, "signal": "gpu"}}, "with gpus only"),
        ({"autoscaling": {"max": 2, "scale_down_after": "2h"}}, "at most 1h"),
        ({"autoscaling": {"max": 2}, "spec": {"replicas": 1}}, "maas_models[0].spec.replicas"),
        ({"state": "pausd"}, "did you mean paused?"),
        ({"state": True}, "one of present, paused, retired, absent"),
        ({"retire_after": "24h"}, 'maas_models[0].retire_after: value "24h", allowed: with state'),
        ({"state": "retired", "retire_after": "soon"}, "a duration such as"),
        ({"canary": {"uri": "hf://x/z"}}, "maas_models[0].canary.weight: value (missing)"),
        ({"canary": {"weight": 101, "uri": "hf://x/z"}}, "at most 100"),
        ({"canary": {"weight": 5}}, "at least one of uri"),
        ({"canary": {"weight": 5, "urii": "x"}, "uri": "hf://x/y"}, "did you mean uri?"),
        ({"canary": {"weight": 5, "uri": "ftp://x/y"}}, "maas_models[0].canary.uri"),
        ({"canary": {"weight": 5, "name": "n", "gpus": 1}}, "canary.name"),
        ({"canary": {"weight": 5, "gpus": 1}, "state": "retired"}, "no canary of a retired model"),
        (
            {"canary": {"weight": 5, "gpus": 1}, "name": "x" * 37},
            "at most 36 characters for a model's canary",
        ),
        (
            {"canary": {"weight": 5, "autoscaling": {"min": 4, "max": 2}}},
            "maas_models[0].canary.autoscaling.max",
        ),
        ({"nodes": 2}, "maas_models[0].nodes: value 2, allowed: 1 without parallelism"),
        ({"nodes": 0}, "maas_models[0].nodes: value 0"),
        (
            {"parallelism": {"tensor": 4}, "gpus": 3},
            "maas_models[0].gpus: value 3, allowed: 4: parallelism is tensor 4 x pipeline 1",
        ),
        (
            {"parallelism": {"tensor": 8, "pipeline": 2}, "nodes": 2, "gpus": 16},
            "gpus: value 16, allowed: 8: parallelism is tensor 8 x pipeline 2 x data 1, on 2 nodes",
        ),
        (
            {"parallelism": {"tensor": 8, "pipeline": 4}, "nodes": 2},
            "parallelism.pipeline: value 4",
        ),
        ({"parallelism": {"data": 3}, "nodes": 2, "gpus": 1}, "a multiple of nodes, which is 2"),
        ({"parallelism": {"tensr": 2}}, "did you mean tensor?"),
        ({"spread": "rack"}, "one of node, zone"),
        ({"task": "embeddings"}, "did you mean embedding?"),
        ({"pool": "H100"}, "maas_models[0].pool"),
        ({"priority_class": "a b"}, "maas_models[0].priority_class"),
        ({"storage": "hf_abcdef"}, "a mapping with secret"),
        ({"storage": {}}, "maas_models[0].storage.secret: value (missing)"),
        ({"ready_timeout": "15"}, "maas_models[0].ready_timeout"),
        ({"runtime": {"env": {"MODEL_NAME": "x"}}}, "the platform sets this one"),
        ({"runtime": {"env": {"LWS_GROUP_SIZE": "x"}}}, "the platform sets this one"),
        ({"runtime": {"env": {"A=B": "x"}}}, "a name of letters"),
        ({"runtime": {"resources": {"limits": {"cpu": "lots"}}}}, 'limits.cpu: value "lots"'),
        ({"display_name": "a\nb"}, "maas_models[0].display_name"),
        ({"runtime": {"imgae": "x"}}, "did you mean image?"),
        ({"runtime": {"args": ["a", 1]}}, "maas_models[0].runtime.args[1]: value 1"),
        ({"runtime": {"resources": {"limit": {}}}}, "did you mean limits?"),
        ({"spec": []}, "maas_models[0].spec"),
    ],
)
def test_a_mistake_is_named(change, line):
    _models, (problem,) = _read([{"name": "gemma", "uri": "hf://x/y", **change}])
    assert line in problem


def test_two_models_of_one_name_are_refused_even_in_two_namespaces():
    twins = [
        {"name": "m", "uri": "hf://x/y"},
        {"name": "m", "uri": "hf://x/y", "namespace": "other"},
    ]
    _models, (problem,) = _read(twins)
    assert problem.startswith("maas_models[1].name: ")
    assert problem.endswith("maas_models[0] has not")


@pytest.mark.parametrize(
    "runtime", [{"env": {"HF_TOKEN": 12345}}, {"env": ["s3cret"]}, {"evn": {"HF_TOKEN": "s3cret"}}]
)
def test_no_value_of_the_environment_is_ever_shown(runtime):
    _models, (problem,) = _read([{"name": "m", "uri": "hf://x/y", "runtime": runtime}])
    assert "s3cret" not in problem
    assert "12345" not in problem


@pytest.mark.parametrize("storage", ["hf_ABCdef", {"secret": "hf_ABCdef"}, {"hf_ABCdef": 1}])
def test_what_stands_where_a_secret_s_name_belongs_is_not_shown(storage):
    _models, problems = _read([{"name": "m", "uri": "hf://x/y", "storage": storage}])
    assert problems[0].startswith("maas_models[0].storage")
    assert "value (not shown)" in problems[0]


def test_an_absent_model_needs_its_name_only_and_is_left_out():
    assert _read([{"name": "m", "state": "absent"}]) == ([], [])


def test_an_absent_entry_is_checked_all_the_same():
    _models, (problem,) = _read([{"name": "m", "state": "absent", "replcas": 2}])
    assert "did you mean replicas?" in problem


def test_a_canary_is_the_model_with_its_own_keys_over_it():
    model = _one(
        {
            "gpus": 1,
            "replicas": 4,
            "runtime": {"env": {"A": "1", "B": "2"}, "args": ["x"]},
            "canary": {"weight": 30, "uri": "hf://x/new", "runtime": {"env": {"B": "3"}}},
        }
    )
    version = model.canary.version
    assert (model.service, version.service) == ("m", "m-canary")
    assert (version.name, version.uri, version.gpus) == ("m", "hf://x/new", 1)
    assert version.runtime == Runtime(env={"A": "1", "B": "3"}, args=("x",))
    assert version.canary is None
    assert model.versions == (model, version)


@pytest.mark.parametrize(
    ("weight", "copies"), [(0, 1), (1, 1), (25, 1), (26, 2), (50, 2), (99, 4), (100, 4)]
)
def test_a_canary_without_a_number_gets_its_share_of_the_copies(weight, copies):
    model = _one({"replicas": 4, "canary": {"weight": weight, "uri": "hf://x/z"}})
    assert model.canary.version.replicas == copies


def test_a_canary_of_an_autoscaled_model_scales_the_same_way_unless_it_says_replicas():
    scaled = {"autoscaling": {"max": 4}}
    model = _one({**scaled, "canary": {"weight": 5, "uri": "hf://x/z"}})
    assert model.canary.version.autoscaling == model.autoscaling
    model = _one({**scaled, "canary": {"weight": 5, "uri": "hf://x/z", "replicas": 2}})
    assert (model.canary.version.autoscaling, model.canary.version.replicas) == (None, 2)


def test_a_canary_s_name_may_not_be_another_model_s():
    raw = [
        {"name": "m", "uri": "hf://x/y", "canary": {"weight": 5, "uri": "hf://x/z"}},
        {"name": "m-canary", "uri": "hf://x/y"},
    ]
    _models, (problem,) = _read(raw)
    assert problem.startswith("maas_models[0].canary: ")
    assert "no canary beside maas_models[1]: m-canary is what it would be called" in problem


def test_autoscaling_has_defaults_for_all_but_max():
    assert _one({"autoscaling": {"max": 3}}).autoscaling == Autoscaling(1, 3, "requests", 16, 300)
    said = {"min": 2, "max": 3, "signal": "cpu", "target": 50, "scale_down_after": "1m"}
    assert _one({"autoscaling": said}).autoscaling == Autoscaling(2, 3, "cpu", 50, 60)


def test_gpus_follow_from_parallelism():
    model = _one({"parallelism": {"tensor": 8, "pipeline": 2}, "nodes": 2})
    assert (model.gpus, model.parallelism) == (8, Parallelism(8, 2, 1))


def test_the_number_of_copies_is_known_unless_others_scale():
    assert (_one({}).least_copies, _one({}).most_copies) == (None, None)
    assert (_one({"replicas": 2}).least_copies, _one({"replicas": 2}).most_copies) == (2, 2)
    scaled = _one({"autoscaling": {"min": 2, "max": 5}})
    assert (scaled.least_copies, scaled.most_copies) == (2, 5)


def test_defaults_are_below_every_entry():
    defaults = {
        "gpus": 1,
        "ready_timeout": "1h",
        "runtime": {"env": {"A": "1"}, "extra_args": ["--x"]},
    }
    model = _one({"runtime": {"env": {"B": "2"}, "extra_args": ["--y"]}}, defaults)
    assert (model.gpus, model.ready_seconds) == (1, 3600)
    assert model.runtime == Runtime(env={"A": "1", "B": "2"}, extra_args=("--y",))


def test_an_empty_key_takes_the_default_away():
    assert _one({"pool": None}, {"pool": "a100"}).pool is None


def test_replicas_and_autoscaling_replace_each_other_s_default():
    assert _one({"replicas": 1}, {"autoscaling": {"max": 4}}).autoscaling is None
    assert _one({"autoscaling": {"max": 4}}, {"replicas": 1}).replicas is None


def test_relations_are_looked_at_with_the_defaults_in_place():
    _models, (problem,) = _read(
        [{"name": "m", "uri": "hf://x/y", "autoscaling": {"min": 5}}], {"autoscaling": {"max": 4}}
    )
    assert problem.startswith("maas_models[0].autoscaling.max: value 4, allowed: at least min")


def test_who_has_no_defaults_is_not_told_about_relations():
    problems = Problems()
    read_models(problems, [{"name": "m", "uri": "hf://x/y", "nodes": 2}])
    assert problems == []


@pytest.mark.parametrize(
    ("defaults", "line"),
    [
        ({"name": "m"}, "maas_model_defaults.name: value (not shown), allowed: no such key"),
        ({"namespace": "x"}, "maas_model_defaults.namespace"),
        ({"uri": "hf://x/y"}, "maas_model_defaults.uri"),
        ({"state": "paused"}, "maas_model_defaults.state"),
        ({"gpus": -1}, "maas_model_defaults.gpus: value -1"),
        ([], "maas_model_defaults: value []"),
    ],
)
def test_a_mistake_in_the_defaults_is_named_once(defaults, line):
    entries = [{"name": name, "uri": "hf://x/y"} for name in "ab"]
    _models, (problem,) = _read(entries, defaults)
    assert line in problem
