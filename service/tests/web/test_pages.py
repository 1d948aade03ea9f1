# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What the pages say, to whom, and the headers that they all have."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable
from typing import Any

import pytest
from conftest import PREFIX, Platform, bearer, tier_entry, wait_for
from maas_api.errors import ApiError
from maas_api.messages import UsageHistory, UsageSeries
from maas_api.models import Model
from maas_api.shared._accounts import account_name
from maas_api.web.snippets import callable_model, curl, python

from web.conftest import ADMINS
from web.provider import Provider, counter
from web.visitor import SITE, Page, Visitor

pytestmark = pytest.mark.anyio

EVERYBODYS = ["/", "/ui/signed-out", "/ui/callback", "/ui/nothing", "/ui/static/nothing", "/ui/"]
USERS = ["/", "/ui/usage", "/ui/tokens/revoke"]
ADMINS_PAGES = [
    "/ui/admin",
    "/ui/admin/users",
    "/ui/admin/users/revoke?user=nobody",
    "/ui/admin/usage",
]


def check_headers(headers: Any) -> None:
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize("path", [*EVERYBODYS, *USERS, *ADMINS_PAGES, "/ui/sign-in"])
@pytest.mark.parametrize("who", ["nobody", "user", "admin"])
async def test_every_page_keeps_the_browser_in_bounds(
    visitors: Callable[[], Visitor], path: str, who: str
) -> None:
    visitor = visitors()
    if who != "nobody":
        groups = ["tier-free-users"] if who == "user" else [ADMINS]
        await visitor.sign_in(who, *groups)
    answer = await visitor.get(path)
    check_headers(answer.headers)
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/", *USERS, *ADMINS_PAGES])
async def test_pages_need_nothing_inline_and_nothing_from_elsewhere(
    ada: Visitor, path: str
) -> None:
    page = Page((await ada.get(path)).text)
    for tag, attributes in page.tags:
        assert not {name for name in attributes if name == "style" or name.startswith("on")}
        if tag == "script":
            assert attributes["src"].startswith("/ui/static/")
        for name in ("src", "href", "action"):
            assert attributes.get(name, "/").startswith(("/", "#")), attributes
    assert page.all("style") == []


async def test_static_files(visitor: Visitor) -> None:
    page = await visitor.see("/")
    addresses = [link["href"] for link in page.all("link")]
    addresses += [script["src"] for script in page.all("script")]
    kinds = {}
    for address in addresses:
        answer = await visitor.get(address)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"
        kinds[address.split("?")[0]] = answer.headers["content-type"].split(";")[0]
        unversioned = await visitor.get(address.split("?")[0])
        assert unversioned.headers["cache-control"] == "no-cache"
    assert kinds == {
        "/ui/static/icon.svg": "image/svg+xml",
        "/ui/static/app.css": "text/css",
        "/ui/static/app.js": "text/javascript",
    }


@pytest.mark.parametrize("path", ["/ui/static/../render.py", "/ui/static/%2e%2e%2frender.py"])
async def test_only_static_files_are_files(visitor: Visitor, path: str) -> None:
    assert (await visitor.get(path)).status_code == 404


@pytest.mark.parametrize("path", [*USERS[2:], *ADMINS_PAGES])
async def test_pages_that_need_somebody_ask_for_a_sign_in(visitor: Visitor, path: str) -> None:
    answer = await visitor.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/ui/sign-in?next={path.split('?')[0]}"


@pytest.mark.parametrize("path", ADMINS_PAGES)
async def test_pages_for_administrators(alice: Visitor, path: str) -> None:
    page = await alice.see(path, 403)
    assert "for administrators" in page.words
    assert "/ui/admin" not in [a["href"] for a in page.all("a")]


async def test_revoking_for_others_is_for_administrators(alice: Visitor, site: Platform) -> None:
    await alice.submit("/", "/ui/tokens", lifetime="3600")
    token = (await alice.see("/")).forms["/ui/tokens"]["csrf_token"]
    answer = await alice.post("/ui/admin/users/revoke", {"csrf_token": token, "user": "oidc:alice"})
    assert answer.status_code == 403
    assert len(site.kubernetes.accounts()) == 1


async def test_the_overview(alice: Visitor) -> None:
    page = await alice.see("/")
    assert "5 requests per 2 minutes" in page.words
    assert "100 tokens per minute" in page.words
    assert "gemma-3-270m" in page.words
    assert "gemma-large" not in page.words
    assert page.forms["/ui/tokens"]["(chosen)"] == "14400"
    choices = [option["value"] for option in page.all("option")]
    assert choices == ["600", "3600", "14400", "43200", "86400"]
    assert "https://maas.example.test:8443/v1/chat/completions" in page.text
    assert "https://maas.example.test:8443/llm/gemma/v1/chat" not in page.text
    assert f"{SITE}/llm/gemma/v1" in page.text


async def test_without_a_tier_there_is_nothing_to_make(
    visitors: Callable[[], Visitor], site: Platform
) -> None:
    tiers = [tier_entry("free", 0, ["tier-free-users"], ["gemma"])]
    await site.write_catalog(tiers, revision="r2")
    await wait_for(lambda: site.application.view.revision == "r2")
    mallory = visitors()
    await mallory.sign_in("mallory")
    page = await mallory.see("/")
    assert "You have no tier" in page.words
    assert "/ui/tokens" not in page.forms


async def test_use_of_the_limits(alice: Visitor, provider: Provider) -> None:
    account = f"system:serviceaccount:{PREFIX}free:{account_name('oidc:alice')}"
    assert provider.counters is not None
    provider.counters += [
        counter(account, "requests", "free", (5, 120), 2, 88),
        counter(account, "tokens", "free", (100, 60), -12, 34),
    ]
    page = await alice.see("/")
    assert "3 used, 2 left starts anew in 1 min 28 s" in page.words
    assert "112 used, 0 left starts anew in 34 s" in page.words
    assert page.words.count("Limit reached") == 1
    meters = [(meter["value"], meter["max"]) for meter in page.all("meter")]
    assert meters == [("3", "5"), ("100", "100")]
    assert "Limit reached" in (await alice.see("/ui/usage")).words


async def test_limits_stand_where_their_use_is_unknown(alice: Visitor, provider: Provider) -> None:
    provider.counters = None
    page = await alice.see("/")
    assert "cannot be read at this moment" in page.words
    assert "5 requests per 2 minutes" in page.words
    assert page.all("meter") == []


async def test_fresh_numbers_are_for_those_signed_in(visitor: Visitor) -> None:
    assert (await visitor.get("/ui/usage")).status_code == 403


async def test_making_a_token(alice: Visitor, site: Platform) -> None:
    answer = await alice.submit("/", "/ui/tokens", lifetime="3600")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    page = Page(answer.text)
    match = re.search(r"eyJ[\w.-]+", page.text)
    assert match
    assert "Lifetime 1 h" in page.words
    me = await alice.client.get("/v1/me", headers=bearer(match[0]))
    assert (me.json()["user"], me.json()["kind"]) == ("oidc:alice", "tier-token")
    assert match[0] not in (await alice.get("/")).text
    assert match[0] not in site.logs.getvalue()
    [line] = [line for line in site.audit_lines() if line["action"] == "token.mint"]
    assert (line["result"], line["user"], line["via"]) == ("done", "oidc:alice", "web")


@pytest.mark.parametrize("lifetime", ["", "599", "86401", "-600", "4h", "1e9", "٣٦٠٠", "9" * 30])
async def test_a_lifetime_out_of_bounds(alice: Visitor, site: Platform, lifetime: str) -> None:
    answer = await alice.submit("/", "/ui/tokens", lifetime=lifetime)
    assert answer.status_code == 400
    assert site.kubernetes.accounts() == []


async def test_revoking_ones_own_tokens(alice: Visitor, site: Platform) -> None:
    token = re.search(r"eyJ[\w.-]+", (await alice.submit("/", "/ui/tokens", lifetime="3600")).text)
    assert token
    assert "cannot be undone" in (await alice.see("/ui/tokens/revoke")).words
    answer = await alice.submit("/ui/tokens/revoke", "/ui/tokens/revoke")
    assert answer.status_code == 200
    assert "Tokens revoked" in Page(answer.text).words
    assert (await alice.client.get("/v1/me", headers=bearer(token[0]))).status_code == 401
    again = await alice.submit("/ui/tokens/revoke", "/ui/tokens/revoke")
    assert "There was nothing to revoke" in Page(again.text).words


async def test_an_administrator_sees_tiers_and_drift(ada: Visitor, site: Platform) -> None:
    page = await ada.see("/ui/admin")
    assert "does not enforce what the catalog says" in page.words
    for resource, name in [
        ("authpolicies", "gateway-auth-policy"),
        ("ratelimitpolicies", "gateway-rate-limits"),
        ("tokenratelimitpolicies", "gateway-token-rate-limits"),
    ]:
        conditions = [{"type": kind, "status": "True"} for kind in ("Accepted", "Enforced")]
        await site.kubernetes.put(
            resource,
            "maas-gateway",
            name,
            metadata={"annotations": {"maas.platform/revision": "r1"}},
            status={"conditions": conditions},
        )
    page = await ada.see("/ui/admin")
    assert "In order." in page.words
    assert "tier-premium-users" in page.words
    assert "unlimited tokens" in page.words


async def test_an_administrator_finds_and_revokes_a_user(
    ada: Visitor, alice: Visitor, site: Platform
) -> None:
    await alice.submit("/", "/ui/tokens", lifetime="3600")
    accounts = site.application.view.accounts.watches[f"{PREFIX}free"]
    assert accounts is not None
    await wait_for(lambda: accounts.items)
    assert "1 user " in (await ada.see("/ui/admin/users?q=ALI&tier=free")).words
    assert "0 users" in (await ada.see("/ui/admin/users?q=carol")).words
    assert "0 users" in (await ada.see("/ui/admin/users?tier=premium")).words
    address = "/ui/admin/users/revoke"
    assert (await ada.get(f"{address}?user=oidc:nobody")).status_code == 404
    answer = await ada.submit(f"{address}?user=oidc:alice", address)
    assert answer.status_code == 200
    assert "No token of oidc:alice works any more" in Page(answer.text).words
    assert site.kubernetes.accounts() == []
    line = site.audit_lines()[-1]
    assert (line["action"], line["user"], line["owner"]) == (
        "token.revoke",
        "oidc:ada",
        "oidc:alice",
    )


async def test_many_users_come_in_pages(ada: Visitor, site: Platform) -> None:
    for index in range(60):
        name = account_name(f"user-{index:02}")
        await site.kubernetes.put(
            "serviceaccounts",
            f"{PREFIX}free",
            name,
            metadata={
                "labels": {"maas.platform/account": "true"},
                "annotations": {"maas.platform/user": f"user-{index:02}"},
            },
        )
    accounts = site.application.view.accounts.watches[f"{PREFIX}free"]
    assert accounts is not None
    await wait_for(lambda: len(accounts.items) == 60)
    first, second = [await ada.see(f"/ui/admin/users?page={number}") for number in (1, 2)]
    assert "60 users, page 1 of 2" in first.words
    assert "user-49" in first.words
    assert "user-50" not in first.words
    assert "user-50" in second.words
    assert "page 2 of 2" in (await ada.see("/ui/admin/users?page=99")).words
    for wrong in ("0", "-1", "x", "9" * 50, ""):
        assert "page 1 of 2" in (await ada.see(f"/ui/admin/users?page={wrong}")).words


async def test_no_source_of_usage(ada: Visitor) -> None:
    page = await ada.see("/ui/admin/usage?measure=nonsense&by=nonsense&hours=nonsense")
    assert "No usage data source configured" in page.words


async def test_usage_over_time(
    ada: Visitor, site: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    async def read(_caller: Any, by: str, measure: str, hours: int, _origin: Any) -> UsageHistory:
        asked.append((by, measure, hours))
        return UsageHistory(0, 60, [UsageSeries("gemma", [1, 3]), UsageSeries("others", [0, 1])])

    monkeypatch.setattr(site.application.services.desk, "usage_over_time", read)
    page = await ada.see("/ui/admin/usage?measure=requests&by=model&hours=1")
    assert asked == [("model", "requests", 1)]
    assert "Requests by model, last hour" in page.words
    assert len([rect for rect in page.all("rect") if "x" in rect]) == 3
    assert "gemma 4 80.0 % others 1 20.0 % All 5 100 %" in page.words


async def test_usage_that_cannot_be_read(
    ada: Visitor, site: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read(*_: Any) -> UsageHistory:
        raise ApiError(503, "Prometheus does not answer.")

    monkeypatch.setattr(site.application.services.desk, "usage_over_time", read)
    page = await ada.see("/ui/admin/usage")
    assert "Usage cannot be read Prometheus does not answer." in page.words


async def test_what_breaks_is_told_as_a_page(
    alice: Visitor, monkeypatch: pytest.MonkeyPatch, site: Platform
) -> None:
    def break_down(*_: Any) -> Any:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(site.application.services.desk, "me", break_down)
    answer = await alice.get("/")
    assert answer.status_code == 500
    assert "a secret detail" not in answer.text
    assert "Something broke here" in Page(answer.text).words
    check_headers(answer.headers)


async def test_before_there_is_a_catalog(
    alice: Visitor, site: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.application.view.catalogs, "current", None)
    answer = await alice.get("/")
    assert answer.status_code == 503
    assert answer.headers["content-type"].startswith("text/html")


def test_without_a_base_url_a_model_has_its_own_alone() -> None:
    model = Model("gemma", 0, "llm", "https://maas.example.test/llm/gemma", True)
    shown = callable_model(model, has_base_url=False)
    assert shown.base_url == shown.own_url == "https://maas.example.test/llm/gemma/v1"
    assert f"{shown.own_url}/chat/completions" in shown.curl
    assert callable_model(model, has_base_url=True).base_url == "https://maas.example.test/v1"


def test_snippets_run() -> None:
    words = shlex.split(curl('it\'s "a" model', "https://maas.example.test/llm/$(reboot)/v1"))
    assert words[:2] == ["curl", "https://maas.example.test/llm/$(reboot)/v1/chat/completions"]
    assert ast.literal_eval(words[-1])["model"] == 'it\'s "a" model'
    tree = ast.parse(python('it\'s "a" model\n', "https://maas.example.test/llm/m/v1"))
    values = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    assert 'it\'s "a" model\n' in values


@pytest.mark.parametrize("path", ["/ui/admin", "/ui/admin/users", "/ui/admin/usage"])
async def test_who_is_turned_away_is_noted(alice: Visitor, site: Platform, path: str) -> None:
    await alice.see(path, 403)
    line = site.audit_lines()[-1]
    assert (line["action"], line["result"], line["user"]) == (
        "web.admin",
        "refused",
        "oidc:alice",
    )
    assert line["via"] == "web"
