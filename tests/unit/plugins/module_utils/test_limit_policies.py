# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Which limit a request meets; the conditions are evaluated as the gateway's filter does."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from ansible_collections.maas.platform.plugins.module_utils._accounts import account_name
from ansible_collections.maas.platform.plugins.module_utils._effective import effective_tier
from ansible_collections.maas.platform.plugins.module_utils._limit_policies import render_limits
from ansible_collections.maas.platform.plugins.module_utils._models import ModelRef
from ansible_collections.maas.platform.plugins.module_utils._overrides import Override
from ansible_collections.maas.platform.plugins.module_utils._quotas import ModelLimits, Rate
from ansible_collections.maas.platform.plugins.module_utils._tier import Tier
from hypothesis import given
from hypothesis import strategies as st

_MODELS = tuple(ModelRef("llm", name) for name in ("gemma", "gemma-large", "other"))
_USERS = ("alice", "bob", 'eve"] || true || ["')
_quota = st.just("unlimited") | st.integers(1, 99).map(lambda limit: (Rate(limit, 60),))
_model_limits = st.dictionaries(
    st.sampled_from(_MODELS), st.tuples(st.none() | _quota, st.none() | _quota), max_size=3
).map(lambda limits: tuple(ModelLimits(model, *limits[model]) for model in sorted(limits)))


def _tier(name, requests="unlimited", tokens="unlimited", model_limits=()):
    return Tier(name, name, "", 0, (), _MODELS, 600, 600, requests, tokens, True, 0, model_limits)


_tiers = st.lists(
    st.builds(_tier, st.sampled_from(["a", "b"]), _quota, _quota, _model_limits),
    min_size=1,
    max_size=2,
    unique_by=lambda tier: tier.name,
)
_overrides = st.lists(
    st.builds(
        lambda user, **keys: Override(user, account_name(user), **keys),
        st.sampled_from(_USERS),
        requests=st.none() | _quota,
        tokens=st.none() | _quota,
        model_limits=_model_limits,
    ),
    max_size=3,
    unique_by=lambda override: override.user,
)


def _holds(predicate, tier, account, path):
    """Evaluate the part of CEL that conditions use; Python reads it after these changes."""
    texts = re.split(r'("[^"]*")', predicate)
    spelled = [
        part
        if part.startswith('"')
        else part.replace("&&", " and ").replace("||", " or ").replace("!", " not ")
        for part in texts
    ]
    request = SimpleNamespace(url_path=_Text(path))
    auth = SimpleNamespace(identity=SimpleNamespace(tier=tier, account=account))
    return eval("".join(spelled).strip(), {"auth": auth, "request": request})  # noqa: S307


class _Text(str):
    startsWith = str.startswith  # noqa: N815 - as CEL calls it


def _met(limits, tier, account, path):
    return {
        name: limit
        for name, limit in limits.items()
        if all(_holds(item["predicate"], tier, account, path) for item in limit["when"])
    }


def _expected(tier, override, model, kind):
    effective = effective_tier(tier, override)
    for limits in effective.model_limits:
        if limits.model == model and limits.of(kind) is not None:
            return limits.of(kind)
    return effective.quota(kind)


@given(_tiers, _overrides, st.sampled_from(["requests", "tokens"]))
def test_every_request_meets_the_one_limit_that_is_its_own(tiers, overrides, kind):
    limits = render_limits(kind, tiers, overrides)
    special = {override.user: override for override in overrides}
    for tier in tiers:
        for user in (*_USERS, "nobody special"):
            for model in _MODELS:
                path = f"/{model.namespace}/{model.name}/v1/chat/completions"
                met = _met(limits, tier.name, account_name(user), path)
                quota = _expected(tier, special.get(user), model, kind)
                if quota == "unlimited":
                    assert met == {}
                else:
                    (limit,) = met.values()
                    assert limit["rates"] == [{"limit": quota[0].limit, "window": "1m"}]


def test_conditions_hold_no_text_that_somebody_chose():
    """Names of users reach a condition as account names only."""
    user = 'eve"] || true || ["'
    limits = render_limits(
        "requests",
        [_tier("a", (Rate(1, 60),))],
        [Override(user, account_name(user), requests=(Rate(2, 60),))],
    )
    assert set(limits) == {"a", f"user.{account_name(user)}"}
    for limit in limits.values():
        for condition in limit["when"]:
            for word in re.findall(r'"([^"]*)"', condition["predicate"]):
                assert re.fullmatch(r"[-a-z0-9/]+", word)


def test_limits_say_what_they_are():
    large = ModelRef("llm", "gemma-large")
    tier = _tier("a", (Rate(5, 60),), model_limits=(ModelLimits(large, (Rate(1, 3600),)),))
    alice = Override("alice", account_name("alice"), requests=(Rate(50, 60),))
    bob = Override(
        "bob", account_name("bob"), model_limits=(ModelLimits(_MODELS[0], (Rate(7, 60),)),)
    )
    limits = render_limits("requests", [tier], [alice, bob])
    when = {name: [item["predicate"] for item in limit["when"]] for name, limit in limits.items()}
    assert when == {
        "a": [
            'auth.identity.tier == "a"',
            '!request.url_path.startsWith("/llm/gemma-large/")',
            '!(auth.identity.account in ["alice-522b276a"])',
            '!(auth.identity.account == "bob-48181acd" && '
            '(request.url_path.startsWith("/llm/gemma/")))',
        ],
        "a.llm.gemma-large": [
            'auth.identity.tier == "a"',
            'request.url_path.startsWith("/llm/gemma-large/")',
            '!(auth.identity.account in ["alice-522b276a"])',
        ],
        "user.alice-522b276a": ['auth.identity.account == "alice-522b276a"'],
        "user.bob-48181acd.llm.gemma": [
            'auth.identity.account == "bob-48181acd"',
            'request.url_path.startsWith("/llm/gemma/")',
        ],
    }
    for limit in limits.values():
        assert limit["counters"] == [{"expression": "auth.identity.userid"}]
    assert render_limits("tokens", [tier], [alice, bob]) == {}


@pytest.mark.parametrize("path", ["/llm/gemma-large", "/llm", "/", "/llm/gemma-largest/v1/x"])
def test_other_paths_meet_the_common_limit(path):
    large = ModelLimits(ModelRef("llm", "gemma-large"), (Rate(1, 60),))
    limits = render_limits("requests", [_tier("a", (Rate(5, 60),), model_limits=(large,))])
    assert set(_met(limits, "a", account_name("bob"), path)) == {"a"}
