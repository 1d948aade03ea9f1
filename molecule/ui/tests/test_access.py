# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The pages are for everybody: without a mouse, without scripts, on any screen."""

from __future__ import annotations

import pytest
from browser import Browser
from conftest import ADMINISTRATOR
from playwright.sync_api import Page, expect

PAGES = [
    ("landing", "/", None, 200),
    ("overview", "/", "carol", 200),
    ("revoke", "/ui/tokens/revoke", "carol", 200),
    ("no-tier", "/", "mallory", 200),
    ("refused", "/ui/admin", "carol", 403),
    ("not-found", "/ui/nothing", None, 404),
    ("signed-out", "/ui/signed-out", None, 200),
    ("tiers", "/ui/admin", ADMINISTRATOR, 200),
    ("users", "/ui/admin/users", ADMINISTRATOR, 200),
    ("usage", "/ui/admin/usage", ADMINISTRATOR, 200),
]


@pytest.mark.parametrize(("name", "path", "user", "status"), PAGES, ids=[p[0] for p in PAGES])
def test_every_page_in_every_form(
    browser: Browser, name: str, path: str, user: str | None, status: int
) -> None:
    if user:
        browser.open("/", user)
    browser.show(name, path, user, status)


def test_a_page_with_a_token(browser: Browser) -> None:
    page = browser.open("/", "erin")
    page.get_by_role("button", name="Make a token").click()
    token = browser.token_on(page, "erin")
    page.locator("#token").evaluate("(shown, text) => { shown.textContent = text }", "x" * 900)
    browser.look(page, "token")
    assert token.token not in page.content()


def test_snippets_and_token_are_copied(browser: Browser) -> None:
    page = browser.open("/", "erin", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_text("with curl").first.click()
    page.get_by_role("button", name="Copy: curl command").first.click()
    expect(page.locator("#said")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f"curl {browser.lab.url}/")
    page.get_by_role("button", name="Make a token").click()
    token = browser.token_on(page, "erin")
    page.get_by_role("button", name="Copy the token").click()
    expect(page.get_by_role("button", name="Copy the token")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == token.token


def test_without_scripts(browser: Browser) -> None:
    browser.open("/", "erin")
    token = browser.mint("erin", java_script_enabled=False)
    page = browser.open("/ui/tokens/revoke", "erin", java_script_enabled=False)
    expect(page.get_by_role("button", name="Copy")).to_have_count(0)
    page.get_by_role("button", name="Revoke all my tokens").click()
    expect(page.get_by_role("heading", name="Tokens revoked")).to_be_visible()
    assert token.token not in page.content()


def press_until(page: Page, focused: str, most: int = 40) -> None:
    """Press Tab until this element has the focus, which must then be visible."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.locator(focused).evaluate_all("all => all.includes(document.activeElement)"):
            style = "getComputedStyle(document.activeElement)"
            assert page.evaluate(f"{style}.outlineStyle") != "none"
            assert float(page.evaluate(f"{style}.outlineWidth").removesuffix("px")) >= 2
            return
    raise AssertionError(f"{focused} never got the focus")


def test_with_the_keyboard_alone(browser: Browser) -> None:
    page = browser.open("/", "erin", permissions=["clipboard-read", "clipboard-write"])
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    page.keyboard.press("Enter")
    press_until(page, "#lifetime")
    page.keyboard.press("Home")
    press_until(page, "form[action='/ui/tokens'] button")
    page.keyboard.press("Enter")
    token = browser.token_on(page, "erin")
    # The heading is read out first; the token comes next.
    expect(page.locator("h1")).to_be_focused()
    press_until(page, "[data-copy=token]", most=3)
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == token.token
    page.goto(browser.lab.url)
    press_until(page, "a[href='/ui/tokens/revoke']")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Revoke all your tokens?")).to_be_visible()
    press_until(page, "main button")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Tokens revoked")).to_be_visible()
