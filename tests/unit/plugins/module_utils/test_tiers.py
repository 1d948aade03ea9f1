# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.maas.platform.plugins.module_utils import _tiers
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._models import ModelRef
from ansible_collections.maas.platform.plugins.module_utils._tiers import (
    ModelLimits,
    Rate,
    Removal,
)
from ansible_collections.maas.platform.plugins.module_utils._validation import problems_of
from ansible_collections.maas.platform.plugins.module_utils._warnings import inventory_warnings
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
        (["state"], "gone", 'maas_tiers[0].state: value "gone", allowed: present or absent'),
        (["state"], "absnt", "did you mean absent?"),
        (["enabled"], "no", 'maas_tiers[0].enabled: value "no", allowed: true or false'),
        (["priority"], "high", 'maas_tiers[0].priority: value "high", allowed: a whole number'),
        (["priority"], 2**31, "maas_tiers[0].priority: value 2147483648"),
        (["on_removal"], "blok", "did you mean block?"),
        (["renamed_from"], "old", "maas_tiers[0].renamed_from: value"),
        (["renamed_from"], ["Old"], "maas_tiers[0].renamed_from[0]: value"),
        (["renamed_from"], ["free"], "(so is maas_tiers[0].name)"),
        (["renamed_from"], ["premium"], "allowed: a name that no tier in the list has any more"),
        (["renamed_from"], ["a", "a"], "allowed: each old name once"),
        (["limits", "models"], [], "maas_tiers[0].limits.models: value []"),
        (["limits", "models"], {"gema": {"tokens": "unlimited"}}, "did you mean gemma?"),
        (["limits", "models"], {"gemma-large": {"tokens": "unlimited"}}, "may be called: gemma"),
        (["limits", "models"], {"gemma": {}}, "at least one of requests, tokens"),
        (["limits", "models"], {"gemma": {"token": "unlimited"}}, "did you mean tokens?"),
        (
            ["limits", "models"],
            {"gemma": {"tokens": [{"limit": 0, "window": "1m"}]}},
            "maas_tiers[0].limits.models.gemma.tokens[0].limit: value 0",
        ),
        (["display_name"], "a\nb", "maas_tiers[0].display_name: value"),
        (["display_name"], "a\u202eb", "one line of text"),
        (["description"], "a\x07b", "maas_tiers[0].description"),
    ],
)
def test_a_mistake_is_named_with_place_value_and_what_is_allowed(
    raw_tiers, raw_models, path, value, line
):
    _set(raw_tiers[0], path, value)
    found = problems_of(raw_tiers, raw_models)
    assert len(found) == 1, found
    assert line in found[0]


def _gone(**keys):
    return {"name": "trial", "state": "absent", "on_removal": "block", **keys}


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (_gone(on_removal="drop"), 'maas_tiers[3].on_removal: value "drop", allowed: {migrate_to:'),
        (_gone(on_removal={}), "maas_tiers[3].on_removal: value {}"),
        (
            _gone(on_removal={"drain": "1h", "migrate_to": "free"}),
            "maas_tiers[3].on_removal: value",
        ),
        (_gone(on_removal={"drain": "0s"}), "maas_tiers[3].on_removal.drain: value"),
        (_gone(on_removal={"drian": "1h"}), "did you mean drain?"),
        (_gone(on_removal={"migrate_to": 1}), "maas_tiers[3].on_removal.migrate_to: value 1"),
        (_gone(on_removal={"migrate_to": "fre"}), "did you mean free?"),
        (_gone(on_removal={"migrate_to": "trial"}), "a tier that stays: free, premium, enterprise"),
        (_gone(name="free"), "allowed: a name that no other tier has (so is maas_tiers[0].name)"),
        (_gone(groups="all"), "maas_tiers[3].groups: value"),
        (_gone(limits={"tokens": []}), "maas_tiers[3].limits"),
        (_gone(level="low"), "maas_tiers[3].level: value"),
        (_gone(modles=[]), "did you mean models?"),
        ({"name": "trial", "state": "absent"}, "maas_tiers[3].on_removal: value (missing)"),
    ],
)
def test_what_is_wrong_about_a_tier_that_goes_is_named(raw_tiers, raw_models, entry, line):
    found = problems_of([*raw_tiers, entry], raw_models)
    assert found
    assert any(line in problem for problem in found), found


def test_a_tier_that_goes_may_keep_its_whole_entry(raw_tiers, raw_models):
    whole = {**copy.deepcopy(raw_tiers[0]), "name": "trial", "models": ["long-gone"]}
    whole["limits"]["models"] = {"long-gone": {"tokens": "unlimited"}}
    whole.update(state="absent", on_removal={"migrate_to": "free"})
    inventory = _tiers.parse_inventory([*raw_tiers, whole], raw_models)
    assert [tier.name for tier in inventory.tiers] == ["free", "premium", "enterprise"]
    assert inventory.removals == (
        Removal("trial", "migrate", "free", 0, ("tier-free-users", "system:authenticated")),
    )


def test_all_tiers_cannot_go(raw_models):
    raw = [{"name": "free", "state": "absent", "on_removal": "block", "models": ["*"]}]
    (problem,) = problems_of(raw, raw_models)
    assert "at least one tier that stays" in problem


def test_new_keys_are_read(raw_tiers, raw_models):
    raw_tiers[1].update(enabled=False, priority=-5, renamed_from=["pro", "plus"])
    raw_tiers[1]["limits"]["models"] = {
        "gemma-large": {"requests": [{"limit": 1, "window": "1h"}]},
        "gemma": {"tokens": "unlimited", "requests": "unlimited"},
    }
    inventory = _tiers.parse_inventory(raw_tiers, raw_models)
    premium = inventory.tiers[1]
    assert (premium.enabled, premium.priority) == (False, -5)
    assert inventory.renames == (("pro", "premium"), ("plus", "premium"))
    assert premium.model_limits == (
        ModelLimits(ModelRef("llm", "gemma"), "unlimited", "unlimited"),
        ModelLimits(ModelRef("llm", "gemma-large"), (Rate(1, 3600),), None),
    )
    assert inventory.tiers[0].enabled
    assert inventory.tiers[0].priority == 0


@pytest.mark.parametrize(
    "name",
    [
        'Die "Großen" {1} \\\\',
        "無料",
        "👩\u200d💻 free",
        "25\u00a0€",
        "a: b # c",
        "'",
        "{{ x }}",
        "- [",
        "~",
    ],
)
def test_any_line_of_text_may_be_a_name_for_people(raw_tiers, raw_models, name):
    raw_tiers[0]["display_name"] = name
    tiers = _tiers.parse_inventory(raw_tiers, raw_models).tiers
    assert tiers[0].display_name == name


@pytest.mark.parametrize("key", ["name", "level", "groups", "models", "limits"])
def test_what_must_be_there_is_missed(raw_tiers, raw_models, key):
    del raw_tiers[0][key]
    found = problems_of(raw_tiers, raw_models)
    assert any(f"maas_tiers[0].{key}: value (missing), allowed: " in line for line in found)


def test_every_mistake_is_named_at_once(raw_tiers, raw_models):
    _set(raw_tiers[0], ["level"], "0")
    _set(raw_tiers[1], ["limits", "requests", 0, "limit"], 0)
    raw_models[0]["replicas"] = -1
    assert len(problems_of(raw_tiers, raw_models)) == 3


def test_a_model_that_no_tier_names_is_refused(raw_tiers, raw_models):
    raw_models.append({"name": "lonely", "uri": "hf://x/y"})
    raw_tiers[2]["models"] = ["gemma"]
    assert problems_of(raw_tiers, raw_models) == [
        'maas_models[2].name: value "lonely", allowed: a model that at least one tier names in '
        "its models"
    ]


@pytest.mark.parametrize("state", ["retired", "absent"])
def test_a_model_that_goes_needs_no_tier(raw_tiers, raw_models, state):
    raw_models.append({"name": "lonely", "uri": "hf://x/y", "state": state})
    raw_tiers[2]["models"] = ["gemma"]
    assert problems_of(raw_tiers, raw_models) == []


def test_a_retired_model_may_be_named_and_an_absent_one_may_not(raw_tiers, raw_models):
    raw_models[0]["state"] = "retired"
    assert problems_of(raw_tiers, raw_models) == []
    raw_models[0]["state"] = "absent"
    (problem,) = problems_of(raw_tiers, raw_models)
    assert 'value "gemma", allowed: a model in maas_models: gemma-large' in problem


def test_all_models_may_be_none(raw_tiers):
    for tier in raw_tiers:
        tier["models"] = ["*"]
    assert _tiers.parse_inventory(raw_tiers, []).tiers[0].models == ()


@pytest.mark.parametrize("raw", [None, {}, "free", [], [None], [[]], [{1: 2}]])
def test_what_are_no_tiers_at_all_is_refused(raw):
    assert problems_of(raw, [])


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
    [
        *("name", "level", "groups", "models", "limits", "token", "requests", "tokens", "window"),
        *("state", "on_removal", "migrate_to", "drain", "renamed_from", "enabled", "priority"),
    ]
)


_override_keys = st.sampled_from(["user", "suspended", "reason", "limits", "requests", "models"])


@given(st.lists(st.dictionaries(_keys | st.text(max_size=6), _anything, max_size=8), max_size=3))
def test_nothing_crashes_and_nothing_half_valid_comes_out(raw):
    before = copy.deepcopy(raw)
    found = problems_of(raw, [])
    assert all(isinstance(line, str) for line in inventory_warnings(raw, []))
    assert raw == before
    if not found:
        assert _tiers.parse_inventory(raw, []).tiers


@given(_anything | st.lists(st.dictionaries(_override_keys, _anything, max_size=4), max_size=3))
def test_overrides_of_any_shape_are_read_or_refused(raw):
    assert isinstance(problems_of([], [], raw_overrides=raw), list)


@given(_anything)
def test_models_of_any_shape_are_read_or_refused(raw):
    assert isinstance(problems_of([], raw), list)
