# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Changing a tier: limits, groups, display name, models, lifetimes, levels."""

from __future__ import annotations

import http.client
import socket
import ssl
import time

from api import Api
from chat import Chat
from conftest import CLOSED, OPEN, Follow, Mint, Touch
from day2 import WIDE, Entry, Owner, tier
from people import People
from running_lab import Lab

testinfra_hosts = ["local://"]

BITES_WITHIN_SECONDS = 5.0
ONE, TWO = People.group("one"), People.group("two")


def hourly(limit: int) -> list[Entry]:
    return [{"limit": limit, "window": "1h"}]


def test_a_limit_bites_within_seconds_and_lets_go_again(
    owner: Owner, mint: Mint, follow: Follow
) -> None:
    wide = tier("bites", 500, ONE)
    owner.apply(wide)
    caller = follow("limited", mint("one"))
    caller.hear(200)
    start = time.time()

    lowered = owner.apply_twice(wide | {"limits": WIDE | {"requests": hourly(1)}})
    caller.hear(429)
    raised = owner.apply(wide)
    caller.hear(200)

    assert caller.statuses(start) == [200, 429, 200]
    bit = caller.first(429, start)
    assert bit.sent - lowered.at("applied_at") <= BITES_WITHIN_SECONDS
    released = caller.first(200, bit.sent)
    assert released.sent - raised.at("applied_at") <= BITES_WITHIN_SECONDS


def test_a_token_limit_bites_within_seconds(
    owner: Owner, mint: Mint, chat: Chat, follow: Follow
) -> None:
    wide = tier("bites", 500, ONE)
    owner.apply(wide)
    token = mint("one")
    assert chat(token, OPEN, tokens=50).status == 200
    caller = follow("limited", token)
    start = time.time()

    lowered = owner.apply(wide | {"limits": WIDE | {"tokens": hourly(10)}})
    caller.hear(429)

    assert caller.statuses(start) == [200, 429]
    bit = caller.first(429, start)
    assert bit.sent - lowered.at("applied_at") <= BITES_WITHIN_SECONDS


def test_several_windows_hold_at_once(owner: Owner, mint: Mint, touch: Touch) -> None:
    windows = [{"limit": 3, "window": "6s"}, {"limit": 5, "window": "1h"}]
    owner.apply(tier("windows", 500, ONE, limits=WIDE | {"requests": windows}))
    token = mint("one")

    assert [touch(token).status for _ in range(4)] == [200, 200, 200, 429]
    # A refused call counts in no window, so asking until the short one is over is free.
    deadline = time.monotonic() + 15
    while touch(token).status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.5)

    assert [touch(token).status for _ in range(2)] == [200, 429]


def test_a_models_own_limit_counts_instead_of_the_common_one(
    owner: Owner, people: People, mint: Mint, touch: Touch, chat: Chat
) -> None:
    people.make(["calls", "talks"])
    limits = {
        "requests": hourly(3),
        "tokens": hourly(1000),
        "models": {"gemma": {"requests": hourly(2), "tokens": hourly(20)}},
    }
    groups = [People.group("calls"), People.group("talks")]
    owner.apply_twice(tier("exact", 500, ONE, groups=groups, models=["*"], limits=limits))
    calls, talks = mint("calls"), mint("talks")

    assert [touch(calls, OPEN).status for _ in range(3)] == [200, 200, 429]
    assert [touch(calls, CLOSED).status for _ in range(4)] == [200, 200, 200, 429]
    assert chat(talks, OPEN, tokens=40).status == 200
    assert touch(talks, OPEN).status == 429
    assert touch(talks, CLOSED).status == 200


def test_display_name_models_and_lifetimes(
    owner: Owner, mint: Mint, touch: Touch, api: Api, people: People
) -> None:
    before = tier("plain", 500, ONE, models=["gemma"], display_name="Plain")
    owner.apply(before)
    token = mint("one")
    assert (touch(token, OPEN).status, touch(token, CLOSED).status) == (200, 403)

    after = {
        "models": ["gemma-large"],
        "display_name": "Zweiter Name",
        "token": {"default_ttl": "10m", "max_ttl": "20m"},
    }
    owner.apply_twice(before | after)

    assert (touch(token, OPEN).status, touch(token, CLOSED).status) == (403, 200)
    assert api("GET", "/v1/me", token=token).json()["displayName"] == "Zweiter Name"
    login = people.member("one").login
    assert api.mint(login, expiration="21m").status == 400
    minted = api.mint(login).json()
    assert 590 < minted["expiresAt"] - time.time() < 610


def test_a_model_that_goes_is_refused_to_who_calls_it_all_the_time(
    owner: Owner, mint: Mint, follow: Follow
) -> None:
    both = tier("plain", 500, ONE, models=["*"])
    owner.apply(both)
    caller = follow("loses a model", mint("one"), CLOSED)
    caller.hear(200)
    start = time.time()

    outcome = owner.apply_twice(both | {"models": ["gemma"]})
    caller.hear(403)

    # Once refused, never served again: nothing remembers the old right.
    assert caller.statuses(start) == [200, 403]
    bit = caller.first(403, start)
    assert bit.sent - outcome.at("applied_at") <= BITES_WITHIN_SECONDS


def test_a_connection_kept_open_does_not_keep_the_old_limits(
    owner: Owner, mint: Mint, lab: Lab
) -> None:
    owner.apply(tier("kept", 500, ONE))
    token = mint("one")
    tls = ssl.create_default_context(cafile=str(lab.ca))
    raw = socket.create_connection((lab.address, lab.port), timeout=30)
    connection = http.client.HTTPConnection(lab.authority)
    connection.sock = tls.wrap_socket(raw, server_hostname=lab.host)
    headers = {"Authorization": f"Bearer {token}"}
    connection.request("GET", f"/{OPEN}/v1/models", headers=headers)
    answer = connection.getresponse()
    assert (answer.status, answer.read() != b"") == (200, True)

    # The run takes longer than an idle connection is kept.
    owner.apply(tier("keeper", 500, ONE, renamed_from=["kept"]))

    assert connection.sock.recv(1) == b""
    connection.close()


def test_groups_and_levels(owner: Owner, api: Api, people: People) -> None:
    def mints_in(group: str) -> str | int:
        answer = api.mint(people.member(group).login)
        return str(answer.json()["tier"]) if answer.status == 201 else answer.status

    lower = tier("lower", 500, ONE)
    upper = tier("upper", 600, ONE, groups=[ONE, TWO])
    owner.apply(lower, upper)
    assert [mints_in("one"), mints_in("two")] == ["upper", "upper"]

    # Two levels change places in one edit: no moment has both on one level.
    owner.apply_twice(lower | {"level": 600}, upper | {"level": 500})
    assert [mints_in("one"), mints_in("two")] == ["lower", "upper"]

    owner.apply(lower, upper | {"groups": [ONE]})
    assert [mints_in("one"), mints_in("two")] == ["upper", 404]
