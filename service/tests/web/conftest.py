# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The service with its pages, a login service, and people with browsers."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from conftest import Platform, wait_for
from fake_kubernetes import FakeKubernetes, StreamingTransport
from maas_api.app import Application
from maas_api.logs import configure_logs
from maas_api.settings import OidcSettings, Settings

from web.provider import CLIENT, ISSUER, SECRET, Provider
from web.visitor import SITE, Visitor

ADMINS = "maas-admins"


@pytest.fixture
def provider() -> Provider:
    """Return the login service."""
    return Provider()


@pytest.fixture
def session_key(tmp_path: Path) -> Path:
    """Return the file of session keys."""
    file = tmp_path / "session-keys"
    file.write_text("k" * 64 + "\n")
    return file


@pytest.fixture
def settings(tmp_path: Path, session_key: Path) -> Settings:
    """Return the settings of a platform with a login service."""
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    return Settings(
        gateway_url=SITE,
        kubernetes_url="http://kubernetes",
        admin_groups=frozenset({ADMINS}),
        session_key_file=session_key,
        oidc=OidcSettings(
            issuer=ISSUER,
            client_id=CLIENT,
            client_secret_file=secret,
            username_claim="preferred_username",
        ),
    )


@pytest.fixture
async def site(
    anyio_backend: str, settings: Settings, provider: Provider
) -> AsyncIterator[Platform]:
    """Return a service that is ready: two tiers, two models."""
    kubernetes, logs = FakeKubernetes(), io.StringIO()
    configure_logs("debug", logs)
    platform = Platform(kubernetes, StreamingTransport(kubernetes), logs, settings)
    cluster = httpx.AsyncClient(transport=platform.transport, base_url="http://kubernetes")
    others = provider.client()
    platform.application = Application(settings, cluster, others=others, tier_cache_seconds=0.1)
    asgi = platform.application.asgi
    async with asgi.router.lifespan_context(asgi):
        await platform.write_catalog()
        await platform.write_model("gemma", model="gemma-3-270m")
        await platform.write_model("gemma-large", ready=False)
        view = platform.application.view
        await wait_for(lambda: view.catalogs.current and not view.missing())
        await wait_for(lambda: all(watch.is_synced for _, watch in view.models.watches))
        await wait_for(lambda: all(watch.is_synced for _, watch in view.accounts.watches))
        yield platform


@pytest.fixture
async def visitors(site: Platform, provider: Provider) -> AsyncIterator[Callable[[], Visitor]]:
    """Return what makes browsers, each with cookies of its own."""
    async with AsyncExitStack() as stack:
        made: list[Visitor] = []

        def make() -> Visitor:
            transport = httpx.ASGITransport(site.application.asgi, client=("192.0.2.1", 4711))
            visitor = Visitor(httpx.AsyncClient(transport=transport, base_url=SITE), provider)
            stack.push_async_callback(visitor.client.aclose)
            made.append(visitor)
            return visitor

        yield make


@pytest.fixture
def visitor(visitors: Callable[[], Visitor]) -> Visitor:
    """Return somebody who is not signed in."""
    return visitors()


@pytest.fixture
async def alice(visitors: Callable[[], Visitor]) -> Visitor:
    """Return somebody in the free tier."""
    alice = visitors()
    await alice.sign_in("alice", "tier-free-users")
    return alice


@pytest.fixture
async def ada(visitors: Callable[[], Visitor]) -> Visitor:
    """Return an administrator."""
    ada = visitors()
    await ada.sign_in("ada", ADMINS)
    return ada
