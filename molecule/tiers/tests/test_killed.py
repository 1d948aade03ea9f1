# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""A run killed in the middle: nobody notices, and the next run finishes its work."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
import yaml
from cluster import Kubectl
from conftest import CLOSED, Follow, Mint, Touch
from day2 import WIDE, Owner, tier
from people import People

testinfra_hosts = ["local://"]

ONE, TWO = People.group("one"), People.group("two")


def catalog_has(kubectl: Kubectl, tier_name: str) -> bool:
    where = ("configmap", "tier-to-group-mapping", "--namespace=maas-api")
    tiers = yaml.safe_load(kubectl.get(*where)["data"]["tiers"])
    return tier_name in [entry["name"] for entry in tiers]


def limits_have(kubectl: Kubectl, number: int) -> bool:
    where = ("ratelimitpolicy", "gateway-rate-limits", "--namespace=maas-gateway")
    return str(number) in json.dumps(kubectl.get(*where)["spec"])


# Every part has names and a number of its own, so that nothing is left to be taken for its own.
MOMENTS: dict[str, Callable[[Kubectl, int], bool]] = {
    "after the catalog": lambda kubectl, number: catalog_has(kubectl, f"added-{number}"),
    "after the limits": lambda kubectl, number: limits_have(kubectl, 765430 + number),
}


@pytest.mark.parametrize(("number", "moment"), list(enumerate(MOMENTS.values())), ids=MOMENTS)
def test_the_next_run_finishes(
    owner: Owner,
    kubectl: Kubectl,
    mint: Mint,
    touch: Touch,
    follow: Follow,
    number: int,
    moment: Callable[[Kubectl, int], bool],
) -> None:
    owner.apply(tier(f"killed-{number}", 500, ONE, models=["gemma"]))
    token = mint("one")
    caller = follow("in between", token)
    start = time.time()
    limits = WIDE | {"requests": [{"limit": 765430 + number, "window": "1h"}]}
    edit = [
        tier(f"over-{number}", 500, ONE, models=["*"], renamed_from=[f"killed-{number}"]),
        tier(f"added-{number}", 600, TWO, limits=limits),
    ]

    owner.kill(*edit, when=lambda: moment(kubectl, number))
    caller.hear(200)
    owner.apply_twice(*edit)

    assert touch(token, CLOSED).status == 200
    assert touch(mint("two")).status == 200
    assert caller.statuses(start) == [200]
