# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The MaaS API against somebody who wants more than is theirs: one exact answer each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from accounts import User
from api import Api
from cluster import Kubectl
from forge import forged, resigned, unsigned
from people import People, Person
from running_lab import Lab
from wire import Wire

testinfra_hosts = ["local://"]

NewUser = Callable[[str], User]
Spoil = Callable[[Lab, str], str]


@pytest.fixture(scope="module")
def person(kubectl: Kubectl) -> Iterator[Person]:
    """Make somebody whose login is a signed token: it can be spoilt in more ways than others."""
    people = People(kubectl)
    yield people.member("attacks")
    people.remove_all()


def expired(lab: Lab, token: str) -> str:
    now = int(time.time())
    return resigned(lab, token, iat=now - 7200, nbf=now - 7200, exp=now - 3600)


SPOILS: dict[str, Spoil] = {
    "expired": expired,
    "not yet valid": lambda lab, token: resigned(lab, token, nbf=int(time.time()) + 3600),
    "wrong audience": lambda lab, token: resigned(lab, token, aud=["somebody-else"]),
    "wrong issuer": lambda lab, token: resigned(lab, token, iss="https://attacker.invalid"),
    "another's key": lambda _lab, token: forged(token),
    "no key": lambda _lab, token: unsigned(token),
    "cut short": lambda _lab, token: token[:-6],
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS.keys())
class TestSpoiltTokens:
    """401: whatever is wrong with a token, nothing says what."""

    def test_login(self, api: Api, lab: Lab, person: Person, spoil: Spoil) -> None:
        assert api("GET", "/v1/me", token=person.login).status == 200
        answer = api.mint(spoil(lab, person.login))
        assert (answer.status, set(answer.json())) == (401, {"error", "message"})

    def test_tier_token(self, api: Api, lab: Lab, new_user: NewUser, spoil: Spoil) -> None:
        token = new_user("free").token
        assert api("GET", "/v1/me", token=token).status == 200
        assert api("GET", "/v1/me", token=spoil(lab, token)).status == 401


def test_a_revoked_token_reads_nothing_either(api: Api, lab: Lab) -> None:
    erin = lab.identity("erin")
    token = api.mint(erin).json()["token"]
    assert api("GET", "/v1/models", token=token).status == 200

    assert api("DELETE", "/v1/tokens", token=erin).status == 204

    for path in ("/v1/models", "/v1/me"):
        assert api("GET", path, token=token).status == 401


# Headers by which proxies tell a service who is asking.
SPOOFED = {
    "maas": [("X-MaaS-Username", "erin"), ("X-MaaS-Group", '["tier-enterprise-users"]')],
    "remote": [("X-Remote-User", "erin"), ("X-Remote-Group", "tier-enterprise-users")],
    "forwarded": [
        ("X-Forwarded-User", "erin"),
        ("X-Forwarded-Groups", "tier-enterprise-users"),
        ("X-Forwarded-Host", "attacker.invalid"),
        ("X-Forwarded-Prefix", "/elsewhere"),
        ("Forwarded", "host=attacker.invalid;proto=http"),
    ],
    "impersonate": [("Impersonate-User", "erin"), ("Impersonate-Group", "tier-enterprise-users")],
}


@pytest.mark.parametrize("headers", SPOOFED.values(), ids=SPOOFED.keys())
class TestSpoofedHeaders:
    """No header makes anybody somebody else, and none changes the links that others are shown."""

    def test_nobody_stays_nobody(self, api: Api, headers: list[tuple[str, str]]) -> None:
        assert api("GET", "/v1/me", headers=headers).status == 401

    def test_alice_stays_alice(self, api: Api, headers: list[tuple[str, str]]) -> None:
        spoofed = api("GET", "/v1/me", "alice", headers=headers)
        assert spoofed.json() == api("GET", "/v1/me", "alice").json()


def test_a_body_makes_nobody_somebody_else(api: Api) -> None:
    wanted = {"user": "erin", "username": "erin", "tier": "enterprise", "groups": ["x"]}
    minted = api("POST", "/v1/tokens", "alice", body=wanted).json()
    assert (minted["user"], minted["tier"]) == ("alice", "free")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'"4h"', 400),
        (b"[" * 100_000, 400),
        (b'{"expiration": "\xff"}', 400),
        (b'{"expiration": "' + b"9" * 200_000 + b'h"}', 413),
        (b'{"expiration": 1e400}', 400),
        (b'{"expiration": NaN}', 400),
        (b'{"expiration": true}', 400),
        (b'{"expiration": ["4h"]}', 400),
    ],
)
def test_bodies_that_are_none(api: Api, body: bytes, status: int) -> None:
    answer = api("POST", "/v1/tokens", "alice", body=body)
    assert (answer.status, set(answer.json())) == (status, {"error", "message"})


def test_headers_that_are_too_large(api: Api) -> None:
    assert api("GET", "/v1/me", "alice", headers=[("X-Large", "x" * 70_000)]).status == 431


def test_only_what_is_offered(api: Api) -> None:
    asked = {
        (method, path): api(method, path, "alice").status
        for path in ("/v1/tokens", "/v1/models")
        for method in ("PUT", "PATCH", "OPTIONS", "TRACE")
    }
    assert set(asked.values()) == {405}


# However it is written, this is one path.
HEALTH = [
    "//maas-api/health",
    "/maas-api//health",
    "/maas-api/./health",
    "/maas-api/v1/../health",
    "/maas-api/v1/%2e%2e/health",
    "/maas-api/%68ealth",
    "/maas-api%2Fhealth",
    "/maas-api%2fhealth",
]
NOWHERE = [
    "/MAAS-API/health",
    "/maas-api/HEALTH",
    "/maas-api/health/",
    "/maas-api/health;x",
    "/maas-apihealth",
    "/maas-api",
    "/maas-api/../health",
    "/maas-api/%2e%2e/metrics",
    "/maas-api/v1/..%2f..%2fmetrics",
    "/maas-api/%zz",
]


@pytest.mark.parametrize("path", HEALTH)
def test_spellings_of_a_path(wire: Wire, path: str) -> None:
    assert wire.request("GET", path).status == 200


@pytest.mark.parametrize("path", NOWHERE)
def test_what_only_looks_like_a_path(wire: Wire, path: str) -> None:
    assert wire.request("GET", path).status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/maas-api//v1/tiers/lookup",
        "/maas-api/v1//tiers/lookup",
        "/maas-api/v1/./tiers/lookup",
        "/maas-api/v1/models/../tiers/lookup",
        "/maas-api/v1/%2e%2e/v1/tiers/lookup",
        "/maas-api/v1/tiers%2Flookup",
        "/maas-api/v1/%74iers/lookup",
        "/maas-api/v1/TIERS/lookup",
        "/maas-api/v1/tiers/lookup/",
        "/maas-api/v1/tiers/lookup?groups=x",
        "/v1/tiers/lookup",
    ],
)
def test_no_spelling_leads_to_the_tier_lookup(wire: Wire, lab: Lab, path: str) -> None:
    body: dict[str, Any] = {"groups": ["tier-premium-users"]}
    answer = wire.request("POST", path, token=lab.identity("alice"), body=body)
    assert answer.status == 404
