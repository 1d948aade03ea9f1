# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Adding tiers: one, and 25 at once with names nobody would choose."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from api import Api
from chat import Chat
from conftest import OPEN, Mint, Touch
from day2 import Owner, tier
from people import People

testinfra_hosts = ["local://"]


def test_a_tier_is_there_after_one_edit(owner: Owner, mint: Mint, touch: Touch) -> None:
    owner.apply(tier("gold", 500, People.group("one")))

    assert touch(mint("one")).status == 200


# Names that YAML, Kubernetes or a script could take for something else.
ODD_NAMES = [
    *(
        "0",
        "1",
        "007",
        "1e3",
        "no",
        "on",
        "null",
        "true",
        "nan",
        "default",
        "system",
        "kube-system",
    ),
    *("tier", "free-2", "freeish", "premium-free", "a", "a--b", "x-0", "state", "absent", "name"),
    *("unlimited", "maas-default-gateway-tier-free", "x" * 37),
]
ODD_WORDS = [
    *("Élite ✨", "金牌", "ذهبي", "Ünïcødé", "a: b # c", "'single'", '"double"', "<b>bold</b>"),
    *("100 %", "back\\slash", "& more", "🦄🦄🦄", "ΩΜΕΓΑ", "e\u0301", "- list", "| pipe", "null"),
    *("~", "*", "@handle", "`tick`", "$HOME", "?", "Кот", "Zażółć"),
]


def test_25_tiers_at_once(owner: Owner, people: People, mint: Mint, touch: Touch, api: Api) -> None:
    groups = [f"odd-{index}" for index in range(25)]
    people.make(groups)
    tiers = [
        tier(
            name,
            100 + index,
            People.group(group),
            display_name=words,
            limits={
                "requests": [{"limit": 1 + index % 5, "window": "1h"}],
                "tokens": [{"limit": 1 + index % 7, "window": "1h"}],
            },
        )
        for index, (name, words, group) in enumerate(zip(ODD_NAMES, ODD_WORDS, groups, strict=True))
    ]

    owner.apply_twice(*tiers)

    def use(index: int) -> tuple[str, str, list[int]]:
        token, limit = mint(groups[index]), 1 + index % 5
        me = api("GET", "/v1/me", token=token).json()
        return me["tier"], me["displayName"], [touch(token).status for _ in range(limit + 1)]

    with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(use, range(25)))
    assert seen == [
        (name, words, [200] * (1 + index % 5) + [429])
        for index, (name, words) in enumerate(zip(ODD_NAMES, ODD_WORDS, strict=True))
    ]


def test_requests_and_tokens_limit_one_tier_at_once(
    owner: Owner, people: People, mint: Mint, touch: Touch, chat: Chat
) -> None:
    people.make(["calls", "talks"])
    owner.apply(
        tier(
            "both",
            500,
            People.group("calls"),
            groups=[People.group("calls"), People.group("talks")],
            limits={
                "requests": [{"limit": 3, "window": "1h"}],
                "tokens": [{"limit": 30, "window": "1h"}],
            },
        )
    )
    calls, talks = mint("calls"), mint("talks")

    assert [touch(calls).status for _ in range(4)] == [200, 200, 200, 429]
    assert chat(talks, OPEN, tokens=40).status == 200
    assert touch(talks).status == 429
