# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Forms: only what this user sent from these pages is done."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import Platform
from maas_api.web.sessions import SESSION_COOKIE

from web.visitor import SITE, Page, Visitor

pytestmark = pytest.mark.anyio

FORMS = [
    ("/", "/ui/tokens"),
    ("/", "/ui/sign-out"),
    ("/ui/tokens/revoke", "/ui/tokens/revoke"),
]


async def fields(visitor: Visitor, on: str, action: str) -> dict[str, str]:
    form = (await visitor.see(on)).forms[action]
    form.pop("(chosen)", None)
    return {"lifetime": "3600", **form}


async def nothing_done(site: Platform, visitor: Visitor) -> None:
    assert site.kubernetes.accounts() == []
    assert "Signed in as" in (await visitor.see("/")).words


@pytest.mark.parametrize(("on", "action"), FORMS)
@pytest.mark.parametrize("token", ["", "x", "A" * 43])
async def test_without_the_sessions_token(
    alice: Visitor, site: Platform, on: str, action: str, token: str
) -> None:
    sent = await fields(alice, on, action)
    answer = await alice.post(action, {**sent, "csrf_token": token})
    assert answer.status_code == 403
    assert "not of your present session" in Page(answer.text).words
    await nothing_done(site, alice)


@pytest.mark.parametrize(("on", "action"), FORMS)
async def test_with_another_sessions_token(
    alice: Visitor, visitors: Callable[[], Visitor], site: Platform, on: str, action: str
) -> None:
    mallory = visitors()
    await mallory.sign_in("mallory", "tier-free-users")
    sent = await fields(mallory, on, action)
    answer = await alice.post(action, sent)
    assert answer.status_code == 403
    await nothing_done(site, alice)


@pytest.mark.parametrize(("on", "action"), FORMS)
@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "",
        SITE.replace("https", "http"),
        "https://maas.example.test",
    ],
)
async def test_from_another_site(
    alice: Visitor, site: Platform, on: str, action: str, origin: str
) -> None:
    sent = await fields(alice, on, action)
    answer = await alice.post(action, sent, origin)
    assert answer.status_code == 403
    assert "sent from another site" in Page(answer.text).words
    await nothing_done(site, alice)


async def test_without_an_origin(alice: Visitor, site: Platform) -> None:
    sent = await fields(alice, "/", "/ui/tokens")
    assert (await alice.post("/ui/tokens", sent, None)).status_code == 403
    crossed = {"Sec-Fetch-Site": "cross-site"}
    assert (await alice.post("/ui/tokens", sent, None, **crossed)).status_code == 403
    await nothing_done(site, alice)
    own = {"Sec-Fetch-Site": "same-origin"}
    assert (await alice.post("/ui/tokens", sent, None, **own)).status_code == 200


@pytest.mark.parametrize(("on", "action"), FORMS)
async def test_without_a_session(
    alice: Visitor, visitor: Visitor, site: Platform, on: str, action: str
) -> None:
    answer = await visitor.post(action, await fields(alice, on, action))
    assert answer.status_code == 403
    assert "Your session has ended" in Page(answer.text).words
    await nothing_done(site, alice)


@pytest.mark.parametrize("action", [action for _, action in FORMS])
async def test_a_link_does_nothing(alice: Visitor, site: Platform, action: str) -> None:
    answer = await alice.get(action)
    assert answer.status_code == (200 if action == "/ui/tokens/revoke" else 404)
    await nothing_done(site, alice)


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{}", "application/json", 400),
        (b"csrf_token=x", "text/plain", 400),
        (b"\xff=1", "application/x-www-form-urlencoded", 400),
        (b"a=1&" * 100, "application/x-www-form-urlencoded", 400),
        (b"a=" + b"1" * 20_000, "application/x-www-form-urlencoded", 413),
    ],
)
async def test_what_is_no_form(alice: Visitor, content: bytes, kind: str, status: int) -> None:
    headers = {"Content-Type": kind, "Origin": SITE}
    answer = await alice.client.post("/ui/tokens", content=content, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")


async def test_no_method_but_those(alice: Visitor) -> None:
    for method in ("PUT", "DELETE", "PATCH"):
        answer = await alice.client.request(method, "/ui/tokens")
        assert answer.status_code == 405
        assert answer.headers["content-type"].startswith("text/html")


async def test_a_cookie_alone_is_no_login_for_the_api(alice: Visitor) -> None:
    assert SESSION_COOKIE in alice.client.cookies
    for path in ("/v1/me", "/maas-api/v1/me"):
        assert (await alice.get(path)).status_code == 401
    assert (await alice.client.post("/v1/tokens")).status_code == 401
    assert (await alice.client.delete("/v1/tokens")).status_code == 401
