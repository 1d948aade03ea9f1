# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._policies import render_plan
from ansible_collections.maas.platform.plugins.module_utils._sizes import (
    check_sizes,
    filter_size,
    limits_size,
)
from ansible_collections.maas.platform.plugins.module_utils._tiers import parse_inventory
from ansible_collections.maas.platform.plugins.module_utils._transitions import fresh_plan
from ansible_collections.maas.platform.plugins.module_utils._validation import problems_of

_QUOTA = [{"limit": 5000, "window": "1m"}, {"limit": 200_000, "window": "1h"}]


def _models(count, namespaces=1):
    return [
        {"name": f"model-{n:02}", "uri": "hf://x/y", "namespace": f"ns-{n % namespaces}"}
        for n in range(count)
    ]


def _tiers(count, models=()):
    own = {model["name"]: {"requests": _QUOTA, "tokens": _QUOTA} for model in models}
    return [
        {
            "name": f"tier-{n:02}",
            "level": n,
            "groups": [f"tier-{n:02}-users"],
            "models": ["*"],
            "limits": {"requests": _QUOTA, "tokens": _QUOTA, "models": own},
        }
        for n in range(count)
    ]


def _rendered(tiers, models):
    return render_plan(fresh_plan(parse_inventory(tiers, models)))


def test_many_tiers_and_models_fit():
    rendered = _rendered(_tiers(25), _models(50))
    check_sizes(rendered)
    assert filter_size(rendered) < 60_000


def test_the_number_of_models_costs_nothing_and_their_namespaces_do():
    few, many = _rendered(_tiers(5), _models(1)), _rendered(_tiers(5), _models(40))
    assert filter_size(few) == filter_size(many)
    assert limits_size(few) == limits_size(many)
    spread = _rendered(_tiers(5), _models(40, 4))
    assert filter_size(spread) > 2 * filter_size(many) - 20_000
    assert limits_size(spread) == limits_size(many)


def test_limits_of_every_model_in_every_tier_are_refused_before_anything_changes():
    models = _models(50)
    problems = problems_of(_tiers(25, models), models)
    assert len(problems) == 2
    assert problems[0].startswith("maas_tiers: value \"the filter's configuration of about 1,"), (
        problems[0]
    )
    assert problems[1].startswith("maas_tiers: value \"Limitador's file of about 1,")
    with pytest.raises(MaasError, match="do not fit"):
        check_sizes(_rendered(_tiers(25, models), models))


def test_ten_models_of_their_own_in_every_tier_fit():
    models = _models(50)
    assert problems_of(_tiers(25, models[:10]), models) == []
