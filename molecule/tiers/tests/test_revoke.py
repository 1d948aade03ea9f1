# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Revoking: the very next call is refused, also when every cache has just said yes."""

from __future__ import annotations

import time

from api import Api
from conftest import Follow, Mint, Touch
from day2 import Owner, tier
from people import People
from running_lab import Lab

from playbooks import run_module

testinfra_hosts = ["local://"]

ONE, TWO = People.group("one"), People.group("two")


def test_the_very_next_call_after_the_module_returns(
    owner: Owner, people: People, mint: Mint, touch: Touch, lab: Lab, follow: Follow
) -> None:
    owner.apply(tier("left", 500, ONE, groups=[ONE, TWO]))
    token = mint("one")
    stays = follow("stays", mint("two"))
    # Calls all along keep the gateway's, Authorino's and the API server's caches full.
    caller = follow("revoked", token)
    caller.hear(200)
    start = time.time()

    result = run_module("tier_token", lab, user=people.member("one").user, state="revoked")

    # 403 while a cache still takes the token for good, 401 afterwards.
    assert touch(token).status == 403
    assert result["changed"]
    caller.hear(403)
    assert caller.statuses(start)[:2] == [200, 403]
    assert 200 not in caller.statuses(start)[1:]
    assert stays.statuses(start) == [200]


def test_a_whole_tier(
    owner: Owner, mint: Mint, touch: Touch, api: Api, people: People, lab: Lab
) -> None:
    owner.apply(tier("left", 500, ONE, groups=[ONE, TWO]))
    tokens = [mint("one"), mint("two")]
    assert [touch(token).status for token in tokens] == [200, 200]

    result = run_module("tier_token", lab, tier="left", state="revoked")

    assert [touch(token).status for token in tokens] == [403, 403]
    revoked = [people.member(name).user for name in ("one", "two")]
    assert sorted(result["revoked"]) == sorted(revoked)
    # The tier itself goes on: whoever may have a token gets a new one.
    assert touch(mint("one")).status == 200
    assert api.mint(people.member("two").login).status == 201
