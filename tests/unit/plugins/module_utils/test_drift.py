# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy

import pytest
from ansible_collections.maas.platform.plugins.module_utils._drift import (
    differences,
    find_drift,
    in_step,
    merge,
    previous,
    strangers,
    without,
    write_path,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins import fake_fields

_NAMES = st.sampled_from(["a", "b", "c", "x.y/z", "tiers"])
_VALUES = st.recursive(
    st.one_of(st.integers(), st.text(max_size=3), st.lists(st.integers(), max_size=2)),
    lambda inside: st.dictionaries(_NAMES, inside, min_size=1, max_size=3),
    max_leaves=6,
)
_SPECS = st.dictionaries(_NAMES, _VALUES, min_size=1, max_size=4)


def _policy(spec, labels=None):
    metadata = {"name": "one", "namespace": "here", "labels": labels or {"ours": "yes"}}
    return {
        "apiVersion": "kuadrant.io/v1",
        "kind": "RateLimitPolicy",
        "metadata": metadata,
        "spec": spec,
    }


def _content(item):
    kept = copy.deepcopy(item)
    kept["metadata"].pop("managedFields", None)
    return kept


@given(_SPECS)
def test_what_was_applied_is_in_step_and_has_no_drift(spec):
    wanted = _policy(spec)
    live = fake_fields.apply(None, wanted)
    assert in_step(live, wanted)
    assert find_drift(live, wanted, same_revision=True) == []
    assert strangers(live, wanted) == []


@given(_SPECS, _SPECS)
def test_applying_is_left_out_only_where_it_would_change_nothing(before, after):
    live = fake_fields.apply(None, _policy(before))
    wanted = _policy(after)
    if in_step(live, wanted):
        assert _content(fake_fields.apply(live, wanted)) == _content(live)


@given(_SPECS, _SPECS)
def test_the_state_before_comes_back(before, after):
    live = fake_fields.apply(None, _policy(before))
    wanted = _policy(after)
    changed = fake_fields.apply(live, wanted)
    assert _content(fake_fields.apply(changed, previous(live, wanted))) == _content(live)


@given(_SPECS, _SPECS)
def test_differences_lead_from_one_to_the_other(before, after):
    assert (list(differences(before, after)) == []) == (before == after)


def test_a_field_of_another_hand_is_told_with_its_owner_and_put_back_with_its_value():
    wanted = _policy({"limits": {"free": {"rates": [{"limit": 5}]}}})
    live = fake_fields.apply(None, wanted)
    path = ("spec", "limits", "free", "rates")
    fake_fields.edit(live, "kubectl-edit", {path: [{"limit": 9}]})
    assert not in_step(live, wanted)
    # Whatever the revision: it is not the inventory that changed this.
    (drift,) = find_drift(live, wanted, same_revision=False)
    assert str(drift) == (
        "RateLimitPolicy here/one: spec.limits.free.rates[0].limit is 9, wanted 5, changed by "
        "kubectl-edit"
    )
    assert previous(live, wanted)["spec"]["limits"]["free"]["rates"] == [{"limit": 9}]


def test_what_others_added_is_taken_away_where_what_is_rendered_is_all():
    wanted = _policy({"limits": {"free": {"rates": [1]}}})
    live = fake_fields.apply(None, wanted)
    fake_fields.edit(live, "kubectl-patch", {("spec", "limits", "mine", "rates"): [2]})
    fake_fields.edit(live, "argocd", {("metadata", "labels", "theirs"): "stays"})
    (path,) = strangers(live, wanted)
    assert path == ("spec", "limits", "mine")
    patch = without(wanted, [path])
    assert patch == {"spec": {"limits": {"mine": None}}}
    cleaned = merge(live, patch)
    assert cleaned["spec"] == wanted["spec"]
    assert cleaned["metadata"]["labels"]["theirs"] == "stays"
    (drift,) = find_drift(live, wanted, same_revision=True)
    assert "spec.limits.mine is" in str(drift)
    assert str(drift).endswith("and nobody wants it, changed by kubectl-patch")


def test_defaults_that_the_server_adds_are_no_drift():
    wanted = _policy({"limits": {"free": {"rates": [1]}}})
    live = fake_fields.apply(None, wanted)
    live["spec"]["defaulted"] = True
    assert in_step(live, wanted)
    assert find_drift(live, wanted, same_revision=True) == []


def test_a_field_that_is_rendered_no_more_is_not_in_step():
    live = fake_fields.apply(None, _policy({"limits": {"free": {}, "gone": {"rates": [1]}}}))
    assert not in_step(live, _policy({"limits": {"free": {}}}))


def test_an_object_that_nobody_applied_is_not_in_step():
    wanted = _policy({"limits": {"free": {"rates": [1]}}})
    assert not in_step(None, wanted)
    assert not in_step(copy.deepcopy(wanted), wanted)


@pytest.mark.parametrize(("same_revision", "lines"), [(False, []), (True, ["missing"])])
def test_a_missing_object_is_drift_where_the_inventory_is_the_same(same_revision, lines):
    drifts = find_drift(None, _policy({}), same_revision)
    assert [str(drift).split(" is ")[1] for drift in drifts] == lines


def test_paths_read_as_people_write_them():
    assert write_path(("spec", "limits", "free", "rates", "[0]", "limit")) == (
        "spec.limits.free.rates[0].limit"
    )
    assert write_path(("metadata", "labels", "maas.platform/tier")) == (
        'metadata.labels["maas.platform/tier"]'
    )
