# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The limits that one user meets: the tier's, with the user's own in their place."""

from __future__ import annotations

import pytest
from ansible_collections.maas.platform.plugins.module_utils._effective import effective_tier
from ansible_collections.maas.platform.plugins.module_utils._models import ModelRef
from ansible_collections.maas.platform.plugins.module_utils._overrides import Override
from ansible_collections.maas.platform.plugins.module_utils._quotas import ModelLimits, Rate
from ansible_collections.maas.platform.plugins.module_utils._tiers import Tier

_SMALL, _LARGE = ModelRef("llm", "small"), ModelRef("llm", "large")
_ONE, _TWO, _OWN, _MINE = ((Rate(number, 60),) for number in (1, 2, 3, 4))
_TIER = Tier(
    name="free",
    display_name="Free",
    description="",
    level=0,
    groups=(),
    models=(_SMALL, _LARGE),
    default_ttl_seconds=3600,
    max_ttl_seconds=3600,
    requests=_ONE,
    tokens=_TWO,
    model_limits=(ModelLimits(_LARGE, requests=_TWO, tokens=_ONE),),
)


def _override(**limits):
    return Override("alice", "alice-1", **limits)


def test_without_anything_special_the_tier_s_limits_hold():
    assert effective_tier(_TIER, None) is _TIER
    assert effective_tier(_TIER, _override()) == _TIER


def test_a_common_quota_replaces_the_tier_s_of_that_kind_for_single_models_too():
    found = effective_tier(_TIER, _override(requests=_OWN))
    assert (found.requests, found.tokens) == (_OWN, _TWO)
    assert found.model_limits == (ModelLimits(_LARGE, requests=None, tokens=_ONE),)


@pytest.mark.parametrize("common", [None, _OWN])
def test_a_quota_of_a_model_is_an_exception_to_what_is_left(common):
    own = _override(requests=common, model_limits=(ModelLimits(_SMALL, _MINE, None),))
    found = effective_tier(_TIER, own)
    kept = None if common else _TWO
    assert found.requests == (common or _ONE)
    assert found.model_limits == (
        ModelLimits(_SMALL, _MINE, None),
        ModelLimits(_LARGE, kept, _ONE),
    )


def test_a_model_that_the_tier_may_not_call_is_not_shown():
    elsewhere = ModelRef("llm", "other")
    own = _override(model_limits=(ModelLimits(elsewhere, _MINE, _MINE),))
    assert effective_tier(_TIER, own) == _TIER
