# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from ansible_collections.maas.platform.plugins.module_utils._checks import Problems
from ansible_collections.maas.platform.plugins.module_utils._models import ModelRef, read_models


def _read(raw):
    """Return the models, and what is wrong with them."""
    problems = Problems()
    return read_models(problems, raw), [str(problem) for problem in problems]


def test_a_model_is_read_with_its_defaults():
    ((model,), _problems) = _read([{"name": "gemma", "uri": "hf://google/gemma"}])
    assert model.ref == ModelRef("llm", "gemma")
    assert (model.replicas, model.gpus, model.storage_initializer) == (None, 0, True)
    assert model.display_name == "gemma"


def test_a_model_keeps_what_its_role_reads():
    runtime = {"image": "x:1", "args": ["--n", "4"], "env": {"A": "b"}, "resources": {"limits": {}}}
    ((model,), _problems) = _read(
        [{"name": "m", "uri": "pvc://a/b", "namespace": "other", "runtime": runtime, "gpus": 2}]
    )
    assert model.runtime == runtime
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
        ({"autoscaling": {"min": 1}}, "not supported yet"),
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
