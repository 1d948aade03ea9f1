# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Signing in: who comes back from the login service is who began, and nobody else."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from conftest import Platform, tier_entry, wait_for
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from maas_api.settings import Settings, SettingsError
from maas_api.web.keys import read_keys
from maas_api.web.sessions import LOGIN_COOKIE, SESSION_COOKIE, Sessions
from starlette.requests import Request
from starlette.responses import Response

from web.provider import CLIENT, SECRET, Provider, read_cookie
from web.visitor import SITE, Page, Visitor

pytestmark = pytest.mark.anyio


async def test_the_browser_is_sent_with_state_nonce_and_challenge(visitor: Visitor) -> None:
    address = urlsplit(await visitor.begin())
    query = parse_qs(address.query)
    assert address.netloc == "login.example.test"
    fresh = {name: query.pop(name)[0] for name in ("state", "nonce", "code_challenge")}
    assert all(len(value) >= 43 for value in fresh.values())
    assert query == {
        "response_type": ["code"],
        "client_id": [CLIENT],
        "redirect_uri": [f"{SITE}/ui/callback"],
        "scope": ["openid profile email groups"],
        "code_challenge_method": ["S256"],
    }


async def test_nothing_is_used_twice(visitor: Visitor) -> None:
    first, second = [parse_qs(urlsplit(await visitor.begin()).query) for _ in range(2)]
    for name in ("state", "nonce", "code_challenge"):
        assert first[name] != second[name]


async def test_signing_in_and_out(visitor: Visitor, site: Platform) -> None:
    answer = await visitor.sign_in("alice", "tier-free-users")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    page = await visitor.see("/")
    assert "Signed in as oidc:alice" in page.words
    answer = await visitor.submit("/", "/ui/sign-out")
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/signed-out")
    assert SESSION_COOKIE not in visitor.client.cookies
    assert "You are signed out" in (await visitor.see("/ui/signed-out")).words
    trail = [(line["action"], line["result"], line["user"]) for line in site.audit_lines()]
    assert trail == [
        ("web.sign-in", "done", "oidc:alice"),
        ("web.sign-out", "done", "oidc:alice"),
    ]


async def test_the_client_proves_itself(visitor: Visitor, provider: Provider) -> None:
    await visitor.sign_in("alice", "tier-free-users")
    [request] = provider.exchanges
    form = parse_qs(request.content.decode())
    assert form["redirect_uri"] == [f"{SITE}/ui/callback"]
    assert request.headers["authorization"].startswith("Basic ")
    assert SECRET not in request.content.decode()


async def test_cookies_are_bound_to_this_host_and_out_of_reach_of_scripts(visitor: Visitor) -> None:
    begun = await visitor.get("/ui/sign-in")
    ended = await visitor.get(visitor.provider.log_in(begun.headers["location"], "alice"))
    cookies = begun.headers.get_list("set-cookie") + ended.headers.get_list("set-cookie")
    assert len(cookies) == 3
    for cookie in cookies:
        assert cookie.startswith("__Host-maas-")
        attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"httponly", "secure", "path=/", "samesite=lax"} <= attributes
        assert not any(part.startswith("domain") for part in attributes)


async def test_a_session_holds_user_groups_and_expiry_only(visitor: Visitor) -> None:
    await visitor.sign_in("alice", "tier-free-users", "chess-club")
    held = json.loads(read_cookie(visitor.client.cookies[SESSION_COOKIE]))
    end = held.pop("e")
    assert held == {"u": "oidc:alice", "g": ["tier-free-users", "system:authenticated"]}
    assert abs(end - time.time() - 8 * 3600) < 60


async def test_a_session_ends_with_its_id_token(visitor: Visitor, provider: Provider) -> None:
    provider.claims = {"exp": int(time.time()) + 600}
    await visitor.sign_in("alice")
    held = json.loads(read_cookie(visitor.client.cookies[SESSION_COOKIE]))
    assert abs(held["e"] - time.time() - 600) < 60


async def test_a_session_that_is_over_is_none(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await visitor.sign_in("alice", "tier-free-users")
    now = time.time()
    monkeypatch.setattr("maas_api.web.sessions.time.time", lambda: now + 8 * 3600 + 1)
    assert "Sign in" in (await visitor.see("/")).words
    answer = await visitor.get("/ui/tokens/revoke")
    assert answer.headers["location"] == "/ui/sign-in?next=/ui/tokens/revoke"


@pytest.mark.parametrize("change", ["flip", "cut", "other key", "empty"])
async def test_a_session_that_was_changed_is_none(
    visitor: Visitor, site: Platform, change: str
) -> None:
    await visitor.sign_in("alice", "tier-free-users")
    value = visitor.client.cookies[SESSION_COOKIE]
    body, dot, signature = value.rpartition(".")
    changed = {
        "flip": ("A" if body[0] != "A" else "B") + body[1:] + dot + signature,
        "cut": body,
        "other key": body + dot + "A" * len(signature),
        "empty": "",
    }[change]
    visitor.client.cookies.clear()
    answer = await visitor.get("/", headers={"Cookie": f"{SESSION_COOKIE}={changed}"})
    assert answer.status_code == 200
    assert "alice" not in answer.text


async def test_a_login_is_no_session(visitor: Visitor) -> None:
    await visitor.begin()
    value = visitor.client.cookies[LOGIN_COOKIE]
    visitor.client.cookies.clear()
    answer = await visitor.get("/", headers={"Cookie": f"{SESSION_COOKIE}={value}"})
    assert "Sign in" in Page(answer.text).words


async def refused(visitor: Visitor, address: str, status: int, reason: str) -> None:
    answer = await visitor.get(address)
    assert answer.status_code == status
    assert reason in Page(answer.text).words
    assert SESSION_COOKIE not in visitor.client.cookies
    assert LOGIN_COOKIE not in visitor.client.cookies


async def test_a_forged_state(visitor: Visitor) -> None:
    back = visitor.provider.log_in(await visitor.begin(), "mallory")
    state = parse_qs(urlsplit(back).query)["state"][0]
    await refused(visitor, back.replace(state, "x" * 43), 400, "belongs to another sign-in")


async def test_a_browser_that_did_not_begin(visitor: Visitor) -> None:
    back = visitor.provider.log_in(await visitor.begin(), "mallory")
    visitor.client.cookies.clear()
    await refused(visitor, back, 400, "did not begin to sign in")


async def test_a_login_that_took_too_long(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    back = visitor.provider.log_in(await visitor.begin(), "alice")
    now = time.time()
    monkeypatch.setattr("maas_api.web.sessions.time.time", lambda: now + 601)
    await refused(visitor, back, 400, "more than ten minutes ago")


async def test_a_login_ends_once(visitor: Visitor) -> None:
    back = visitor.provider.log_in(await visitor.begin(), "alice")
    assert (await visitor.get(back)).status_code == 303
    visitor.client.cookies.delete(SESSION_COOKIE)
    await refused(visitor, back, 400, "did not begin to sign in")


async def test_somebody_elses_code_is_good_for_nothing(
    visitor: Visitor, provider: Provider
) -> None:
    stolen = parse_qs(urlsplit(provider.log_in(await visitor.begin(), "alice")).query)["code"][0]
    back = provider.log_in(await visitor.begin(), "mallory")
    own = parse_qs(urlsplit(back).query)["code"][0]
    await refused(visitor, back.replace(own, stolen), 403, "did not accept this sign-in")


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another-client"},
        {"iss": "https://login.example.test/other"},
        {"exp": 1_700_000_000},
        {"exp": None},
        {"preferred_username": None},
        {"preferred_username": ""},
    ],
    ids=str,
)
async def test_an_id_token_that_is_not_the_answer(
    visitor: Visitor, provider: Provider, claims: dict[str, object], site: Platform
) -> None:
    provider.claims = claims
    back = provider.log_in(await visitor.begin(), "alice")
    await refused(visitor, back, 403, "could not be verified")
    [line] = site.audit_lines()
    assert (line["action"], line["result"]) == ("web.sign-in", "refused")


async def test_an_id_token_with_a_forged_signature(visitor: Visitor, provider: Provider) -> None:
    provider.forged_key = generate_private_key(SECP256R1())
    back = provider.log_in(await visitor.begin(), "alice")
    await refused(visitor, back, 403, "could not be verified")


async def test_a_refusal_of_the_login_service(visitor: Visitor) -> None:
    state = parse_qs(urlsplit(await visitor.begin()).query)["state"][0]
    address = f"/ui/callback?error=access_denied&error_description=<b>call+me</b>&state={state}"
    answer = await visitor.get(address)
    assert answer.status_code == 403
    assert "call me" not in answer.text
    assert "access denied" in Page(answer.text).words


async def test_an_answer_of_another_issuer(visitor: Visitor) -> None:
    back = visitor.provider.log_in(await visitor.begin(), "alice")
    await refused(visitor, f"{back}&iss=https://evil.example", 400, "another login service")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [(500, b"{}", 503), (400, b"{}", 403), (200, b"{}", 503), (200, b"not JSON", 503)],
)
async def test_a_login_service_in_trouble(
    visitor: Visitor, provider: Provider, status: int, body: bytes, expected: int
) -> None:
    provider.token_status, provider.token_body = status, body
    back = provider.log_in(await visitor.begin(), "alice")
    await refused(visitor, back, expected, "The login service")


async def test_a_login_service_that_is_away(visitor: Visitor, provider: Provider) -> None:
    provider.is_reachable = False
    answer = await visitor.get("/ui/sign-in")
    assert answer.status_code == 503
    assert LOGIN_COOKIE not in visitor.client.cookies


@pytest.mark.parametrize(
    "wish",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/ui/../../evil",
        "javascript:alert(1)",
        "/ui/sign-out",
        "/\r\nSet-Cookie: a=b",
        " /ui/admin",
    ],
)
async def test_signing_in_leads_nowhere_else(visitor: Visitor, wish: str) -> None:
    answer = await visitor.sign_in("alice", wish=wish)
    assert answer.headers["location"] == "/"


async def test_signing_in_leads_back(visitor: Visitor) -> None:
    answer = await visitor.get("/ui/admin/users")
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/ui/sign-in?next=/ui/admin/users",
    )
    answer = await visitor.sign_in("ada", "maas-admins", wish="/ui/admin/users")
    assert answer.headers["location"] == "/ui/admin/users"


async def test_signing_out_of_the_login_service_too(visitor: Visitor, provider: Provider) -> None:
    provider.metadata = {"end_session_endpoint": "https://login.example.test/dex/end"}
    page = await visitor.see("/ui/signed-out")
    [link] = [a["href"] for a in page.all("a") if a["href"].startswith("https:")]
    assert link.startswith("https://login.example.test/dex/end?")
    assert parse_qs(urlsplit(link).query)["post_logout_redirect_uri"] == [f"{SITE}/"]


async def test_no_token_is_in_the_log(visitor: Visitor, site: Platform) -> None:
    await visitor.sign_in("alice", "tier-free-users")
    logs = site.logs.getvalue()
    assert "eyJ" not in logs
    assert SECRET not in logs
    assert visitor.client.cookies[SESSION_COOKIE] not in logs


async def test_too_many_groups_for_a_cookie(visitor: Visitor, site: Platform) -> None:
    names = [hashlib.sha256(str(index).encode()).hexdigest() for index in range(100)]
    await site.write_catalog([tier_entry("free", 0, names, ["gemma"])], revision="r2")
    await wait_for(lambda: site.application.view.revision == "r2")
    answer = await visitor.sign_in("alice", *names)
    assert answer.status_code == 403
    assert "more groups of this platform than a session can hold" in Page(answer.text).words
    assert SESSION_COOKIE not in visitor.client.cookies


async def test_groups_that_mean_nothing_here_take_no_room(visitor: Visitor) -> None:
    names = [hashlib.sha256(str(index).encode()).hexdigest() for index in range(1000)]
    answer = await visitor.sign_in("alice", *names, "tier-free-users")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_a_new_key_signs_nobody_out(
    visitor: Visitor, session_key: Path, settings: Settings
) -> None:
    await visitor.sign_in("alice", "tier-free-users")
    old = Sessions(read_keys(settings.session_key_file))
    new_keys = "n" * 64 + "\n" + session_key.read_text()
    session_key.write_text(new_keys)
    new = Sessions(read_keys(session_key))
    request = Request(
        {
            "type": "http",
            "headers": [
                (
                    b"cookie",
                    f"{SESSION_COOKIE}={visitor.client.cookies[SESSION_COOKIE]}".encode(),
                )
            ],
        }
    )
    held = new.read(request)
    assert held is not None
    assert held.user == "oidc:alice"
    response = Response()
    new.start(response, "oidc:bob", (), int(time.time()) + 60)
    value = response.headers["set-cookie"].partition(";")[0]
    made = Request({"type": "http", "headers": [(b"cookie", value.encode())]})
    assert new.read(made) is not None
    assert old.read(made) is None


async def test_a_key_that_leaked_is_worth_nothing_once_it_is_replaced(
    visitor: Visitor, site: Platform, session_key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await visitor.sign_in("alice", "tier-free-users")
    real = time.monotonic
    monkeypatch.setattr("maas_api.web.keys.time.monotonic", lambda: real() + 11)
    # A file that is no good ends no session.
    session_key.write_text("short\n")
    assert "Signed in as oidc:alice" in (await visitor.see("/")).words
    monkeypatch.setattr("maas_api.web.keys.time.monotonic", lambda: real() + 22)
    session_key.write_text("n" * 64 + "\n")
    assert "Signed in as" not in (await visitor.see("/")).words
    await visitor.sign_in("alice", "tier-free-users")
    assert "Signed in as oidc:alice" in (await visitor.see("/")).words
    assert "n" * 64 not in site.logs.getvalue()


@pytest.mark.parametrize("content", ["", "short\n", "k" * 64 + "\nshort\n", "\n\n"])
def test_a_key_that_could_be_guessed_is_refused(session_key: Path, content: str) -> None:
    session_key.write_text(content)
    with pytest.raises(SettingsError, match="at least 32 random characters"):
        read_keys(session_key)


def test_a_key_file_that_is_gone_is_refused(session_key: Path) -> None:
    session_key.unlink()
    with pytest.raises(SettingsError, match="cannot be read"):
        read_keys(session_key)
