# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""People whose login is at an OIDC provider: the lab's Dex."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
from api import Api
from chat import Chat
from forge import forged, unsigned
from running_lab import CHECKOUT

testinfra_hosts = ["local://"]

SignIn = Callable[[str], str]


@pytest.fixture(scope="module")
def sign_in() -> SignIn:
    """Sign in at the provider with a password; return the ID token."""
    known: dict[str, str] = {}

    def sign_in(user: str) -> str:
        if user not in known:
            command = [sys.executable, "-m", "lab", "id-token", user]
            done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
            known[user] = done.stdout.strip()
        return known[user]

    return sign_in


@pytest.mark.parametrize(
    ("user", "tier"), [("alice", "free"), ("carol", "premium"), ("erin", "enterprise")]
)
def test_a_login_mints_a_token_that_works(
    api: Api, chat: Chat, model: str, sign_in: SignIn, user: str, tier: str
) -> None:
    minted = api.mint(sign_in(user)).json()

    # The prefix tells this alice from the cluster's own.
    assert (minted["user"], minted["tier"]) == (f"oidc:{user}", tier)
    # Earlier runs may have used up this user's requests.
    assert chat(minted["token"], model).status in {200, 429}


def test_namesakes_are_two_people(api: Api, lab_login: str, sign_in: SignIn) -> None:
    ours = api.mint(lab_login).json()["token"]
    theirs = api.mint(sign_in("alice")).json()["token"]

    assert api("DELETE", "/v1/tokens", token=sign_in("alice")).status == 204

    assert api("GET", "/v1/me", token=theirs).status == 401
    assert api("GET", "/v1/me", token=ours).json()["user"] == "alice"


@pytest.fixture
def lab_login(api: Api) -> str:
    return api.lab.identity("alice")


def test_a_login_without_a_tier_gets_no_token(api: Api, sign_in: SignIn) -> None:
    assert api.mint(sign_in("mallory")).status == 404


def test_an_id_token_is_no_key_to_a_model(chat: Chat, model: str, sign_in: SignIn) -> None:
    assert chat(sign_in("alice"), model).status == 401


@pytest.mark.parametrize(
    "spoil",
    [
        forged,
        unsigned,
        lambda token: forged(token, groups=["tier-enterprise-users"]),
        lambda token: token[:-6],
    ],
)
def test_a_spoilt_id_token(api: Api, sign_in: SignIn, spoil: Callable[[str], str]) -> None:
    assert api.mint(spoil(sign_in("alice"))).status == 401
