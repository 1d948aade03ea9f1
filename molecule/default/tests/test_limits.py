# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Limits: per user, per tier, over all models, streaming included.

A request is admitted while the counter is below the limit; the one that crosses it is served.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from accounts import User
from catalog import Catalog
from chat import Chat, usage
from conftest import Spent

testinfra_hosts = ["local://"]

NewUser = Callable[[str], User]


@pytest.mark.parametrize("tier", ["free", "premium", "enterprise"])
def test_each_tier_has_its_own_request_limit(
    new_user: NewUser, catalog: Catalog, chat: Chat, model: str, tier: str
) -> None:
    requests = catalog.tiers[tier].requests
    assert requests is not None
    user = new_user(tier)

    codes = [chat.touch(user, model) for _ in range(requests.limit + 1)]

    assert codes == [200] * requests.limit + [429]


def test_completions_are_requests(
    new_user: NewUser, catalog: Catalog, chat: Chat, model: str
) -> None:
    requests, tokens = catalog.tiers["free"].requests, catalog.tiers["free"].tokens
    assert requests is not None
    assert tokens is not None
    user = new_user("free")

    cost = usage([chat(user, model).json()])
    others = [chat.touch(user, model) for _ in range(requests.limit - 1)]

    assert others == [200] * (requests.limit - 1)
    assert chat(user, model).status == 429
    # It was not the token limit that refused the last one.
    assert cost < tokens.limit


def test_the_tiers_limits_differ(catalog: Catalog) -> None:
    limits = {tier.requests for tier in catalog.tiers.values()}
    assert len(limits) == len(catalog.tiers)


def test_tokens_run_out(out_of_tokens: Spent, chat: Chat, model: str) -> None:
    assert chat(out_of_tokens.user, model).status == 429


def test_requests_run_out(out_of_requests: Spent, chat: Chat, model: str) -> None:
    assert chat(out_of_requests.user, model).status == 429


def test_streamed_tokens_count(new_user: NewUser, catalog: Catalog, chat: Chat, model: str) -> None:
    limit = catalog.tiers["free"].tokens
    assert limit is not None
    user = new_user("free")

    spent = chat.spend(user, model, limit.limit, stream=True)

    assert spent >= limit.limit
    assert chat(user, model).status == 429


def test_tokens_below_the_limit_do_not_refuse(
    new_user: NewUser, catalog: Catalog, chat: Chat, model: str
) -> None:
    limit = catalog.tiers["free"].tokens
    assert limit is not None
    user = new_user("free")

    spent = chat.spend(user, model, limit.limit // 2)

    assert spent < limit.limit
    assert chat(user, model).status == 200


def test_two_models_share_one_quota(new_user: NewUser, catalog: Catalog, chat: Chat) -> None:
    tier = catalog.tiers["premium"]
    assert tier.requests is not None
    one, other = tier.models[:2]
    user = new_user("premium")

    turns = [one if n % 2 else other for n in range(tier.requests.limit)]

    assert [chat.touch(user, model) for model in turns] == [200] * len(turns)
    assert (chat.touch(user, one), chat.touch(user, other)) == (429, 429)


def test_two_users_of_a_tier_do_not_share_a_counter(
    out_of_requests: Spent, new_user: NewUser, chat: Chat, model: str
) -> None:
    assert chat(out_of_requests.user, model).status == 429
    assert chat(new_user("free"), model).status == 200


def test_a_limit_is_the_same_under_every_spelling_and_header(
    out_of_requests: Spent, chat: Chat, model: str
) -> None:
    path = f"/{model.replace('/', '//')}/v1/../v1/chat%2Fcompletions"
    headers = [("X-MaaS-Tier", "enterprise"), ("X-Forwarded-For", "192.0.2.7")]

    answer = chat(out_of_requests.user, model, path=path, headers=headers)

    assert answer.status == 429
