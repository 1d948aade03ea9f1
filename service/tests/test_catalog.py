# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The catalog: taken over as it changes, kept when what is written over it is bad."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import yaml
from conftest import NAMESPACE, PREFIX, TIERS, Platform, tier_entry, wait_for

pytestmark = pytest.mark.anyio

VALID = "maas_api_catalog_valid"


def changed(**keys: Any) -> str:
    tiers = deepcopy(TIERS)
    tiers[0].update(keys)
    return yaml.safe_dump(tiers)


BAD = {
    "no YAML": "]",
    "no list": "tiers: 1",
    "unreadable tier": "- name: free",
    "a namespace of its own": changed(namespace="kube-system"),
    "the name of another": changed(name="premium", namespace=PREFIX + "premium"),
    "the level of another": changed(level=10),
    "no limits": changed(limits={"requests": [], "tokens": []}),
    "an object of Python's": "!!python/object/apply:os.system ['true']",
    # YAML's reader raises something of its own for these.
    "a date there is not": "- {name: free, description: 2024-13-45}",
    "no hexadecimal digits": "- {name: free, level: 0x_}",
    "no binary digits": "- {name: free, level: 0b_}",
    "a number without end": "- {name: free, level: " + "1" * 5000 + "}",
    "depth without end": "[" * 20000,
}


async def test_not_ready_without_a_catalog(cold: Platform) -> None:
    answer = await cold.client.get("/ready")
    assert answer.status_code == 503
    assert "tier-to-group-mapping" in answer.json()["message"]
    answer = await cold.client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "healthy", "revision": None})


async def test_ready_with_one(platform: Platform) -> None:
    answer = await platform.client.get("/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "revision": "r1"})
    answer = await platform.client.get("/health")
    assert answer.json() == {"status": "healthy", "revision": "r1"}
    assert platform.metric(VALID) == 1


async def test_a_new_one_is_taken_over(platform: Platform) -> None:
    tiers = [*TIERS, tier_entry("trial", 5, ["trials"], [])]
    await platform.write_catalog(tiers, revision="r2")
    await wait_for(lambda: platform.application.view.revision == "r2")
    # A new tier takes no replica out of service while its accounts are read.
    assert (await platform.client.get("/ready")).json()["revision"] == "r2"
    assert (await platform.look_up(groups=["trials"])).json()["tier"] == "trial"
    watch = platform.application.view.accounts.watches[PREFIX + "trial"]
    assert watch is not None
    await wait_for(lambda: watch.is_synced)


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
async def test_a_bad_one_is_not(platform: Platform, text: str) -> None:
    await platform.write_catalog(revision="bad", tiers=text)
    await wait_for(lambda: platform.metric(VALID) == 0)
    assert platform.metric("maas_api_catalogs_refused_total") == 1
    assert (await platform.client.get("/ready")).json()["revision"] == "r1"
    assert (await platform.client.get("/health")).status_code == 200
    assert (await platform.look_up(groups=["tier-free-users"])).json()["tier"] == "free"
    refusal = next(line for line in platform.log_lines() if line["event"] == "tier catalog refused")
    assert (refusal["level"], refusal["in_use"]) == ("error", "r1")
    await platform.write_catalog(revision="r3")
    await wait_for(lambda: platform.metric(VALID) == 1)
    assert (await platform.client.get("/ready")).json()["revision"] == "r3"


async def test_one_without_the_key_is_bad(platform: Platform) -> None:
    await platform.write_catalog(revision="bad", other="x")
    await wait_for(lambda: platform.metric(VALID) == 0)
    assert (await platform.client.get("/ready")).json()["revision"] == "r1"


async def test_a_missing_one_is_bad(platform: Platform) -> None:
    await platform.kubernetes.remove("configmaps", NAMESPACE, "tier-to-group-mapping")
    await wait_for(lambda: platform.metric(VALID) == 0)
    assert (await platform.client.get("/ready")).status_code == 200


async def test_a_bad_one_at_the_start_is_none(cold: Platform) -> None:
    await cold.write_catalog(tiers="- name: free")
    await wait_for(lambda: cold.metric("maas_api_catalogs_refused_total") == 1)
    assert (await cold.client.get("/ready")).status_code == 503


async def test_other_config_maps_are_not_read(platform: Platform) -> None:
    await platform.kubernetes.put("configmaps", NAMESPACE, "kube-root-ca.crt", data={"tiers": "]"})
    await platform.write_catalog(revision="r4")
    await wait_for(lambda: platform.application.view.revision == "r4")
    assert platform.metric("maas_api_catalogs_refused_total") == 0


async def test_one_tiers_missing_rights_stop_only_that_tier(cold: Platform, alice: str) -> None:
    cold.kubernetes.fail("*", f"{PREFIX}premium/serviceaccounts", 403)
    await cold.write_catalog()
    view = cold.application.view
    await wait_for(lambda: view.catalogs.current and not view.missing())
    assert (await cold.client.get("/ready")).status_code == 200
    account = cold.account_of((await cold.mint(alice))["token"])
    assert (await cold.look_up(**account)).status_code == 200
    username = f"system:serviceaccount:{PREFIX}premium:carol-1234abcd"
    assert (await cold.look_up(username=username, uid="7")).status_code == 503


async def test_a_stopping_replica_is_not_ready_but_answers(platform: Platform) -> None:
    platform.application.view.is_draining = True
    answer = await platform.client.get("/ready")
    assert answer.status_code == 503
    answer = await platform.look_up(groups=["tier-free-users"])
    assert answer.status_code == 200
    assert answer.headers["connection"] == "close"


async def test_a_watch_that_ends_makes_it_unhealthy(platform: Platform) -> None:
    watches = platform.application.view.accounts.watches
    watches._tasks[PREFIX + "free"].cancel()
    await wait_for(lambda: not watches.is_running)
    answer = await platform.client.get("/health")
    assert answer.status_code == 503
