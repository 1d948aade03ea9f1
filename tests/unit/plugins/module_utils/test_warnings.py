# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy

import pytest
from ansible_collections.maas.platform.plugins.module_utils._warnings import inventory_warnings


def _found(raw_tiers, raw_models, overrides=(), counters_kept=True):
    return inventory_warnings(
        raw_tiers, raw_models, raw_overrides=overrides, counters_kept=counters_kept
    )


def test_a_usual_inventory_is_fine(raw_tiers, raw_models):
    assert _found(raw_tiers, raw_models) == []


@pytest.mark.parametrize(
    ("number", "keys", "line"),
    [
        (
            1,
            {"limits": {"requests": [{"limit": 4, "window": "2m"}], "tokens": "unlimited"}},
            "maas_tiers[1].limits.requests: 4 in 2m against 5 in 2m; tier premium (level 10) "
            "allows less than tier free (level 0), and the higher level wins",
        ),
        (
            2,
            {"limits": {"requests": "unlimited", "tokens": [{"limit": 1, "window": "1s"}]}},
            "maas_tiers[2].limits.tokens: 1 in 1s against unlimited; tier enterprise",
        ),
        (
            1,
            {"limits": {"requests": [{"limit": 100, "window": "24h"}], "tokens": "unlimited"}},
            "maas_tiers[1].limits.requests: 100 in 24h against 5 in 2m;",
        ),
        (2, {"groups": []}, "maas_tiers[2].groups: no group, so nobody gets tier enterprise"),
        (
            1,
            {"groups": ["tier-enterprise-users"]},
            "maas_tiers[1].groups: nobody gets tier premium, because each of its groups is a "
            "group of a tier with a higher level, too (enterprise)",
        ),
        (
            1,
            {"groups": ["system:authenticated"]},
            "maas_tiers[0].groups: nobody gets tier free, because system:authenticated, which is "
            "everyone, is a group of tier premium, whose level is higher",
        ),
        (
            1,
            {"models": ["gemma*", "gemma"]},
            'maas_tiers[1].models[1]: "gemma" adds nothing to "gemma*"',
        ),
        (1, {"models": ["*", "g*"]}, 'maas_tiers[1].models[1]: "g*" adds nothing to "*"'),
        (
            1,
            {
                "limits": {
                    "requests": [{"limit": 20, "window": "2m"}, {"limit": 2000, "window": "1h"}],
                    "tokens": "unlimited",
                }
            },
            "maas_tiers[1].limits.requests: 2000 in 1h never holds anybody back, because 20 in 2m "
            "always does before",
        ),
    ],
)
def test_a_likely_mistake_is_named(raw_tiers, raw_models, number, keys, line):
    raw_tiers[number].update(keys)
    found = _found(raw_tiers, raw_models)
    assert len(found) == 1, found
    assert found[0].startswith(line)


def _per_minute(limit):
    return {"limits": {"requests": [{"limit": limit, "window": "1m"}], "tokens": "unlimited"}}


def test_a_level_is_held_against_every_lower_one(raw_tiers, raw_models):
    for number, limit in enumerate((10, 5, 7)):
        raw_tiers[number].update(_per_minute(limit))
    assert [line.split(";")[0] for line in _found(raw_tiers, raw_models)] == [
        "maas_tiers[1].limits.requests: 5 in 1m against 10 in 1m",
        "maas_tiers[2].limits.requests: 7 in 1m against 10 in 1m",
    ]


def test_limits_of_single_models_are_held_against_those_of_lower_levels(raw_tiers, raw_models):
    for number, limit in enumerate((10, 20, 30)):
        raw_tiers[number].update(_per_minute(limit))
    one = {"requests": [{"limit": 1, "window": "1m"}]}
    raw_tiers[1]["limits"]["models"] = {"gemma": one}
    (found,) = _found(raw_tiers, raw_models)
    assert found == (
        "maas_tiers[1].limits.models.gemma.requests: 1 in 1m against 10 in 1m; tier premium "
        "(level 10) allows less than tier free (level 0), and the higher level wins"
    )


def test_a_model_that_only_the_lower_level_favours_is_named(raw_tiers, raw_models):
    for number, limit in enumerate((10, 20, 60)):
        raw_tiers[number].update(_per_minute(limit))
    raw_tiers[0]["limits"]["models"] = {"gemma": {"requests": [{"limit": 50, "window": "1m"}]}}
    (found,) = _found(raw_tiers, raw_models)
    assert found.startswith(
        "maas_tiers[1].limits.requests (model gemma): 20 in 1m against 50 in 1m; tier premium"
    )


def test_windows_that_a_restart_forgets(raw_tiers, raw_models):
    (found,) = _found(raw_tiers, raw_models, counters_kept=False)
    assert found.startswith("maas_tiers[0].limits.tokens (24h): windows over 1h")


def test_groups_that_are_lent_for_a_while(raw_tiers, raw_models):
    gone = {"name": "trial", "state": "absent", "on_removal": {"migrate_to": "free"}}
    (found,) = _found([*raw_tiers, gone], raw_models)
    assert found.startswith("maas_tiers[3].groups: those that tier trial has on the cluster count")
    (found,) = _found([*raw_tiers, {**gone, "groups": ["trial-users"]}], raw_models)
    assert found == (
        "maas_tiers[3].groups: trial-users count for tier free only until the last token of tier "
        "trial is dead; write them into the groups of tier free to keep them"
    )
    kept = raw_tiers[0]["groups"]
    assert _found([*raw_tiers, {**gone, "groups": kept}], raw_models) == []


def test_a_tier_that_inherits_groups_is_reached(raw_tiers, raw_models):
    raw_tiers[2]["groups"] = []
    on_removal = {"migrate_to": "enterprise"}
    gone = {"name": "old", "state": "absent", "on_removal": on_removal, "groups": ["old-users"]}
    (found,) = _found([*raw_tiers, gone], raw_models)
    assert "only until the last token of tier old is dead" in found


def test_models_that_nobody_new_may_call(raw_tiers, raw_models):
    raw_tiers[1]["enabled"] = raw_tiers[2]["enabled"] = False
    (found,) = _found(raw_tiers, raw_models)
    assert found.startswith("maas_models (gemma-large): named only by tiers that are gone")
    raw_models[1]["state"] = "retired"
    assert _found(raw_tiers, raw_models) == []


def test_users_that_are_migrated_to_a_disabled_tier(raw_tiers, raw_models):
    raw_tiers[0]["enabled"] = False
    gone = {"name": "trial", "state": "absent", "on_removal": {"migrate_to": "free"}, "groups": []}
    (found,) = _found([*raw_tiers, gone], raw_models)
    assert found.startswith("maas_tiers[3].on_removal.migrate_to: tier free is disabled")


def test_limits_of_somebody_suspended(raw_tiers, raw_models):
    (found,) = _found(
        raw_tiers,
        raw_models,
        [{"user": "bob", "suspended": True, "limits": {"requests": "unlimited"}}],
    )
    assert found.startswith("maas_user_overrides (bob): suspended")


def test_what_is_not_valid_gets_problems_and_no_warnings(raw_tiers, raw_models):
    raw_tiers[1].update(groups=[], level="high")
    before = copy.deepcopy(raw_tiers)
    assert _found(raw_tiers, raw_models) == []
    assert raw_tiers == before
