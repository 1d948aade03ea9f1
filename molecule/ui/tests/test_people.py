# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What people do: sign in, make a token, call a model, meet a limit, revoke, sign out."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from browser import Browser
from catalog import Catalog
from chat import Chat
from conftest import ADMINISTRATOR, PEOPLE
from playwright.sync_api import expect


@pytest.mark.parametrize(("user", "tier"), PEOPLE.items())
def test_everybody_sees_their_own_tier(
    browser: Browser, catalog: Catalog, user: str, tier: str
) -> None:
    page = browser.open("/", user)
    expect(page.locator("#tier")).to_have_text(tier.capitalize())
    models = page.get_by_role("heading", level=3).all_text_contents()
    expected = {model.partition("/")[2] for model in catalog.tiers[tier].models}
    assert expected <= set(models)
    expect(page.get_by_role("navigation", name="Pages").get_by_role("link")).to_have_text(
        ["Overview"]
    )


def test_from_the_first_call_to_the_limit_to_revocation(
    browser: Browser,
    catalog: Catalog,
    chat: Chat,
    fresh_counters: Callable[[str], None],
) -> None:
    fresh_counters("alice")
    tier = catalog.tiers["free"]
    assert tier.tokens is not None
    token = browser.mint("alice")
    page = browser.open("/", "alice")
    tokens = page.get_by_role("listitem").filter(has_text="tokens per")
    expect(tokens.locator("strong")).to_have_text("0")
    answer = chat(token, tier.models[0], tokens=tier.tokens.limit)
    assert answer.status == 200
    # Nobody reloads the page: its own script asks for fresh numbers.
    expect(tokens.get_by_text("Limit reached")).to_be_visible(timeout=15_000)
    expect(page.locator("#said")).to_have_text("A limit is reached")
    browser.look(page, "limit-reached")
    assert chat(token, tier.models[0], tokens=1).status == 429

    page.get_by_role("link", name="Revoke my tokens").click()
    page.get_by_role("button", name="Revoke all my tokens").click()
    expect(page.get_by_role("heading", name="Tokens revoked")).to_be_visible()
    # 403 while the API server still takes the token for good, 401 afterwards; never an answer.
    assert chat(token, tier.models[0], tokens=1).status in {401, 403}


@pytest.mark.parametrize("user", ["carol", "erin"])
def test_a_minted_token_calls_a_model(
    browser: Browser, catalog: Catalog, chat: Chat, user: str
) -> None:
    token = browser.mint(user)
    assert chat(token, catalog.tiers[PEOPLE[user]].models[-1], tokens=1).status == 200


def test_a_wrong_password_is_nobody(browser: Browser) -> None:
    page = browser.open()
    browser.sign_in(page, "alice", password="wrong")
    expect(page.get_by_text("Invalid Email Address and password")).to_be_visible()
    page.goto(browser.lab.url)
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()


def test_an_administrator_sees_everything_in_order(browser: Browser, catalog: Catalog) -> None:
    page = browser.open("/ui/admin", ADMINISTRATOR)
    expect(page.get_by_text("In order.")).to_be_visible()
    policies = page.get_by_role("region", name="Policies at the gateway").get_by_role("row")
    for kind in ("AuthPolicy", "RateLimitPolicy", "TokenRateLimitPolicy"):
        row = policies.filter(has=page.get_by_role("rowheader", name=kind))
        expect(row.get_by_role("cell")).to_contain_text(["Yes", "Yes", "Same", "—"])
    tiers = page.get_by_role("region", name="Tiers, lowest first").get_by_role("rowheader")
    expect(tiers).to_have_count(len(catalog.tiers))


def test_an_administrator_sees_what_was_used(
    browser: Browser, catalog: Catalog, chat: Chat
) -> None:
    token, model = browser.mint("erin"), catalog.tiers["enterprise"].models[0]
    assert chat(token, model, tokens=1).status == 200
    # By model: of users and tiers only the largest are drawn, and other tests had many.
    page = browser.open("/ui/admin/usage?measure=requests&by=model&hours=1", ADMINISTRATOR)
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=model, exact=True))
    # Prometheus asks the gateway every few seconds, and draws what it knew at whole minutes.
    deadline = time.monotonic() + 150
    while not row.count():
        assert time.monotonic() < deadline, "the call never came into the plot"
        page.wait_for_timeout(2000)
        page.reload()
    expect(page.locator("svg.plot rect").first).to_be_visible()
    browser.look(page, "usage-by-model")


def test_an_administrator_revokes_somebody(browser: Browser, catalog: Catalog, chat: Chat) -> None:
    token = browser.mint("carol")
    model = catalog.tiers["premium"].models[0]
    assert chat(token, model, tokens=1).status == 200
    page = browser.open("/ui/admin/users?q=oidc:carol", ADMINISTRATOR)
    page.get_by_role("link", name="Revoke the tokens of").click()
    page.get_by_role("button", name="Revoke their tokens").click()
    expect(page.get_by_role("heading", name="Tokens revoked")).to_be_visible()
    assert chat(token, model, tokens=1).status in {401, 403}


@pytest.mark.parametrize("path", ["/ui/admin", "/ui/admin/users", "/ui/admin/usage"])
def test_nobody_else_is_an_administrator(browser: Browser, path: str) -> None:
    page = browser.open(path, "alice")
    expect(page.get_by_text("This page is for administrators.")).to_be_visible()


def test_somebody_without_a_tier_is_told(browser: Browser) -> None:
    page = browser.open("/", "mallory")
    expect(page.get_by_role("heading", name="You have no tier")).to_be_visible()
    expect(page.get_by_role("button", name="Make a token")).to_have_count(0)


def test_signing_out(browser: Browser) -> None:
    page = browser.open()
    browser.sign_in(page, "erin")
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    assert [cookie["name"] for cookie in page.context.cookies(browser.lab.url)] == []
    page.go_back()
    page.reload()
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
