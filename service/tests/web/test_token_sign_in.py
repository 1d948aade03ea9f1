# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Without a login service people sign in with a login token."""

from __future__ import annotations

import dataclasses
import json
import time

import pytest
from conftest import Platform
from fake_kubernetes import Issued, make_jwt
from maas_api.settings import Settings
from maas_api.web.sessions import SESSION_COOKIE

from web.provider import read_cookie
from web.visitor import Page, Visitor

pytestmark = pytest.mark.anyio


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Return the settings of a platform without a login service."""
    return dataclasses.replace(settings, oidc=None)


async def give(visitor: Visitor, token: str) -> int:
    answer = await visitor.submit("/", "/ui/sign-in", token=token)
    return answer.status_code


async def test_a_login_token_signs_in(visitor: Visitor, site: Platform) -> None:
    login = site.kubernetes.log_in("alice", "tier-free-users")
    assert await give(visitor, f" {login}\n") == 303
    page = await visitor.see("/")
    assert "Signed in as alice" in page.words
    held = json.loads(read_cookie(visitor.client.cookies[SESSION_COOKIE]))
    assert abs(held["e"] - time.time() - 3600) < 60
    assert login not in visitor.client.cookies[SESSION_COOKIE]
    assert login not in site.logs.getvalue()


async def test_the_session_ends_with_the_token(visitor: Visitor, site: Platform) -> None:
    end = int(time.time()) + 90
    token = make_jwt(exp=end)
    site.kubernetes.tokens[token] = Issued("alice", ["tier-free-users"])
    assert await give(visitor, token) == 303
    held = json.loads(read_cookie(visitor.client.cookies[SESSION_COOKIE]))
    assert held["e"] == end


async def test_refusals_are_in_the_audit_trail(visitor: Visitor, site: Platform) -> None:
    await give(visitor, "nonsense")
    login = site.kubernetes.log_in("alice", "tier-free-users")
    made = await visitor.client.post("/v1/tokens", headers={"Authorization": f"Bearer {login}"})
    await give(visitor, made.json()["token"])
    lines = [line for line in site.audit_lines() if line["action"] == "web.sign-in"]
    assert [(line["result"], line["user"]) for line in lines] == [
        ("refused", None),
        ("refused", "alice"),
    ]


@pytest.mark.parametrize("token", ["", "nonsense", "two words", "<script>"])
async def test_what_is_no_login_token(visitor: Visitor, token: str) -> None:
    assert await give(visitor, token) == 403
    assert SESSION_COOKIE not in visitor.client.cookies


async def test_a_tier_token_is_no_login(visitor: Visitor, site: Platform) -> None:
    login = site.kubernetes.log_in("alice", "tier-free-users")
    made = await visitor.client.post("/v1/tokens", headers={"Authorization": f"Bearer {login}"})
    assert await give(visitor, made.json()["token"]) == 403
    assert SESSION_COOKIE not in visitor.client.cookies


async def test_another_site_signs_nobody_in(visitor: Visitor, site: Platform) -> None:
    login = site.kubernetes.log_in("mallory", "tier-free-users")
    answer = await visitor.post("/ui/sign-in", {"token": login}, "https://evil.example")
    assert answer.status_code == 403
    assert SESSION_COOKIE not in visitor.client.cookies


async def test_the_button_leads_to_the_form(visitor: Visitor) -> None:
    answer = await visitor.get("/ui/sign-in")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    answer = await visitor.get("/ui/callback")
    assert answer.status_code == 404
    assert "no login service" in Page(answer.text).words
