# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from ansible_collections.maas.platform.plugins.module_utils._unions import unite
from hypothesis import given
from hypothesis import strategies as st

_REVISION = "maas.platform/revision"
_LIMITS = st.dictionaries(
    st.sampled_from(["free", "premium", "gold", "user.alice-0"]),
    st.fixed_dictionaries(
        {
            "rates": st.lists(st.integers(1, 9), min_size=1, max_size=2),
            "when": st.lists(st.sampled_from(["old", "new"]), min_size=1, max_size=1),
            "counters": st.just(["user"]),
        }
    ),
    min_size=1,
)


def _policy(limits, revision):
    return {
        "apiVersion": "kuadrant.io/v1",
        "kind": "RateLimitPolicy",
        "metadata": {"name": "one", "annotations": {_REVISION: revision}},
        "spec": {"targetRef": {"name": "route"}, "limits": limits},
    }


@given(_LIMITS, _LIMITS)
def test_every_limit_of_old_and_new_is_there_with_the_new_numbers(old, new):
    united = unite(_policy(old, "1"), _policy(new, "2"))["spec"]["limits"]
    assert united.keys() == old.keys() | new.keys()
    for name, limit in united.items():
        assert limit["rates"] == new.get(name, old.get(name))["rates"]
        assert limit["when"] == old.get(name, new.get(name))["when"]


@given(_LIMITS, _LIMITS)
def test_uniting_again_changes_nothing(old, new):
    wanted = _policy(new, "2")
    united = unite(_policy(old, "1"), wanted)
    assert unite(united, wanted) == united


@given(_LIMITS, _LIMITS)
def test_only_what_is_all_of_the_new_is_called_new(old, new):
    united = unite(_policy(old, "1"), _policy(new, "2"))
    stamp = united["metadata"]["annotations"][_REVISION]
    assert stamp == ("2" if united["spec"]["limits"] == new else "1")


def test_rights_of_old_and_new_stand_side_by_side():
    def role(*rules):
        return {"kind": "Role", "metadata": {"name": "one"}, "rules": list(rules)}

    assert unite(role("a", "b"), role("b", "c"))["rules"] == ["b", "c", "a"]
    wanted = role("b")
    assert unite(role("b"), wanted) is wanted
    assert unite(None, wanted) is wanted


def test_members_of_old_and_new_stand_side_by_side():
    def binding(*names):
        return {"kind": "RoleBinding", "metadata": {"name": "one"}, "subjects": list(names)}

    assert unite(binding("old"), binding("new"))["subjects"] == ["new", "old"]
