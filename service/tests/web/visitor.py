# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""A browser, as far as it matters: cookies, forms, and the headers that browsers send."""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import httpx

from web.provider import Provider

SITE = "https://maas.example.test:8443"


class Page(HTMLParser):
    """A page: its text, its forms, and what it refers to."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.forms: dict[str, dict[str, str]] = {}
        self._action = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.text += " " if tag in {"dd", "td", "li", "div", "p"} else ""
        self.tags.append((tag, found))
        if tag == "form":
            self._action = found["action"]
            self.forms[self._action] = {}
        elif tag == "input" and self._action:
            self.forms[self._action][found.get("name", "")] = found.get("value", "")
        elif tag == "option" and "selected" in found and self._action:
            self.forms[self._action]["(chosen)"] = found["value"]

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._action = ""

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        """Return the attributes of all elements of a kind."""
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def words(self) -> str:
        """Return the text with single spaces."""
        return " ".join(self.text.split())


@dataclass
class Visitor:
    """Somebody with a browser."""

    client: httpx.AsyncClient
    provider: Provider

    async def get(self, path: str, **options: Any) -> httpx.Response:
        """Open a page."""
        return await self.client.get(path, **options)

    async def see(self, path: str, status: int = 200) -> Page:
        """Open a page that must be there."""
        answer = await self.get(path)
        assert answer.status_code == status, answer.text
        return Page(answer.text)

    async def post(
        self, path: str, fields: dict[str, str], origin: str | None = SITE, **headers: str
    ) -> httpx.Response:
        """Send a form."""
        sent = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        if origin is not None:
            sent["Origin"] = origin
        return await self.client.post(path, content=urlencode(fields), headers=sent)

    async def submit(self, on: str, action: str, **fields: str) -> httpx.Response:
        """Open a page, fill in one of its forms, and send it."""
        form = (await self.see(on)).forms[action]
        form.pop("(chosen)", None)
        return await self.post(action, {**form, **fields})

    async def begin(self, wish: str = "") -> str:
        """Press "Sign in"; return where the browser is sent."""
        answer = await self.get("/ui/sign-in", params={"next": wish} if wish else {})
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    async def sign_in(self, user: str, *groups: str, wish: str = "") -> httpx.Response:
        """Sign in; return the answer to the browser's coming back."""
        back = self.provider.log_in(await self.begin(wish), user, *groups)
        return await self.get(back)
