# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What callers may read: models, themselves, tiers."""

from __future__ import annotations

import pytest
from conftest import Platform, bearer, wait_for

pytestmark = pytest.mark.anyio


async def ids(platform: Platform, token: str) -> list[str]:
    answer = await platform.client.get("/v1/models", headers=bearer(token))
    assert answer.status_code == 200, answer.text
    assert answer.json()["object"] == "list"
    return [model["id"] for model in answer.json()["data"]]


async def test_models_are_those_of_the_tier(platform: Platform, alice: str, carol: str) -> None:
    assert await ids(platform, alice) == ["gemma-3-270m"]
    assert await ids(platform, carol) == ["gemma-3-270m", "gemma-large"]


async def test_a_tier_token_reads_what_its_login_reads(platform: Platform, carol: str) -> None:
    token = (await platform.mint(carol))["token"]
    assert await ids(platform, token) == await ids(platform, carol)


async def test_a_model_looks_as_openai_clients_expect(platform: Platform, alice: str) -> None:
    answer = await platform.client.get("/v1/models", headers=bearer(alice))
    assert answer.json()["data"] == [
        {
            "id": "gemma-3-270m",
            "object": "model",
            "created": 1767323045,
            "owned_by": "llm",
            "url": "https://maas.example.test:8443/llm/gemma",
            "ready": True,
        }
    ]


async def test_one_model(platform: Platform, alice: str) -> None:
    answer = await platform.client.get("/v1/models/gemma-3-270m", headers=bearer(alice))
    assert answer.status_code == 200
    listed = await platform.client.get("/v1/models", headers=bearer(alice))
    assert answer.json() == listed.json()["data"][0]


@pytest.mark.parametrize("name", ["gemma-large", "nosuch", "gemma"])
async def test_other_models_are_none(platform: Platform, alice: str, name: str) -> None:
    answer = await platform.client.get(f"/v1/models/{name}", headers=bearer(alice))
    assert answer.status_code == 404
    assert answer.json()["error"] == "not_found"


@pytest.mark.parametrize(
    ("until", "listed"),
    [
        ("2020-01-01T00:00:00Z", []),
        ("2999-01-01T00:00:00Z", ["gemma-3-270m"]),
        ("soon", ["gemma-3-270m"]),
    ],
)
async def test_a_retired_model_is_listed_to_its_end(
    platform: Platform, alice: str, until: str, listed: list[str]
) -> None:
    await platform.write_model(
        "gemma", model="gemma-3-270m", annotations={"maas.platform/until": until}
    )
    watch = platform.application.view.models.watches["llm"]
    assert watch is not None
    await wait_for(lambda: watch.items["gemma"].metadata.annotations)
    assert await ids(platform, alice) == listed


async def test_a_canary_is_no_model(platform: Platform, alice: str) -> None:
    await platform.write_model(
        "gemma", model="gemma-3-270m", labels={"maas.platform/canary": "true"}
    )
    watch = platform.application.view.models.watches["llm"]
    assert watch is not None
    await wait_for(lambda: watch.items["gemma"].metadata.labels)
    assert await ids(platform, alice) == []


async def test_a_paused_model_is_not_ready(platform: Platform, alice: str) -> None:
    await platform.write_model(
        "gemma", model="gemma-3-270m", annotations={"serving.kserve.io/stop": "true"}
    )
    watch = platform.application.view.models.watches["llm"]
    assert watch is not None
    await wait_for(lambda: watch.items["gemma"].metadata.annotations)
    answer = await platform.client.get("/v1/models", headers=bearer(alice))
    assert [model["ready"] for model in answer.json()["data"]] == [False]


async def test_without_a_tier_there_are_no_models(platform: Platform) -> None:
    mallory = platform.kubernetes.log_in("mallory")
    platform.kubernetes.tokens[mallory].groups = []
    assert await ids(platform, mallory) == []


async def test_models_come_and_go(platform: Platform, carol: str) -> None:
    await platform.write_model("planned")
    watch = platform.application.view.models.watches["llm"]
    assert watch is not None
    await wait_for(lambda: "planned" in watch.items)
    assert "planned" in await ids(platform, carol)
    await platform.kubernetes.remove("llminferenceservices", "llm", "planned")
    await wait_for(lambda: "planned" not in watch.items)
    assert "planned" not in await ids(platform, carol)


async def test_a_model_being_deleted_is_not_ready(platform: Platform, alice: str) -> None:
    await platform.write_model(
        "gemma", model="gemma-3-270m", deletionTimestamp="2026-01-02T03:04:05Z"
    )
    watch = platform.application.view.models.watches["llm"]
    assert watch is not None
    await wait_for(lambda: not watch.items["gemma"].is_ready)
    answer = await platform.client.get("/v1/models", headers=bearer(alice))
    assert [model["ready"] for model in answer.json()["data"]] == [False]


async def test_models_may_be_installed_later(cold: Platform, alice: str) -> None:
    cold.kubernetes.fail("*", "llminferenceservices", 404)
    await cold.write_catalog()
    view = cold.application.view
    await wait_for(lambda: view.catalogs.current and not view.missing())
    assert await ids(cold, alice) == []
    cold.kubernetes.heal()
    await cold.write_model("gemma")
    watch = view.models.watches["llm"]
    assert watch is not None
    await wait_for(lambda: "gemma" in watch.items, 10)
    assert await ids(cold, alice) == ["gemma"]


async def test_me_at_login(platform: Platform, carol: str) -> None:
    body = (await platform.client.get("/v1/me", headers=bearer(carol))).json()
    assert [model["id"] for model in body.pop("models")] == ["gemma-3-270m", "gemma-large"]
    assert body == {
        "user": "carol",
        "kind": "login",
        "tier": "premium",
        "displayName": "Premium",
        "limits": {"requests": [{"limit": 5, "windowSeconds": 120}], "tokens": "unlimited"},
        "token": {"defaultTtlSeconds": 14400, "maxTtlSeconds": 86400},
        "admin": False,
        "refusal": None,
    }


async def test_me_by_tier_token(platform: Platform, alice: str) -> None:
    token = (await platform.mint(alice))["token"]
    body = (await platform.client.get("/v1/me", headers=bearer(token))).json()
    assert (body["user"], body["kind"], body["tier"]) == ("alice", "tier-token", "free")


async def test_me_without_a_tier(platform: Platform) -> None:
    mallory = platform.kubernetes.log_in("mallory")
    platform.kubernetes.tokens[mallory].groups = []
    body = (await platform.client.get("/v1/me", headers=bearer(mallory))).json()
    assert body == {
        "user": "mallory",
        "kind": "login",
        "tier": None,
        "displayName": None,
        "limits": None,
        "token": None,
        "models": [],
        "admin": False,
        "refusal": None,
    }


async def test_tiers(platform: Platform, alice: str) -> None:
    answer = await platform.client.get("/v1/tiers", headers=bearer(alice))
    assert [tier["tier"] for tier in answer.json()["data"]] == ["free", "premium"]
    assert answer.json()["data"][1] == {
        "tier": "premium",
        "displayName": "Premium",
        "description": "The premium tier",
        "level": 10,
        "limits": {"requests": [{"limit": 5, "windowSeconds": 120}], "tokens": "unlimited"},
        "token": {"defaultTtlSeconds": 14400, "maxTtlSeconds": 86400},
        "models": ["gemma", "gemma-large", "planned"],
        "enabled": True,
        "priority": 0,
    }
    assert "tier-premium-users" not in answer.text
