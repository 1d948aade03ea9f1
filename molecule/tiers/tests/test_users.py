# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Single users, and tiers that rest: maas_user_overrides, enabled."""

from __future__ import annotations

import time

from api import Api
from conftest import CLOSED, OPEN, Follow, Mint, Touch
from day2 import WIDE, Entry, Owner, tier
from people import People

testinfra_hosts = ["local://"]

ONE, TWO = People.group("one"), People.group("two")


def hourly(limit: int) -> list[Entry]:
    return [{"limit": limit, "window": "1h"}]


def test_a_users_own_limit_replaces_the_tiers(
    owner: Owner, people: People, mint: Mint, touch: Touch
) -> None:
    limits = WIDE | {"requests": hourly(2)}
    shared = tier("shared", 500, ONE, groups=[ONE, TWO], models=["*"], limits=limits)
    own = {"requests": hourly(4), "models": {"gemma": {"requests": hourly(3)}}}
    overrides = [{"user": people.member("one").user, "limits": own}]
    owner.apply_twice(shared, maas_user_overrides=overrides)
    one, two = mint("one"), mint("two")

    assert [touch(one, CLOSED).status for _ in range(5)] == [200] * 4 + [429]
    assert [touch(one, OPEN).status for _ in range(4)] == [200] * 3 + [429]
    assert [touch(two).status for _ in range(3)] == [200] * 2 + [429]


def test_a_suspended_user_is_refused_and_comes_back(
    owner: Owner, people: People, mint: Mint, follow: Follow, api: Api
) -> None:
    person = people.member("one")
    shared = tier("shared", 500, ONE, groups=[ONE, TWO])
    owner.apply(shared)
    caller, other = follow("suspended", mint("one")), follow("not suspended", mint("two"))
    start = time.time()
    suspended = [{"user": person.user, "suspended": True, "reason": "unpaid"}]

    outcome = owner.apply_twice(shared, maas_user_overrides=suspended)

    assert caller.hear(403).status == 403
    bit = caller.first(403, start)
    assert bit.sent - outcome.at("applied_at") <= 5
    refusal = api.mint(person.login)
    assert (refusal.status, set(refusal.json())) == (403, {"error", "message"})

    owner.apply(shared)

    caller.hear(200)
    assert caller.statuses(start) == [200, 403, 200]
    other.hear(200)
    assert other.statuses(start) == [200]
    assert api.mint(person.login).status == 201


def test_a_disabled_tier_refuses_and_its_tokens_come_back_with_it(
    owner: Owner, people: People, mint: Mint, follow: Follow, api: Api
) -> None:
    # A lower tier has the group as well: nobody falls back to it.
    lower, resting = tier("fallback", 400, ONE), tier("resting", 500, ONE)
    owner.apply(lower, resting)
    caller = follow("resting", mint("one"))
    start = time.time()

    owner.apply_twice(lower, resting | {"enabled": False})

    caller.hear(403)
    refusal = api.mint(people.member("one").login)
    assert refusal.status == 404
    assert "disabled" in refusal.json()["message"]

    owner.apply(lower, resting)

    caller.hear(200)
    assert caller.statuses(start) == [200, 403, 200]
    assert api.mint(people.member("one").login).json()["tier"] == "resting"
