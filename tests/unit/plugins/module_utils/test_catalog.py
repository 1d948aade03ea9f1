# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import yaml
from ansible_collections.maas.platform.plugins.module_utils._accounts import account_name
from ansible_collections.maas.platform.plugins.module_utils._catalog import (
    Catalog,
    Former,
    catalog_entries,
    parse_catalog,
    read_catalog,
    write_catalog,
)
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._inventory import Inventory
from ansible_collections.maas.platform.plugins.module_utils._models import ModelRef
from ansible_collections.maas.platform.plugins.module_utils._overrides import Override
from ansible_collections.maas.platform.plugins.module_utils._policies import render_plan
from ansible_collections.maas.platform.plugins.module_utils._tiers import (
    ModelLimits,
    Rate,
    Tier,
    parse_inventory,
)
from ansible_collections.maas.platform.plugins.module_utils._transitions import fresh_plan
from ansible_collections.maas.platform.plugins.module_utils._yaml import write_yaml
from hypothesis import given
from hypothesis import strategies as st

_names = st.text("abcz019", min_size=1, max_size=12)
_text = st.text(max_size=30)
_quotas = st.just("unlimited") | st.lists(
    st.builds(Rate, st.integers(1), st.integers(1, 99_999 * 3600)), min_size=1, max_size=3
).map(tuple)
_model_limits = st.builds(
    ModelLimits, st.builds(ModelRef, _names, _names), st.none() | _quotas, st.none() | _quotas
)
_tiers = st.builds(
    Tier,
    name=_names,
    display_name=_text,
    description=_text,
    level=st.integers(0),
    groups=st.lists(_text, max_size=3, unique=True).map(tuple),
    models=st.lists(st.builds(ModelRef, _names, _names), max_size=3).map(tuple),
    default_ttl_seconds=st.integers(600),
    max_ttl_seconds=st.integers(600),
    requests=_quotas,
    tokens=_quotas,
    enabled=st.booleans(),
    priority=st.integers(-(2**31), 2**31 - 1),
    model_limits=st.lists(
        st.builds(
            ModelLimits,
            st.builds(ModelRef, _names, _names),
            st.none() | _quotas,
            st.none() | _quotas,
        ),
        max_size=2,
    ).map(tuple),
)
_users = st.text(min_size=1, max_size=20).filter(
    lambda user: user.isprintable() and user.strip() == user
)
_overrides = st.builds(
    lambda user, **keys: Override(user=user, account=account_name(user), **keys),
    user=_users,
    suspended=st.booleans(),
    reason=_text,
    requests=st.none() | _quotas,
    tokens=st.none() | _quotas,
)


@given(st.lists(_tiers, max_size=4, unique_by=lambda tier: tier.level))
def test_what_is_written_is_read_back(tiers):
    ordered = sorted(tiers, key=lambda tier: tier.level)
    assert parse_catalog(catalog_entries(tiers)) == ordered


@given(
    st.lists(
        _tiers, min_size=1, max_size=3, unique_by=(lambda tier: tier.level, lambda tier: tier.name)
    ),
    st.lists(_overrides, max_size=2, unique_by=lambda override: override.account),
)
def test_the_config_map_says_the_same_in_yaml(tiers, overrides):
    inventory = Inventory(tuple(tiers), (), overrides=tuple(overrides))
    (config_map,) = render_plan(fresh_plan(inventory)).catalog
    read = {key: yaml.safe_load(text) for key, text in config_map["data"].items()}
    assert read["tiers"] == catalog_entries(tiers)
    assert read_catalog(read) == Catalog(
        tuple(sorted(tiers, key=lambda tier: tier.level)), (), tuple(overrides)
    )


@given(st.dictionaries(st.text("ab", min_size=1), st.text(), min_size=1))
def test_any_text_is_the_same_in_yaml(entry):
    assert yaml.safe_load(write_yaml([entry])) == [entry]


def _catalog():
    tier = parse_inventory(
        [
            {
                "name": "free",
                "level": 0,
                "groups": [],
                "models": ["*"],
                "limits": {"requests": "unlimited", "tokens": "unlimited"},
            }
        ],
        [],
    ).tiers[0]
    until = datetime(2026, 11, 24, 8, tzinfo=UTC)
    old = "maas-default-gateway-tier-old"
    entry = replace(tier, name="old")
    return Catalog(
        (tier,),
        (Former(old, "old", "old", until, "draining", entry, ("g",)),),
        (Override("alice", account_name("alice"), True, "left"),),
    )


def test_former_tiers_and_overrides_are_read_back():
    catalog = _catalog()
    assert read_catalog(write_catalog(catalog)) == catalog
    assert catalog.override(account_name("alice")).suspended
    assert catalog.override("bob") is None


def test_a_catalog_of_the_first_release_has_neither():
    data = {"tiers": write_catalog(_catalog())["tiers"]}
    for key in ("enabled", "priority"):
        del data["tiers"][0][key]
    del data["tiers"][0]["limits"]["models"]
    assert read_catalog(data) == Catalog(_catalog().tiers)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda data: data["former"][0].update(tier="nobody", entry=None),
        lambda data: data["former"][0].update(state="gone"),
        lambda data: data["former"][0].update(until="tomorrow"),
        lambda data: data["former"][0].update(until=None),
        lambda data: data["former"][0].pop("groups"),
        lambda data: data["former"][0]["entry"].update(name="free"),
        lambda data: data["former"][0].update(namespace="maas-default-gateway-tier-free"),
        lambda data: data["former"].append(data["former"][0]),
        lambda data: data["tiers"].append(data["tiers"][0]),
        lambda data: data["overrides"].append(data["overrides"][0]),
        lambda data: data["overrides"][0].update(account="bob-00000000"),
        lambda data: data["overrides"][0].update(suspended="yes"),
        lambda data: data["overrides"][0].update(limits={"requests": []}),
        lambda data: data.update(overrides={}),
        lambda data: data.update(former=None),
        lambda data: data.pop("tiers"),
    ],
)
def test_a_catalog_that_does_not_fit_together_is_refused(break_it):
    data = write_catalog(_catalog())
    break_it(data)
    with pytest.raises(MaasError):
        read_catalog(data)


def test_existing_clients_find_their_keys(raw_tiers, raw_models):
    entry = catalog_entries(parse_inventory(raw_tiers, raw_models).tiers)[0]
    assert list(entry)[:5] == ["name", "displayName", "description", "level", "groups"]
    assert entry["limits"]["requests"] == [{"limit": 5, "windowSeconds": 120}]


@pytest.mark.parametrize(
    "break_it",
    [
        lambda entry: entry.pop("models"),
        lambda entry: entry.pop("namespace"),
        lambda entry: entry.update(namespace="kube-system"),
        lambda entry: entry.update(level="0"),
        lambda entry: entry.update(groups="all"),
        lambda entry: entry["limits"].update(requests=[]),
        lambda entry: entry["limits"].update(requests=None),
        lambda entry: entry["token"].update(maxTtlSeconds=True),
    ],
)
def test_a_catalog_of_somebody_else_is_refused(raw_tiers, raw_models, break_it):
    entries = catalog_entries(parse_inventory(raw_tiers, raw_models).tiers)
    broken = copy.deepcopy(entries)
    break_it(broken[0])
    with pytest.raises(MaasError, match="run the role tiers again"):
        parse_catalog(broken)


@pytest.mark.parametrize("raw", [None, {}, "free", 7, [None], ["free"], [[]]])
def test_what_is_no_catalog_is_refused(raw):
    with pytest.raises(MaasError):
        parse_catalog(raw)
