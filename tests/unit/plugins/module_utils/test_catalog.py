# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy

import pytest
import yaml
from ansible_collections.maas.platform.plugins.module_utils._catalog import (
    catalog_entries,
    parse_catalog,
)
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._models import ModelRef
from ansible_collections.maas.platform.plugins.module_utils._policies import render
from ansible_collections.maas.platform.plugins.module_utils._tiers import (
    Rate,
    Tier,
    parse_inventory,
)
from hypothesis import given
from hypothesis import strategies as st

_names = st.text("abcz019", min_size=1, max_size=12)
_text = st.text(max_size=30)
_quotas = st.just("unlimited") | st.lists(
    st.builds(Rate, st.integers(1), st.integers(1, 99_999 * 3600)), min_size=1, max_size=3
).map(tuple)
_tiers = st.builds(
    Tier,
    name=_names,
    display_name=_text,
    description=_text,
    level=st.integers(0),
    groups=st.lists(_text, max_size=3).map(tuple),
    models=st.lists(st.builds(ModelRef, _names, _names), max_size=3).map(tuple),
    default_ttl_seconds=st.integers(600),
    max_ttl_seconds=st.integers(600),
    requests=_quotas,
    tokens=_quotas,
)


@given(st.lists(_tiers, max_size=4, unique_by=lambda tier: tier.level))
def test_what_is_written_is_read_back(tiers):
    ordered = sorted(tiers, key=lambda tier: tier.level)
    assert parse_catalog(catalog_entries(tiers)) == ordered


def _printable(tier):
    return all(text.isprintable() for text in (tier.display_name, tier.description, *tier.groups))


@given(st.lists(_tiers.filter(_printable), min_size=1, max_size=3, unique_by=lambda t: t.level))
def test_the_config_map_says_the_same_in_yaml(tiers):
    (config_map,) = render(tiers).catalog
    assert yaml.safe_load(config_map["data"]["tiers"]) == catalog_entries(tiers)


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
