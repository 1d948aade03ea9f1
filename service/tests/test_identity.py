# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Who is believed, and what for."""

from __future__ import annotations

import time

import anyio
import httpx
import pytest
from conftest import PREFIX, Platform, bearer, wait_for
from fake_kubernetes import API_SERVER_AUDIENCE, AUDIENCE, Issued, make_jwt

pytestmark = pytest.mark.anyio

PATHS = [
    ("GET", "/v1/models"),
    ("GET", "/v1/me"),
    ("GET", "/v1/tiers"),
    ("POST", "/v1/tokens"),
    ("DELETE", "/v1/tokens"),
]
CHANGES = PATHS[3:]
NOBODY = {
    "no header": {},
    "empty": {"Authorization": ""},
    "no token": {"Authorization": "Bearer"},
    "blank token": {"Authorization": "Bearer "},
    "another scheme": {"Authorization": "Basic YWxpY2U6c2VjcmV0"},
    "no scheme": {"Authorization": "login-alice"},
    "garbage": bearer("garbage"),
    "two words": bearer("good bad"),
    "not ASCII": {"Authorization": b"Bearer t\xc3\xb6ken"},
    "too long": bearer("a" * 20000),
    "not base64": bearer("a.!.c"),
    "no JSON": bearer("a.YWJj.c"),
    "forged": bearer(make_jwt(aud=[AUDIENCE], sub="system:serviceaccount:x:y")),
    "identity headers": {
        "X-MaaS-Username": "alice",
        "X-MaaS-Group": '["tier-premium-users"]',
        "X-Remote-User": "alice",
        "X-Forwarded-User": "alice",
    },
}


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize("headers", NOBODY.values(), ids=NOBODY.keys())
async def test_nobody(platform: Platform, method: str, path: str, headers: dict[str, str]) -> None:
    answer = await platform.client.request(method, path, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"] == "unauthorized"
    assert answer.headers["www-authenticate"] == 'Bearer realm="maas"'
    assert platform.kubernetes.accounts() == []


async def test_headers_change_nothing(platform: Platform, alice: str) -> None:
    headers = {
        **bearer(alice),
        "X-MaaS-Username": "carol",
        "X-MaaS-Group": '["tier-premium-users"]',
        "Impersonate-User": "carol",
        "Impersonate-Group": "tier-premium-users",
    }
    body = (await platform.client.get("/v1/me", headers=headers)).json()
    assert (body["user"], body["tier"]) == ("alice", "free")
    platform.kubernetes.calls.clear()


async def test_the_scheme_has_no_case(platform: Platform, alice: str) -> None:
    for scheme in ("bearer", "BEARER", "Bearer "):
        headers = {"Authorization": f"{scheme} {alice}"}
        assert (await platform.client.get("/v1/me", headers=headers)).status_code == 200


async def test_an_expired_token(platform: Platform, alice: str) -> None:
    token = (await platform.mint(alice))["token"]
    platform.kubernetes.tokens[token].expires_at = time.time() - 1
    assert (await platform.client.get("/v1/me", headers=bearer(token))).status_code == 401


@pytest.mark.parametrize(("method", "path"), CHANGES)
async def test_a_tier_token_changes_nothing(
    platform: Platform, alice: str, method: str, path: str
) -> None:
    token = (await platform.mint(alice))["token"]
    answer = await platform.client.request(method, path, headers=bearer(token))
    assert answer.status_code == 403
    assert answer.json()["error"] == "forbidden"
    assert len(platform.kubernetes.accounts()) == 1


@pytest.mark.parametrize("audiences", [[API_SERVER_AUDIENCE], [API_SERVER_AUDIENCE, AUDIENCE]])
@pytest.mark.parametrize(("method", "path"), CHANGES)
async def test_a_tier_account_changes_nothing_whatever_its_audience(
    platform: Platform, alice: str, audiences: list[str], method: str, path: str
) -> None:
    await platform.mint(alice)
    ((namespace, name),) = platform.kubernetes.accounts()
    token = platform.kubernetes.make_account_token(namespace, name, audiences)
    assert (await platform.client.get("/v1/me", headers=bearer(token))).json()["user"] == "alice"
    answer = await platform.client.request(method, path, headers=bearer(token))
    assert answer.status_code == 403


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_another_pods_account_with_our_audience_is_nobody_here(
    platform: Platform, method: str, path: str
) -> None:
    await platform.kubernetes.put("serviceaccounts", "default", "builder")
    token = platform.kubernetes.make_account_token("default", "builder", [AUDIENCE])
    answer = await platform.client.request(method, path, headers=bearer(token))
    assert answer.status_code == 403


async def test_an_account_in_a_namespace_of_no_tier_is_nobody(platform: Platform) -> None:
    await platform.kubernetes.put("serviceaccounts", PREFIX + "gone", "alice")
    token = platform.kubernetes.make_account_token(PREFIX + "gone", "alice", [API_SERVER_AUDIENCE])
    answer = await platform.client.get("/v1/me", headers=bearer(token))
    assert answer.status_code == 403


async def test_a_pipelines_account_is_a_login_like_any(platform: Platform) -> None:
    await platform.kubernetes.put("serviceaccounts", "ci", "runner")
    token = platform.kubernetes.make_account_token("ci", "runner", [API_SERVER_AUDIENCE])
    body = await platform.mint(token)
    assert (body["user"], body["tier"]) == ("system:serviceaccount:ci:runner", "free")


async def test_an_authenticator_that_knows_no_audiences_is_not_enough(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = make_jwt(aud=[AUDIENCE])
    platform.kubernetes.tokens[token] = Issued("alice", ["tier-premium-users"])
    real = platform.kubernetes._review

    def review(body: dict[str, dict[str, object]]) -> object:
        body["spec"].pop("audiences")
        return real(body)

    monkeypatch.setattr(platform.kubernetes, "_review", review)
    answer = await platform.client.get("/v1/me", headers=bearer(token))
    assert answer.status_code == 401


async def test_the_anonymous_user_is_nobody_though_a_review_vouches_for_it(
    platform: Platform,
) -> None:
    platform.kubernetes.tokens["odd"] = Issued("system:anonymous", ["system:unauthenticated"])
    answer = await platform.client.get("/v1/me", headers=bearer("odd"))
    assert answer.status_code == 401


async def test_a_revoked_token_is_dead_though_the_api_server_remembers_it(
    platform: Platform, alice: str
) -> None:
    platform.kubernetes.remembers_tokens = True
    token = (await platform.mint(alice))["token"]
    ((namespace, name),) = platform.kubernetes.accounts()
    account = platform.account_of(token)
    accounts = platform.application.view.accounts
    await wait_for(lambda: accounts.known(namespace, name, account["uid"]))
    await platform.kubernetes.remove("serviceaccounts", namespace, name)
    await wait_for(lambda: not accounts.known(namespace, name, account["uid"]))
    answer = await platform.client.get("/v1/models", headers=bearer(token))
    assert answer.status_code == 401


async def test_no_review_no_entry(platform: Platform, alice: str) -> None:
    platform.kubernetes.fail("POST", "tokenreviews", 500)
    answer = await platform.client.get("/v1/me", headers=bearer(alice))
    assert answer.status_code == 503
    platform.transport.cut()
    answer = await platform.client.get("/v1/me", headers=bearer(alice))
    assert answer.status_code == 503


async def test_an_account_of_the_cluster_named_like_the_providers(platform: Platform) -> None:
    # Both would have one account: each could revoke the other's tokens.
    await platform.mint(platform.provider.token("tier-free-users"))
    login = platform.kubernetes.log_in("oidc:alice", "tier-free-users")
    answer = await platform.client.delete("/v1/tokens", headers=bearer(login))
    assert answer.status_code == 403
    assert "oidc:" in answer.json()["message"]
    assert len(platform.kubernetes.accounts()) == 1


async def test_the_same_provider_for_the_api_server(platform: Platform) -> None:
    # kubectl's client of the provider that our own client is of, too.
    token = platform.provider.token("tier-free-users", aud="kubernetes")
    platform.kubernetes.tokens[token] = Issued("bob", ["tier-free-users"])
    answer = await platform.client.get("/v1/me", headers=bearer(token))
    assert (answer.status_code, answer.json()["user"]) == (200, "bob")


def reviews(platform: Platform) -> int:
    return sum(path.endswith("/tokenreviews") for _, path in platform.kubernetes.calls)


async def test_nonsense_is_not_asked_about_twice(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        assert (await platform.client.get("/v1/me", headers=bearer("junk"))).status_code == 401
    assert reviews(platform) == 1
    real = time.monotonic
    monkeypatch.setattr("maas_api.reviews.time.monotonic", lambda: real() + 6)
    await platform.client.get("/v1/me", headers=bearer("junk"))
    assert reviews(platform) == 2


async def test_a_good_token_is_asked_about_each_time(platform: Platform, alice: str) -> None:
    for _ in range(2):
        assert (await platform.client.get("/v1/me", headers=bearer(alice))).status_code == 200
    assert reviews(platform) == 2
    del platform.kubernetes.tokens[alice]
    assert (await platform.client.get("/v1/me", headers=bearer(alice))).status_code == 401


async def test_a_flood_of_nonsense_is_bounded(platform: Platform) -> None:
    go_on, most, under_way = anyio.Event(), 0, 0

    async def wait() -> None:
        nonlocal most, under_way
        under_way += 1
        most = max(most, under_way)
        await go_on.wait()
        under_way -= 1

    platform.kubernetes.before_review = wait
    answers: list[httpx.Response] = []

    async def ask(number: int) -> None:
        header = bearer(f"junk{number}")
        answers.append(await platform.client.get("/v1/me", headers=header))

    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(ask, number)
        await wait_for(lambda: len(answers) == 88)
        go_on.set()
    assert most == 12
    refused = [answer for answer in answers if answer.status_code == 503]
    assert len(refused) == 88
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert {answer.status_code for answer in answers} == {401, 503}


def of(client: str, token: str) -> dict[str, str]:
    """Return the headers of a request that the gateway had from this address."""
    return {**bearer(token), "X-Forwarded-For": client}


async def flood(platform: Platform, client: str, many: int, start: int = 0) -> list[int]:
    """Bring so many different tokens that are no good; return the answers."""
    return [
        (await platform.client.get("/v1/me", headers=of(client, f"junk{number}"))).status_code
        for number in range(start, start + many)
    ]


async def test_one_address_may_guess_so_often(platform: Platform, alice: str, carol: str) -> None:
    me = "/v1/me"
    assert (await platform.client.get(me, headers=of("198.51.100.7", alice))).status_code == 200
    before = reviews(platform)
    assert await flood(platform, "198.51.100.7", 200) == [401] * 120 + [429] * 80
    assert reviews(platform) - before == 120

    refused = await platform.client.get(me, headers=of("198.51.100.7", carol))
    assert (refused.status_code, refused.json()["error"]) == (429, "too_many_requests")
    assert refused.headers["retry-after"] == "1"
    # Whoever worked here before goes on; so do other addresses.
    assert (await platform.client.get(me, headers=of("198.51.100.7", alice))).status_code == 200
    assert (await platform.client.get(me, headers=of("198.51.100.8", carol))).status_code == 200
    # What was found no good is remembered, and nobody is asked.
    assert await flood(platform, "198.51.100.7", 1, start=119) == [401]
    assert platform.metric("maas_api_token_reviews_total", result="not_asked") == 81
    (line,) = [
        line for line in platform.log_lines() if line["event"] == "too many tokens that are no good"
    ]
    assert (line["client"], line["everybody"]) == ("198.51.100.7", False)


async def test_what_clients_say_of_their_address_counts_for_nothing(platform: Platform) -> None:
    answers = [
        await platform.client.get(
            "/v1/me", headers=of(f"203.0.113.{number % 250}, 198.51.100.7", f"junk{number}")
        )
        for number in range(125)
    ]
    assert [answer.status_code for answer in answers] == [401] * 120 + [429] * 5


async def test_many_addresses_together_may_not_guess_without_end(platform: Platform) -> None:
    before = reviews(platform)
    for number in range(1300):
        await flood(platform, f"2001:db8:{number:x}::1", 1, start=number)
    # Some of the allowance came back meanwhile: 20 a second.
    assert 1200 <= reviews(platform) - before < 1300


async def test_one_customer_has_many_ipv6_addresses(platform: Platform) -> None:
    answers = [
        (await flood(platform, f"2001:db8:0:1:{number:x}::1", 1, start=number))[0]
        for number in range(125)
    ]
    assert answers == [401] * 120 + [429] * 5


async def test_strangers_do_not_take_all_the_turns(platform: Platform, alice: str) -> None:
    assert (await platform.client.get("/v1/me", headers=bearer(alice))).status_code == 200
    go_on, under_way = anyio.Event(), 0

    async def wait() -> None:
        nonlocal under_way
        under_way += 1
        if under_way <= 12:
            await go_on.wait()

    platform.kubernetes.before_review = wait
    async with anyio.create_task_group() as group:
        group.start_soon(flood_at_once, platform, 12)
        await wait_for(lambda: under_way == 12)
        assert (await platform.client.get("/v1/me", headers=bearer(alice))).status_code == 200
        go_on.set()


async def flood_at_once(platform: Platform, many: int) -> None:
    async with anyio.create_task_group() as group:
        for number in range(many):
            group.start_soon(flood, platform, "198.51.100.7", 1, number)


async def test_a_token_that_says_it_is_old_is_not_asked_about(platform: Platform) -> None:
    before = reviews(platform)
    for expiry in (0, time.time() - 120, -1e308):
        old = make_jwt(aud=["x"], exp=expiry)
        assert (await platform.client.get("/v1/me", headers=bearer(old))).status_code == 401
    assert reviews(platform) == before
    # Clocks differ; within a minute the API server's counts.
    young = make_jwt(aud=["x"], exp=time.time() - 5)
    assert (await platform.client.get("/v1/me", headers=bearer(young))).status_code == 401
    assert reviews(platform) == before + 1
