# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What holds for any entry, legal or not."""

from __future__ import annotations

import copy
import re
from datetime import UTC, datetime

from ansible_collections.maas.platform.plugins.module_utils._checks import Problems
from ansible_collections.maas.platform.plugins.module_utils._model_defaults import merge_keys
from ansible_collections.maas.platform.plugins.module_utils._model_engines import read_engines
from ansible_collections.maas.platform.plugins.module_utils._model_entry import (
    DEFAULT_KEYS,
    KEYS,
)
from ansible_collections.maas.platform.plugins.module_utils._model_extras import render_extras
from ansible_collections.maas.platform.plugins.module_utils._model_namespaces import (
    render_namespaces,
)
from ansible_collections.maas.platform.plugins.module_utils._model_routes import (
    Stage,
    render_route,
)
from ansible_collections.maas.platform.plugins.module_utils._model_services import render_services
from ansible_collections.maas.platform.plugins.module_utils._model_settings import check_models
from ansible_collections.maas.platform.plugins.module_utils._models import read_models
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.unit.plugins.model_entries import entries, names, settings, versions

_DNS = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
_inner_keys = st.sampled_from(
    [
        *("engine", "image", "command", "args", "extra_args", "env", "resources", "requests"),
        *("min", "max", "signal", "target", "scale_down_after", "tensor", "data", "secret"),
        *("weight", "uri", "spec", "template", "containers", "replicas", "gpus", "runtime"),
    ]
)
_odd = _anything | st.dictionaries(
    _inner_keys, _anything | st.dictionaries(_inner_keys, _anything, max_size=3), max_size=4
)
_odd_entries = st.dictionaries(st.sampled_from(list(KEYS)) | st.text(max_size=6), _odd, max_size=9)
_stages = st.builds(Stage, st.booleans(), st.booleans(), st.none() | _MOMENTS, st.none() | _MOMENTS)


def _valid(entry):
    """Return the entry's model, or leave this example where it is none."""
    problems = Problems()
    models = read_models(problems, [entry], defaults={})
    check_models(problems, models, settings())
    assume(not problems)
    (model,) = models
    return model


def _rendered(model, stage):
    given = settings(pod_monitor=True)
    return [
        *render_namespaces([model], given),
        *render_services(model, given),
        *render_extras(model, given),
        *render_route(model, given, stage),
    ]


@given(st.lists(_odd_entries | _anything, max_size=3) | _anything, _odd)
def test_nothing_that_an_inventory_may_hold_crashes(raw, defaults):
    before = copy.deepcopy((raw, defaults))
    problems = Problems()
    models = read_models(problems, raw, defaults=defaults)
    check_models(problems, models, settings())
    assert repr((raw, defaults)) == repr(before)
    assert all(str(problem).isprintable() for problem in problems)
    if not problems:
        for model in models:
            assert _rendered(model, Stage())


@given(_odd)
def test_engines_of_any_shape_are_read_or_refused(raw):
    read_engines(Problems(), raw)


@given(entries)
def test_a_legal_entry_is_refused_for_its_relations_only(entry):
    problems = Problems()
    read_models(problems, [entry])
    assert problems == []


@given(entries, _stages)
def test_objects_have_names_that_kubernetes_takes_and_say_whose_they_are(entry, stage):
    model = _valid(entry)
    objects = _rendered(model, stage)
    seen = {(item["kind"], item["metadata"]["name"]) for item in objects}
    assert len(seen) == len(objects)
    for item in objects:
        metadata = item["metadata"]
        assert _DNS.fullmatch(metadata["name"])
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "maas.platform"
        if item["kind"] != "Namespace" and metadata["name"] != "maas-models":
            assert metadata["labels"]["maas.platform/model"] == model.name
        if item["kind"] == "LLMInferenceService":
            assert len(f"{metadata['name']}-kserve-workload-svc") <= 63


@given(entries, _stages)
def test_routes_have_exact_paths_behind_the_checks_and_weights_that_add_up(entry, stage):
    model = _valid(entry)
    (route,) = (
        item for item in render_route(model, settings(), stage) if item["kind"] == "HTTPRoute"
    )
    for rule in route["spec"]["rules"]:
        (match,) = rule["matches"]
        assert match["path"]["type"] == "Exact"
        assert match["path"]["value"].startswith(f"/{model.namespace}/{model.name}/v1/")
        assert [header["name"] for header in match["headers"]] == ["x-maas-tier"]
        backends = rule.get("backendRefs", [])
        if stage.paused:
            assert backends == []
        elif len(backends) == 1:
            assert backends[0]["name"] == f"{model.name}-kserve-workload-svc"
        else:
            assert sum(backend["weight"] for backend in backends) == 100


@given(entries)
def test_gpus_are_limited_to_what_is_requested_everywhere(entry):
    model = _valid(entry)
    services = [
        item for item in render_services(model, settings()) if item["kind"] == "LLMInferenceService"
    ]
    for version, service in zip(model.versions, services, strict=True):
        pods = [service["spec"][key] for key in ("template", "worker") if key in service["spec"]]
        assert len(pods) == (2 if version.nodes > 1 else 1)
        for pod in pods:
            resources = pod["containers"][0]["resources"]
            asked = {
                kind: {key: resources[kind][key] for key in resources.get(kind, {}) if "/" in key}
                for kind in ("requests", "limits")
            }
            assert asked["requests"] == asked["limits"]
            if version.gpus and version.pool != "claims":
                assert list(asked["limits"].values()) == [version.gpus]


@given(entries, _stages)
def test_the_same_entry_is_always_rendered_the_same(entry, stage):
    model = _valid(entry)
    turned = dict(reversed(list(copy.deepcopy(entry).items())))
    assert _rendered(_valid(turned), stage) == _rendered(model, stage)


@given(versions, versions)
def test_merging_defaults_twice_is_merging_them_once(defaults, entry):
    once = merge_keys(defaults, entry)
    assert merge_keys(defaults, once) == once
    assert merge_keys({}, entry) == entry


@given(versions.map(lambda said: {key: said[key] for key in said if key in DEFAULT_KEYS}), names)
def test_a_default_is_what_every_entry_would_say(defaults, name):
    below, written = Problems(), Problems()
    entry = {"name": name, "uri": "hf://a/b"}
    assert read_models(below, [entry], defaults=defaults) == read_models(
        written, [{**defaults, **entry}], defaults={}
    )
    assert below == written
