# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Logins of an OpenID Connect provider, beside the cluster's own."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio
import httpx
import jwt
import pytest
from conftest import PREFIX, Platform, bearer
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fake_others import (
    CLIENT_ID,
    EC_KEY,
    ED_KEY,
    ISSUER,
    OTHER_RSA_KEY,
    RSA_KEY,
    FakeProvider,
    public,
)
from maas_api.errors import ApiError
from maas_api.metrics import Metrics
from maas_api.oidc import Oidc
from maas_api.settings import OidcSettings

pytestmark = pytest.mark.anyio

SETTINGS = OidcSettings(issuer=ISSUER, client_id=CLIENT_ID)


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider()


@pytest.fixture
def oidc(provider: FakeProvider) -> Oidc:
    return make(provider)


def make(provider: FakeProvider, **settings: Any) -> Oidc:
    client = httpx.AsyncClient(transport=httpx.MockTransport(provider.answer))
    return Oidc(replace(SETTINGS, **settings), Metrics(), client)


async def status(oidc: Oidc, token: str, nonce: str | None = None) -> int:
    with pytest.raises(ApiError) as caught:
        await oidc.verify(token, nonce)
    return caught.value.status


def age(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a way to let time pass for the keys, not for the event loop."""
    passed = [0.0]
    real = time.monotonic
    monkeypatch.setattr("maas_api.oidc.time.monotonic", lambda: real() + passed[0])

    def by(seconds: float) -> None:
        passed[0] += seconds

    return by


# Who comes in, and as whom


async def test_alice_of_the_provider_is_not_alice_of_the_cluster(
    platform: Platform, alice: str
) -> None:
    token = platform.provider.token("tier-premium-users")
    body = await platform.mint(token)
    assert (body["user"], body["tier"]) == ("oidc:alice", "premium")
    own = await platform.mint(alice)
    assert (own["user"], own["tier"]) == ("alice", "free")
    assert len(platform.kubernetes.accounts()) == 2
    answer = await platform.client.delete("/v1/tokens", headers=bearer(token))
    assert answer.status_code == 204
    ((namespace, name),) = platform.kubernetes.accounts()
    assert (namespace, name.startswith("alice-")) == (PREFIX + "free", True)


async def test_a_login_costs_no_review(platform: Platform) -> None:
    token = platform.provider.token()
    platform.kubernetes.calls.clear()
    me = (await platform.client.get("/v1/me", headers=bearer(token))).json()
    assert (me["user"], me["kind"], me["tier"], me["admin"]) == (
        "oidc:alice",
        "login",
        "free",
        False,
    )
    assert platform.kubernetes.calls == []


async def test_an_administrator(platform: Platform) -> None:
    token = platform.provider.token("maas-admins")
    answer = await platform.client.get("/v1/admin/users", headers=bearer(token))
    assert answer.status_code == 200


async def test_another_issuers_token_is_the_clusters_business(platform: Platform) -> None:
    token = platform.provider.token(iss="https://elsewhere.example.test")
    answer = await platform.client.get("/v1/me", headers=bearer(token))
    assert answer.status_code == 401
    assert platform.provider.calls == []


async def test_a_bad_one_is_not_reviewed_by_the_cluster(platform: Platform) -> None:
    token = platform.provider.token(key=OTHER_RSA_KEY)
    platform.kubernetes.calls.clear()
    answer = await platform.client.get("/v1/me", headers=bearer(token))
    assert answer.status_code == 401
    assert answer.json()["error"] == "unauthorized"
    assert platform.kubernetes.calls == []


async def test_while_the_provider_is_down_nobody_is_let_in(platform: Platform) -> None:
    platform.provider.is_up = False
    token = platform.provider.token()
    answer = await platform.client.get("/v1/me", headers=bearer(token))
    assert (answer.status_code, answer.json()["error"]) == (503, "unavailable")


# Names


async def test_names_carry_their_prefixes(provider: FakeProvider) -> None:
    oidc = make(provider, username_claim="email", username_prefix="corp/", groups_prefix="corp:")
    token = provider.token("devs", email="alice@example.test", email_verified=True)
    identity = await oidc.verify(token)
    assert identity.user == "corp/alice@example.test"
    assert identity.groups == ("corp:devs", "system:authenticated")


async def test_one_group_may_come_as_text(provider: FakeProvider) -> None:
    oidc = make(provider, groups_claim="role")
    identity = await oidc.verify(provider.token(role="devs"))
    assert identity.groups == ("devs", "system:authenticated")


async def test_no_groups_are_no_error(oidc: Oidc, provider: FakeProvider) -> None:
    identity = await oidc.verify(provider.token(drop=("groups",)))
    assert identity.groups == ("system:authenticated",)


async def test_the_clusters_own_groups_are_not_the_providers_to_give(
    oidc: Oidc, provider: FakeProvider
) -> None:
    token = provider.token("system:masters", "system:authenticated", "devs")
    assert (await oidc.verify(token)).groups == ("devs", "system:authenticated")


@pytest.mark.parametrize(
    ("settings", "claims"),
    [
        ({}, {"sub": ""}),
        ({}, {"sub": " "}),
        ({"username_claim": "email"}, {}),
        ({"username_claim": "email"}, {"email": "a@example.test", "email_verified": False}),
        ({"username_claim": "email"}, {"email": "a@example.test", "email_verified": "true"}),
        ({"username_claim": "uid"}, {"uid": 7}),
        ({"username_claim": "name", "username_prefix": ""}, {"name": "system:admin"}),
        ({}, {"groups": [1]}),
        ({}, {"groups": {"devs": True}}),
    ],
)
async def test_names_that_are_none(
    provider: FakeProvider, settings: dict[str, Any], claims: dict[str, Any]
) -> None:
    assert await status(make(provider, **settings), provider.token(**claims)) == 401


# What is believed


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (RSA_KEY, "RS256"),
        (RSA_KEY, "RS512"),
        (RSA_KEY, "PS256"),
        (EC_KEY, "ES256"),
        (ED_KEY, "EdDSA"),
    ],
)
async def test_algorithms(oidc: Oidc, provider: FakeProvider, key: Any, algorithm: str) -> None:
    provider.keys = [public(key, "k", algorithm)]
    token = provider.token(key=key, kid="k", algorithm=algorithm)
    assert (await oidc.verify(token)).user == "oidc:alice"


def now(seconds: float) -> int:
    return int(time.time() + seconds)


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another-client"},
        {"aud": []},
        {"aud": [CLIENT_ID, "others"], "azp": "others"},
        {"iss": ISSUER + "/"},
        {"exp": -60},
        {"nbf": 300},
        {"iat": 300},
        {"exp": "tomorrow"},
        {"drop": ("exp",)},
        {"drop": ("aud",)},
        {"drop": ("iat",)},
        {"drop": ("sub",)},
        {"key": OTHER_RSA_KEY},
        {"kid": "unheard-of"},
        {"key": EC_KEY, "algorithm": "ES256"},
    ],
)
async def test_refused(oidc: Oidc, provider: FakeProvider, claims: dict[str, Any]) -> None:
    claims = {key: now(value) if isinstance(value, int) else value for key, value in claims.items()}
    assert await status(oidc, provider.token(**claims)) == 401


async def test_clocks_may_differ_a_little(oidc: Oidc, provider: FakeProvider) -> None:
    assert (await oidc.verify(provider.token(exp=now(-20), nbf=now(20)))).user == "oidc:alice"


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
async def test_no_signature_and_shared_secrets_are_refused(
    oidc: Oidc, provider: FakeProvider, algorithm: str
) -> None:
    """The public key is public: who takes it for a secret lets everybody sign."""
    good = provider.token()
    await oidc.verify(good)
    pem = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    claims = jwt.decode(good, options={"verify_signature": False})
    header = {"alg": algorithm, "kid": "one", "typ": "JWT"}
    encoded = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in (header, claims)
    ]
    signed = ".".join(encoded)
    if algorithm == "HS256":
        algorithm_of = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
        signature = base64.urlsafe_b64encode(algorithm_of.sign(signed.encode(), pem))
        forged = f"{signed}.{signature.decode().rstrip('=')}"
    else:
        forged = f"{signed}."
    assert await status(oidc, forged) == 401


@pytest.mark.parametrize("header", [{"jwk": {"kty": "oct", "k": "c2VjcmV0"}}, {"jku": "https://x"}])
async def test_keys_in_the_token_are_not_used(
    oidc: Oidc, provider: FakeProvider, header: dict[str, Any]
) -> None:
    claims = jwt.decode(provider.token(), options={"verify_signature": False})
    token = jwt.encode(claims, OTHER_RSA_KEY, "RS256", headers={**header, "kid": "one"})
    assert await status(oidc, token) == 401
    assert [call.rpartition("/")[2] for call in provider.calls] == [
        "openid-configuration",
        "keys",
    ]


@pytest.mark.parametrize("token", ["a.b.c", "", "..", "no-jwt", "eyJhbGciOiJSUzI1NiJ9.e30.AAAA"])
async def test_no_tokens_at_all(oidc: Oidc, token: str) -> None:
    assert await status(oidc, token) == 401


async def test_a_nonce_must_be_the_logins(oidc: Oidc, provider: FakeProvider) -> None:
    assert (await oidc.verify(provider.token(nonce="n1"), "n1")).user == "oidc:alice"
    assert await status(oidc, provider.token(nonce="n2"), "n1") == 401
    assert await status(oidc, provider.token(), "n1") == 401


async def test_a_key_for_another_algorithm(oidc: Oidc, provider: FakeProvider) -> None:
    provider.keys = [public(RSA_KEY, "one", alg="RS512")]
    assert await status(oidc, provider.token()) == 401


async def test_keys_to_encrypt_with_are_not_for_signatures(
    oidc: Oidc, provider: FakeProvider
) -> None:
    provider.keys = [{**public(RSA_KEY, "one"), "use": "enc"}]
    assert await status(oidc, provider.token()) == 503


@pytest.mark.parametrize("kid", [None, "one"])
async def test_one_key_needs_no_id(oidc: Oidc, provider: FakeProvider, kid: str | None) -> None:
    provider.keys = [public(RSA_KEY, kid)]
    assert (await oidc.verify(provider.token(kid=None))).user == "oidc:alice"
    provider.keys.append(public(OTHER_RSA_KEY, "two"))
    assert await status(make(provider), provider.token(kid=None)) == 401


# Rotation


async def test_a_new_key_is_found(
    oidc: Oidc, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    pass_time = age(monkeypatch)
    await oidc.verify(provider.token())
    provider.keys = [public(OTHER_RSA_KEY, "two")]
    token = provider.token(key=OTHER_RSA_KEY, kid="two")
    pass_time(11)
    assert (await oidc.verify(token)).user == "oidc:alice"
    # The old key is gone with its publication.
    assert await status(oidc, provider.token()) == 401


async def test_made_up_key_ids_do_not_flood_the_provider(
    oidc: Oidc, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    pass_time = age(monkeypatch)
    await oidc.verify(provider.token())
    provider.calls.clear()
    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(status, oidc, provider.token(kid=f"made-up-{number}"))
    assert provider.calls == []
    pass_time(11)
    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(status, oidc, provider.token(kid=f"made-up-{number}"))
    assert len(provider.calls) == 1


async def test_many_first_logins_ask_once(oidc: Oidc, provider: FakeProvider) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(oidc.verify, provider.token())
    assert len(provider.calls) == 2


async def test_known_keys_outlive_an_outage(
    oidc: Oidc, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    pass_time = age(monkeypatch)
    token = provider.token(exp=now(100_000))
    await oidc.verify(token)
    provider.is_up = False
    pass_time(4000)
    assert (await oidc.verify(token)).user == "oidc:alice"


async def test_after_an_outage_it_works_again(
    oidc: Oidc, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    pass_time = age(monkeypatch)
    provider.is_up = False
    assert await status(oidc, provider.token()) == 503
    provider.is_up = True
    pass_time(11)
    assert (await oidc.verify(provider.token())).user == "oidc:alice"


# The provider itself


async def test_a_provider_of_another_name_is_not_believed(
    oidc: Oidc, provider: FakeProvider
) -> None:
    provider.metadata["issuer"] = "https://evil.example.test"
    assert await status(oidc, provider.token()) == 503


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"issuer": 1}', b'{"issuer": "\xff"}'])
async def test_nonsense_from_the_provider(text: bytes) -> None:
    client = httpx.AsyncClient(
        transport=httpx.MockTransport(lambda _: httpx.Response(200, content=text))
    )
    assert await status(Oidc(SETTINGS, Metrics(), client), FakeProvider().token()) == 503


async def test_an_endless_answer_is_cut(provider: FakeProvider) -> None:
    client = httpx.AsyncClient(
        transport=httpx.MockTransport(lambda _: httpx.Response(200, content=b" " * (2 << 20)))
    )
    assert await status(Oidc(SETTINGS, Metrics(), client), provider.token()) == 503


async def test_the_way_inside_the_cluster(provider: FakeProvider) -> None:
    oidc = make(provider, backend_url="http://dex.login.svc:5556/dex")
    await oidc.verify(provider.token())
    assert provider.calls == [
        "http://dex.login.svc:5556/dex/.well-known/openid-configuration",
        "http://dex.login.svc:5556/dex/keys",
    ]
    metadata = await oidc.metadata()
    assert metadata.token_endpoint == "http://dex.login.svc:5556/dex/token"
    assert metadata.authorization_endpoint == f"{ISSUER}/auth"


async def test_metadata_while_the_provider_is_down(oidc: Oidc, provider: FakeProvider) -> None:
    provider.is_up = False
    with pytest.raises(ApiError) as caught:
        await oidc.metadata()
    assert caught.value.status == 503


async def test_many_who_wait_for_a_silent_provider_wait_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pass_time = age(monkeypatch)
    asked = []

    async def time_out(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        await anyio.sleep(0.05)
        # Longer than the pause between two attempts.
        pass_time(3)
        raise httpx.ConnectTimeout("", request=request)

    oidc = Oidc(SETTINGS, Metrics(), httpx.AsyncClient(transport=httpx.MockTransport(time_out)))

    async def ask() -> None:
        with pytest.raises(ApiError):
            await oidc.metadata()

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(ask)
    assert len(asked) == 1


async def test_known_keys_do_not_wait_for_a_silent_provider(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    pass_time = age(monkeypatch)
    never = anyio.Event()
    is_silent = False

    async def answer(request: httpx.Request) -> httpx.Response:
        if is_silent:
            await never.wait()
        return provider.answer(request)

    oidc = Oidc(SETTINGS, Metrics(), httpx.AsyncClient(transport=httpx.MockTransport(answer)))
    token = provider.token(exp=now(100_000))
    await oidc.verify(token)
    is_silent = True
    pass_time(4000)
    with anyio.fail_after(4):
        assert (await oidc.verify(token)).user == "oidc:alice"
        assert (await oidc.metadata()).issuer == ISSUER
    await oidc.close()
