# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What the verify tests share: the lab, a raw client, and users nobody has used yet."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import openai
import pytest
from accounts import Accounts, User
from catalog import Catalog
from chat import Chat
from running_lab import Lab


@pytest.fixture(scope="session")
def new_user(lab: Lab, catalog: Catalog) -> Iterator[Callable[[str], User]]:
    """Make a user of a tier, with a token and untouched counters."""
    accounts = Accounts(lab, catalog)
    yield accounts.take
    accounts.revoke_all()


@pytest.fixture
def openai_client(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], openai.OpenAI]:
    """Make clients whose only peculiarity is to find the lab, which no DNS knows."""
    resolve = socket.getaddrinfo

    def resolve_lab(host: Any, *args: Any, **kwargs: Any) -> Any:
        known = host.decode() if isinstance(host, bytes) else host
        return resolve(lab.address if known == lab.host else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_lab)
    monkeypatch.setenv("SSL_CERT_FILE", str(lab.ca))

    def client(base_url: str, token: str) -> openai.OpenAI:
        return openai.OpenAI(base_url=base_url, api_key=token, max_retries=0)

    return client


@pytest.fixture(scope="session")
def model(catalog: Catalog) -> str:
    """A model that the tier `free`, and with it every tier, may call."""
    return catalog.tiers["free"].models[0]


@pytest.fixture(scope="session")
def denied_model(catalog: Catalog) -> str:
    """A model that exists, and that the tier `free` may not call."""
    return catalog.denied_model("free")


@dataclass(frozen=True)
class Spent:
    """A user over a limit, and when the limit's window closes (monotonic clock) at the latest."""

    user: User
    until: float


@pytest.fixture(scope="session")
def out_of_tokens(
    new_user: Callable[[str], User], catalog: Catalog, chat: Chat, model: str
) -> Spent:
    """A user who has spent a window's tokens; the limits' tests make them, later ones go on."""
    limit = catalog.tiers["free"].tokens
    assert limit is not None
    user = new_user("free")
    spent = chat.spend(user, model, limit.limit)
    assert spent >= limit.limit
    # The window opened when the first answer was counted, so it closes before this.
    return Spent(user, time.monotonic() + limit.seconds)


@pytest.fixture(scope="session")
def out_of_requests(
    new_user: Callable[[str], User], catalog: Catalog, chat: Chat, model: str
) -> Spent:
    """A user who has made a window's requests."""
    limit = catalog.tiers["free"].requests
    assert limit is not None
    user = new_user("free")
    codes = [chat.touch(user, model) for _ in range(limit.limit)]
    assert codes == [200] * limit.limit
    return Spent(user, time.monotonic() + limit.seconds)
