# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Renaming a tier: its users keep their tokens, and get the new tier's rights with them."""

from __future__ import annotations

import time

from api import Api
from cluster import Kubectl
from conftest import CLOSED, PREFIX, Follow, Mint, Touch, end_transition, tier_namespaces
from day2 import WIDE, Owner, tier
from people import People

testinfra_hosts = ["local://"]

ONE = People.group("one")


def test_old_tokens_have_the_new_tiers_rights(
    owner: Owner, mint: Mint, touch: Touch, follow: Follow, api: Api, kubectl: Kubectl
) -> None:
    owner.apply(tier("before", 500, ONE, models=["gemma"]))
    token = mint("one")
    caller = follow("renamed", token)
    assert touch(token, CLOSED).status == 403
    start = time.time()

    owner.apply_twice(tier("after", 500, ONE, models=["*"], renamed_from=["before"]))

    assert touch(token, CLOSED).status == 200
    assert api("GET", "/v1/me", token=token).json()["tier"] == "after"
    fresh = mint("one")
    assert touch(fresh, CLOSED).status == 200
    assert api("GET", "/v1/me", token=fresh).json()["tier"] == "after"
    caller.hear(200)
    assert caller.statuses(start) == [200]

    # The old tokens have had their time: the next run takes the old namespace away.
    end_transition(kubectl, "before")
    owner.apply(tier("after", 500, ONE, models=["*"], renamed_from=["before"]))

    assert f"{PREFIX}before" not in tier_namespaces(kubectl)
    assert touch(token, CLOSED).status == 401
    assert touch(fresh, CLOSED).status == 200


def test_the_new_tiers_limits_hold_for_old_tokens(owner: Owner, mint: Mint, follow: Follow) -> None:
    owner.apply(tier("many", 500, ONE))
    caller = follow("renamed", mint("one"))
    caller.hear(200)
    start = time.time()

    once = WIDE | {"requests": [{"limit": 1, "window": "1h"}]}
    owner.apply(tier("few", 500, ONE, limits=once, renamed_from=["many"]))
    caller.hear(429)

    # Counters belong to the tier's name: the first call under the new one is served.
    assert caller.statuses(start) == [200, 429]


def test_a_second_rename_takes_everybody_along(
    owner: Owner, mint: Mint, touch: Touch, follow: Follow, api: Api
) -> None:
    owner.apply(tier("first", 500, ONE))
    oldest = mint("one")
    caller = follow("renamed twice", oldest)
    start = time.time()
    owner.apply(tier("second", 500, ONE, renamed_from=["first"]))
    older = mint("one")

    owner.apply_twice(tier("third", 500, ONE, renamed_from=["second"]))

    for token in (oldest, older):
        assert touch(token).status == 200
        assert api("GET", "/v1/me", token=token).json()["tier"] == "third"
    caller.hear(200)
    assert caller.statuses(start) == [200]


def test_a_name_in_transition_is_not_to_be_had_but_can_be_taken_back(
    owner: Owner, mint: Mint, touch: Touch, api: Api
) -> None:
    owner.apply(tier("taken", 500, ONE))
    token = mint("one")
    renamed = tier("moved", 500, ONE, renamed_from=["taken"])
    owner.apply(renamed)

    message = owner.refuse(renamed, tier("taken", 600, ONE))

    assert "taken" in message
    owner.apply_twice(tier("taken", 500, ONE, renamed_from=["moved"]))
    assert touch(token).status == 200
    assert api("GET", "/v1/me", token=token).json()["tier"] == "taken"
