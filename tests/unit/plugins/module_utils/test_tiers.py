# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.maas.platform.plugins.module_utils import _tiers
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._models import ModelRef
from ansible_collections.maas.platform.plugins.module_utils._tiers import Rate
from hypothesis import given
from hypothesis import strategies as st


def test_tiers_are_read(raw_tiers, raw_models):
    free, premium, enterprise = _tiers.parse_inventory(raw_tiers, raw_models).tiers
    assert free.display_name == "Free"
    assert free.namespace == "maas-default-gateway-tier-free"
    assert free.models == (ModelRef("llm", "gemma"),)
    assert free.requests == (Rate(5, 120),)
    assert free.tokens == (Rate(100, 60), Rate(20000, 86400))
    assert (free.default_ttl_seconds, free.max_ttl_seconds) == (14400, 86400)
    assert premium.display_name == "premium"
    assert premium.tokens == "unlimited"
    assert premium.models == (ModelRef("llm", "gemma"), ModelRef("llm", "gemma-large"))
    assert enterprise.models == premium.models


def _set(raw: Any, path: list[Any], value: Any) -> None:
    for key in path[:-1]:
        raw = raw[key]
    raw[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (["name"], "Free", 'maas_tiers[0].name: value "Free", allowed: a DNS label'),
        (["name"], "x" * 38, "at most 37 characters"),
        (["name"], "-free", "maas_tiers[0].name"),
        (["level"], "0", 'maas_tiers[0].level: value "0", allowed: a whole number, at least 0'),
        (["level"], True, "maas_tiers[0].level: value true"),
        (["level"], -1, "maas_tiers[0].level: value -1"),
        (["level"], 10, "maas_tiers[1].level: value 10, allowed: a level that no other tier has"),
        (["name"], "premium", 'maas_tiers[1].name: value "premium", allowed: a name that no other'),
        (["groups"], "all", 'maas_tiers[0].groups: value "all", allowed: a list of group names'),
        (["groups"], ["a", "a"], 'maas_tiers[0].groups[1]: value "a", allowed: each group once'),
        (["groups"], [" a"], 'maas_tiers[0].groups[0]: value " a"'),
        (["models"], ["gema"], "did you mean gemma?"),
        (["models"], ["x*"], 'value "x*", allowed: a model in maas_models: gemma, gemma-large'),
        (["models"], [7], "maas_tiers[0].models[0]: value 7"),
        (["limits"], {"tokens": "unlimited"}, "maas_tiers[0].limits.requests: value (missing)"),
        (["limits"], "unlimited", "maas_tiers[0].limits: value"),
        (["limits", "tokens"], [], "maas_tiers[0].limits.tokens: value []"),
        (["limits", "tokens"], "unlimted", "did you mean unlimited?"),
        (["limits", "tokens"], None, "maas_tiers[0].limits.tokens: value null"),
        (["limits", "requests", 0, "limit"], 0, "value 0, allowed: a whole number, at least 1"),
        (["limits", "requests", 0, "window"], "1d", 'window: value "1d", allowed: a duration'),
        (["limits", "requests", 0, "burst"], 1, "no such key; the keys are limit, window"),
        (["limits", "tokens", 1, "window"], "1440m", "allowed: each window once"),
        (["token", "max_ttl"], "9m", "at least 10m, the shortest Kubernetes can make"),
        (["token", "default_ttl"], "25h", "allowed: at most max_ttl, which is 24h"),
        (["token", "ttl"], "1h", "maas_tiers[0].token.ttl"),
        (["modles"], [], "did you mean models?"),
        (["state"], "absent", "this key is not supported yet"),
        (["renamed_from"], [], "this key is not supported yet"),
        (["on_removal"], "block", "this key is not supported yet"),
        (["enabled"], False, "this key is not supported yet"),
        (["limits", "models"], {}, "this key is not supported yet"),
        (["description"], "a\x07b", "maas_tiers[0].description"),
    ],
)
def test_a_mistake_is_named_with_place_value_and_what_is_allowed(
    raw_tiers, raw_models, path, value, line
):
    _set(raw_tiers[0], path, value)
    found = _tiers.inventory_problems(raw_tiers, raw_models)
    assert len(found) == 1, found
    assert line in found[0]


@pytest.mark.parametrize("key", ["name", "level", "groups", "models", "limits"])
def test_what_must_be_there_is_missed(raw_tiers, raw_models, key):
    del raw_tiers[0][key]
    found = _tiers.inventory_problems(raw_tiers, raw_models)
    assert any(f"maas_tiers[0].{key}: value (missing), allowed: " in line for line in found)


def test_every_mistake_is_named_at_once(raw_tiers, raw_models):
    _set(raw_tiers[0], ["level"], "0")
    _set(raw_tiers[1], ["limits", "requests", 0, "limit"], 0)
    raw_models[0]["replicas"] = -1
    assert len(_tiers.inventory_problems(raw_tiers, raw_models)) == 3


def test_a_model_that_no_tier_names_is_refused(raw_tiers, raw_models):
    raw_models.append({"name": "lonely", "uri": "hf://x/y"})
    raw_tiers[2]["models"] = ["gemma"]
    assert _tiers.inventory_problems(raw_tiers, raw_models) == [
        'maas_models[2].name: value "lonely", allowed: a model that at least one tier names in '
        "its models"
    ]


def test_all_models_may_be_none(raw_tiers):
    for tier in raw_tiers:
        tier["models"] = ["*"]
    assert _tiers.parse_inventory(raw_tiers, []).tiers[0].models == ()


@pytest.mark.parametrize("raw", [None, {}, "free", [], [None], [[]], [{1: 2}]])
def test_what_are_no_tiers_at_all_is_refused(raw):
    assert _tiers.inventory_problems(raw, [])


def test_a_short_max_ttl_brings_the_default_down(raw_tiers, raw_models):
    raw_tiers[0]["token"] = {"max_ttl": "1h"}
    assert _tiers.parse_inventory(raw_tiers, raw_models).tiers[0].default_ttl_seconds == 3600


@pytest.mark.parametrize(
    ("groups", "tier"),
    [
        ([], None),
        (["nobody"], None),
        (["system:authenticated"], "free"),
        (["system:authenticated", "tier-premium-users"], "premium"),
        (["tier-enterprise-users", "tier-free-users"], "enterprise"),
    ],
)
def test_the_highest_level_wins(raw_tiers, raw_models, groups, tier):
    tiers = _tiers.parse_inventory(raw_tiers, raw_models).tiers
    found = _tiers.resolve_tier(tiers, groups)
    assert (found.name if found else None) == tier
    again = _tiers.resolve_tier(reversed(tiers), groups)
    assert again == found


def test_an_unknown_tier_is_named_with_those_there_are(raw_tiers, raw_models):
    tiers = _tiers.parse_inventory(raw_tiers, raw_models).tiers
    with pytest.raises(MaasError, match=r"no tier \"fre\"; .*did you mean free"):
        _tiers.find_tier(tiers, "fre")


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
_keys = st.sampled_from(
    ["name", "level", "groups", "models", "limits", "token", "requests", "tokens", "window"]
)


@given(st.lists(st.dictionaries(_keys | st.text(max_size=6), _anything, max_size=8), max_size=3))
def test_nothing_crashes_and_nothing_half_valid_comes_out(raw):
    before = copy.deepcopy(raw)
    found = _tiers.inventory_problems(raw, [])
    assert raw == before
    if not found:
        assert _tiers.parse_inventory(raw, []).tiers


@given(_anything)
def test_models_of_any_shape_are_read_or_refused(raw):
    assert isinstance(_tiers.inventory_problems([], raw), list)
