# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from ansible_collections.maas.platform.plugins.module_utils._accounts import account_name
from ansible_collections.maas.platform.plugins.module_utils._models import ModelRef
from ansible_collections.maas.platform.plugins.module_utils._overrides import Override
from ansible_collections.maas.platform.plugins.module_utils._quotas import ModelLimits, Rate
from ansible_collections.maas.platform.plugins.module_utils._tiers import (
    parse_inventory,
)
from ansible_collections.maas.platform.plugins.module_utils._validation import problems_of


def test_overrides_are_read(raw_tiers, raw_models):
    overrides = [
        {"user": "https://login#bob", "suspended": True, "reason": "left on Friday"},
        {
            "user": "alice",
            "limits": {
                "requests": [{"limit": 9, "window": "1m"}],
                "models": {"gemma": {"tokens": "unlimited"}},
            },
        },
    ]
    inventory = parse_inventory(raw_tiers, raw_models, raw_overrides=overrides)
    assert inventory.overrides == (
        Override(
            "alice",
            account_name("alice"),
            requests=(Rate(9, 60),),
            model_limits=(ModelLimits(ModelRef("llm", "gemma"), None, "unlimited"),),
        ),
        Override("https://login#bob", account_name("https://login#bob"), True, "left on Friday"),
    )


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        ({}, "maas_user_overrides: value {}, allowed: a list of users"),
        (["alice"], 'maas_user_overrides[0]: value "alice"'),
        ([{"suspended": True}], "maas_user_overrides[0].user: value (missing)"),
        ([{"user": " alice", "suspended": True}], 'maas_user_overrides[0].user: value " alice"'),
        ([{"user": "alice"}], "allowed: suspended or limits: what is special about this user"),
        ([{"user": "alice", "limits": {}}], "maas_user_overrides[0].limits: value {}"),
        ([{"user": "alice", "suspended": "yes"}], "maas_user_overrides[0].suspended: value"),
        ([{"user": "alice", "suspnded": True}], "did you mean suspended?"),
        ([{"user": "alice", "suspended": True, "reason": "a\nb"}], "[0].reason: value"),
        ([{"user": "alice", "limits": {"requests": []}}], "[0].limits.requests: value []"),
        (
            [{"user": "alice", "limits": {"models": {"gema": {"requests": "unlimited"}}}}],
            "did you mean gemma?",
        ),
        (
            [{"user": "alice", "suspended": True}, {"user": "alice", "suspended": False}],
            'maas_user_overrides[1].user: value "alice", allowed: each user once',
        ),
    ],
)
def test_a_mistake_is_named(raw_tiers, raw_models, raw, line):
    found = problems_of(raw_tiers, raw_models, raw_overrides=raw)
    assert len(found) == 1, found
    assert line in found[0]


def test_somebody_may_be_named_as_not_suspended(raw_tiers, raw_models):
    """A list that is kept by a program need not drop entries."""
    raw = [{"user": "alice", "suspended": False}]
    (override,) = parse_inventory(raw_tiers, raw_models, raw_overrides=raw).overrides
    assert not override.suspended
    assert not override.limits_anything
