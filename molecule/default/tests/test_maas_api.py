# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The MaaS API at its public path: tokens, tier, models, revocation."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from accounts import User
from api import Api
from catalog import Catalog
from chat import Chat
from cluster import Kubectl
from running_lab import Lab
from wire import Wire

testinfra_hosts = ["local://"]

# The lab's people and the tiers their groups lead to.
TIER_OF = {
    "alice": "free",
    "bob": "free",
    "carol": "premium",
    "dave": "premium",
    "erin": "enterprise",
}


def test_health_needs_no_token(api: Api) -> None:
    answer = api("GET", "/health")
    assert (answer.status, answer.json()["status"]) == (200, "healthy")


@pytest.mark.parametrize("path", ["/metrics", "/ready", "/"])
def test_operators_pages_are_not_public(api: Api, path: str) -> None:
    assert api("GET", path).status == 404


def test_the_tier_lookup_is_not_public(api: Api) -> None:
    # It answers anyone in the cluster; from outside it would tell which groups lead where.
    body = {"groups": ["tier-premium-users"]}
    assert api("POST", "/v1/tiers/lookup", "alice", body=body).status == 404


@pytest.mark.parametrize("path", ["/v1/tokens", "/v1/models", "/v1/me"])
def test_a_stranger_gets_401(api: Api, path: str) -> None:
    method = "POST" if path == "/v1/tokens" else "GET"
    assert api(method, path).status == 401
    assert api(method, path, token="garbage").status == 401


@pytest.mark.parametrize(("who", "tier"), TIER_OF.items())
def test_a_login_mints_a_token_that_works(
    api: Api, catalog: Catalog, chat: Chat, who: str, tier: str
) -> None:
    answer = api("POST", "/v1/tokens", who, body={"expiration": "1h"})

    assert answer.status == 201
    minted = answer.json()
    assert (minted["user"], minted["tier"]) == (who, tier)
    assert 3500 < minted["expiresAt"] - time.time() < 3700
    models = {f"{model['owned_by']}/{model['id']}" for model in minted["models"]}
    assert models == set(catalog.tiers[tier].models)
    # Earlier runs may have used up this user's requests: only refusal of the token would be wrong.
    assert chat(minted["token"], catalog.tiers[tier].models[0]).status in {200, 429}


def test_a_login_without_a_tier_gets_no_token(api: Api) -> None:
    assert api("POST", "/v1/tokens", "mallory", body={}).status == 404


def test_no_header_chooses_a_tier(lab: Lab, wire: Wire) -> None:
    headers = [("X-MaaS-Group", "tier-premium-users"), ("X-Forwarded-Groups", "tier-premium-users")]
    answer = wire.request(
        "POST", "/maas-api/v1/tokens", token=lab.identity("mallory"), headers=headers, body={}
    )
    assert answer.status == 404


@pytest.mark.parametrize("expiration", ["1s", "400d", "soon", -1, 0])
def test_a_bad_expiration_is_refused(api: Api, expiration: Any) -> None:
    answer = api("POST", "/v1/tokens", "alice", body={"expiration": expiration})
    assert answer.status == 400
    assert set(answer.json()) == {"error", "message"}


def test_models_are_the_tiers(api: Api, catalog: Catalog, lab: Lab, new_user: Any) -> None:
    for tier in ("free", "premium"):
        data = api("GET", "/v1/models", token=new_user(tier).token).json()["data"]
        listed = {f"{entry['owned_by']}/{entry['id']}": entry for entry in data}
        assert set(listed) == set(catalog.tiers[tier].models)
        assert all(entry["ready"] for entry in data)
        assert {name: entry["url"] for name, entry in listed.items()} == {
            name: f"{lab.url}/{name}" for name in listed
        }


def test_models_are_listed_at_the_root_as_well(api: Api, wire: Wire, new_user: Any) -> None:
    # Where older clients look for them, and OpenAI's own when they are given the host alone.
    token = new_user("premium").token
    answer = wire.request("GET", "/v1/models", token=token)
    assert answer.json() == api("GET", "/v1/models", token=token).json()
    assert wire.request("GET", "/v1/models").status == 401


def test_a_tier_token_reads_and_does_not_mint_or_revoke(
    api: Api, new_user: Callable[[str], User]
) -> None:
    token = new_user("free").token
    me = api("GET", "/v1/me", token=token)
    assert (me.status, me.json()["tier"], me.json()["kind"]) == (200, "free", "tier-token")
    assert api("POST", "/v1/tokens", token=token, body={}).status == 403
    assert api("DELETE", "/v1/tokens", token=token).status == 403


def test_a_revoked_token_is_refused_at_the_very_next_call(
    api: Api, catalog: Catalog, chat: Chat, kubectl: Kubectl
) -> None:
    model = catalog.tiers["free"].models[0]
    token = api("POST", "/v1/tokens", "bob", body={}).json()["token"]
    # The gateway has just learnt that this token is good.
    assert chat(token, model).status in {200, 429}

    assert api("DELETE", "/v1/tokens", "bob").status == 204

    # 403 while the API server still takes the token for good, 401 afterwards; never an answer.
    assert chat(token, model).status == 403
    accounts = kubectl.get(
        "serviceaccounts",
        f"--namespace={catalog.tiers['free'].namespace}",
        "--selector=maas.platform/account=true",
    )["items"]
    users = {item["metadata"]["annotations"]["maas.platform/user"] for item in accounts}
    assert "bob" not in users


def test_a_new_token_after_revocation_works_and_the_old_one_stays_dead(
    api: Api, catalog: Catalog, chat: Chat
) -> None:
    model = catalog.tiers["enterprise"].models[0]
    old = api("POST", "/v1/tokens", "erin", body={}).json()["token"]
    assert api("DELETE", "/v1/tokens", "erin").status == 204

    new = api("POST", "/v1/tokens", "erin", body={}).json()["token"]

    assert chat(new, model).status in {200, 429}
    assert chat(old, model).status in {401, 403}
