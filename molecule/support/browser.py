# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""A browser with people in it: each signs in once, at the real login service."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from accounts import User
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect
from running_lab import Lab

_MILLISECONDS = 30_000
#: The longest window that a test may have to wait out, and a little more.
_WINDOW_SECONDS = 150
_SIZES = {"light": (1200, 850), "dark": (1200, 850), "narrow": (380, 800)}
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class Browser:
    """Opens pages as somebody, and notes what the browser itself complains of."""

    def __init__(self, chromium: Chromium, lab: Lab, screenshots: Path) -> None:
        self.lab = lab
        self.complaints: list[str] = []
        self._chromium = chromium
        self._screenshots = screenshots
        self._states: dict[str, Any] = {}
        self._contexts: list[BrowserContext] = []
        self._minted: set[str] = set()

    def open(self, path: str = "/", user: str | None = None, **options: Any) -> Page:
        """Return a page, signed in as this user."""
        if user is not None and user not in self._states:
            fresh = self._page()
            self.sign_in(fresh, user)
            self._states[user] = fresh.context.storage_state()
        page = self._page(storage_state=self._states[user] if user else None, **options)
        # Pages that are refused are complained of, too; a test that wants them asks for them.
        page.goto(self.lab.url + path)
        return page

    def sign_in(self, page: Page, user: str, password: str | None = None) -> None:
        """Sign in as a person would."""
        page.goto(self.lab.url)
        page.get_by_role("link", name="Sign in").click()
        secret = self.lab.folder / "identities" / f"{user}.password"
        page.locator("input[name=login]").fill(f"{user}@{self.lab.host.partition('.')[2]}")
        page.locator("input[name=password]").fill(password or secret.read_text().strip())
        page.locator("input[name=password]").press("Enter")
        if password is None:
            page.wait_for_url(f"{self.lab.url}/")
            expect(page.get_by_role("heading", name="Overview")).to_be_visible()

    def mint(self, user: str, **options: Any) -> User:
        """Make a token as a person would, and return it."""
        page = self.open("/", user, **options)
        page.get_by_label("Lifetime").select_option("10 minutes")
        page.get_by_role("button", name="Make a token").click()
        return self.token_on(page, user)

    def token_on(self, page: Page, user: str) -> User:
        """Return the token that a page shows."""
        expect(page.get_by_role("heading", name="Your new token")).to_be_visible()
        self._minted.add(user)
        token = page.locator("#token").text_content()
        assert token
        is_token = re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", token) is not None
        assert is_token
        # As a user, because that one shows no token where an assertion fails.
        return User(user, tier="", namespace="", account="", token=token)

    def revoke_all(self) -> None:
        """Take back what was minted."""
        for user in self._minted:
            page = self.open("/ui/tokens/revoke", user)
            page.get_by_role("button", name="Revoke all my tokens").click()
            expect(page.get_by_role("heading", level=1)).to_have_text(
                re.compile("Tokens revoked|nothing to revoke"), timeout=_MILLISECONDS
            )
        self.close_pages()

    def wait_for_fresh_counters(self, user: str) -> None:
        """Wait until no window of this user's limits is open: an earlier run may have used them."""
        deadline = time.monotonic() + _WINDOW_SECONDS
        page = self.open("/", user)
        while page.locator("meter").evaluate_all("all => all.some(one => one.value > 0)"):
            assert time.monotonic() < deadline, f"the counters of {user} never started anew"
            page.wait_for_timeout(1000)
            page.reload()

    def show(self, name: str, path: str, user: str | None, status: int = 200) -> None:
        """Look at a page in every form: picture, accessibility, and room for everything."""
        for form, (width, height) in _SIZES.items():
            page = self._page(
                storage_state=self._states.get(user) if user else None,
                viewport={"width": width, "height": height},
                color_scheme="dark" if form == "dark" else "light",
                reduced_motion="reduce",
            )
            answer = page.goto(self.lab.url + path)
            assert answer is not None
            assert answer.status == status
            self.look(page, f"{name}-{form}")

    def look(self, page: Page, name: str) -> None:
        """Keep a picture; find nothing that shuts anybody out, and nothing beside the page."""
        page.screenshot(path=str(self._screenshots / f"{name}.png"), full_page=True)
        found = Axe().run(page, options={"runOnly": _RULES}).response["violations"]
        assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []
        beside = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(beside) == 0

    def close_pages(self) -> None:
        """Close everything that is open."""
        while self._contexts:
            self._contexts.pop().close()

    def _page(self, **options: Any) -> Page:
        context = self._chromium.new_context(**options)
        context.set_default_timeout(_MILLISECONDS)
        self._contexts.append(context)
        page = context.new_page()
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def _note(self, message: ConsoleMessage) -> None:
        # A page with an error's status is complained of as such; whether it should have one is
        # for the test that opened it.
        ours = message.location.get("url", "").startswith(self.lab.url)
        if ours and message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)
