# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Removing a tier: its users move on, have some time left, or are stopped at once."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from api import Api
from cluster import Kubectl
from conftest import CLOSED, OPEN, PREFIX, Follow, Mint, Touch, end_transition, tier_namespaces
from day2 import Entry, Owner, tier
from people import People

testinfra_hosts = ["local://"]

ONE = People.group("one")
DRAIN_SECONDS = 30 * 60
REFUSED_WITHIN_SECONDS = 6


def absent(name: str, on_removal: Any) -> Entry:
    return {"name": name, "state": "absent", "on_removal": on_removal}


def test_migrated_users_go_on_with_this_token_and_the_next(
    owner: Owner, mint: Mint, touch: Touch, follow: Follow, api: Api, kubectl: Kubectl
) -> None:
    to = tier("basic", 400, People.group("two"), models=["*"])
    owner.apply(to, tier("trial", 500, ONE, models=["gemma"]))
    token = mint("one")
    caller = follow("migrated", token)
    start = time.time()

    owner.apply_twice(to, absent("trial", {"migrate_to": "basic"}))

    assert (touch(token, OPEN).status, touch(token, CLOSED).status) == (200, 200)
    assert api("GET", "/v1/me", token=token).json()["tier"] == "basic"
    fresh = mint("one")
    assert api("GET", "/v1/me", token=fresh).json()["tier"] == "basic"
    caller.hear(200)
    assert caller.statuses(start) == [200]

    end_transition(kubectl, "trial")
    owner.apply_twice(to, absent("trial", {"migrate_to": "basic"}))

    assert f"{PREFIX}trial" not in tier_namespaces(kubectl)
    assert touch(token).status == 401
    assert touch(fresh, CLOSED).status == 200


def test_a_drained_tier_serves_until_its_deadline_and_mints_no_more(
    owner: Owner,
    mint: Mint,
    follow: Follow,
    api: Api,
    people: People,
    kubectl: Kubectl,
) -> None:
    owner.apply(tier("seasonal", 500, ONE))
    caller = follow("drained", mint("one"))
    start = time.time()
    gone = absent("seasonal", {"drain": "30m"})

    owner.apply(gone)
    # Taken back, it is a tier again; the time of the next draining counts anew.
    owner.apply(tier("seasonal", 500, ONE))
    assert api.mint(people.member("one").login).status == 201
    start_of_draining = time.time()
    owner.apply_twice(gone)

    # The deadline is the first run's: the second has not moved it.
    assert start_of_draining < until(kubectl, "seasonal") - DRAIN_SECONDS < time.time()
    assert api.mint(people.member("one").login).status == 404
    caller.hear(200)
    assert caller.statuses(start) == [200]

    deadline = end_transition(kubectl, "seasonal", after_seconds=3)
    # The gateway's answer about an account may be five seconds old.
    caller.hear(403, seconds=15)
    assert caller.statuses(start) == [200, 403]
    assert 0 <= caller.first(403, start).answered - deadline < REFUSED_WITHIN_SECONDS

    owner.apply(gone)

    assert f"{PREFIX}seasonal" not in tier_namespaces(kubectl)


def test_a_blocked_tier_is_gone_when_the_run_is(
    owner: Owner, mint: Mint, touch: Touch, follow: Follow, kubectl: Kubectl
) -> None:
    owner.apply(tier("closed", 500, ONE))
    token = mint("one")
    caller = follow("blocked", token)
    start = time.time()

    owner.apply(absent("closed", "block"))

    assert touch(token).status == 401
    assert f"{PREFIX}closed" not in tier_namespaces(kubectl)
    caller.hear(401)
    # Once refused, never served again; 403 while the API server still knows the token.
    assert caller.statuses(start)[0] == 200
    assert 200 not in caller.statuses(start)[1:]
    assert owner.apply(absent("closed", "block")).changed == 0


def test_a_tier_with_users_does_not_vanish_by_mistake(
    owner: Owner, mint: Mint, touch: Touch
) -> None:
    owner.apply(tier("forgotten", 500, ONE))
    token = mint("one")
    owner.inventory.keep_quiet_about("forgotten")

    message = owner.refuse()

    assert "forgotten" in message
    assert "on_removal" in message
    assert touch(token).status == 200
    owner.inventory.speak_again_of("forgotten")


def test_moves_that_lead_nowhere_are_refused_together(owner: Owner) -> None:
    message = owner.refuse(
        {"name": "unsaid", "state": "absent"},
        absent("unknown", {"migrate_to": "steady-lowest"}),
        absent("itself", {"migrate_to": "itself"}),
        tier("here", 500, ONE),
        tier("there", 600, ONE, renamed_from=["here"]),
    )

    assert [where for where in WRONG if where not in message] == []


# The lab's three tiers and the four steady ones stand before.
WRONG = [
    "maas_tiers[7].on_removal",
    "maas_tiers[8].on_removal.migrate_to",
    "maas_tiers[9].on_removal.migrate_to",
    "maas_tiers[11].renamed_from[0]",
]


def until(kubectl: Kubectl, tier_name: str) -> float:
    """Return a tier's deadline, in seconds since 1970."""
    namespace = kubectl.get("namespace", f"{PREFIX}{tier_name}")
    return datetime.fromisoformat(
        namespace["metadata"]["annotations"]["maas.platform/until"]
    ).timestamp()
