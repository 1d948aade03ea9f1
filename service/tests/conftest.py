# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""A service with a cluster of its own, for each test."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx
import pytest
import yaml
from fake_kubernetes import FakeKubernetes, StreamingTransport
from fake_others import CLIENT_ID, ISSUER, LIMITADOR, FakeLimitador, FakeProvider, Others
from maas_api.app import Application
from maas_api.logs import configure_logs
from maas_api.settings import OidcSettings, Settings

NAMESPACE = "maas-api"
GATEWAY = "https://maas.example.test:8443"
PREFIX = "maas-default-gateway-tier-"
ADMINS = "maas-admins"


def tier_entry(name: str, level: int, groups: list[str], models: list[str]) -> dict[str, Any]:
    """Return a tier as the catalog writes it."""
    return {
        "name": name,
        "displayName": name.title(),
        "description": f"The {name} tier",
        "level": level,
        "groups": groups,
        "namespace": PREFIX + name,
        "models": [{"namespace": "llm", "name": model} for model in models],
        "token": {"defaultTtlSeconds": 14400, "maxTtlSeconds": 86400},
        "limits": {
            "requests": [{"limit": 5, "windowSeconds": 120}],
            "tokens": "unlimited" if name == "premium" else [{"limit": 100, "windowSeconds": 60}],
        },
    }


TIERS = [
    tier_entry("free", 0, ["tier-free-users", "system:authenticated"], ["gemma"]),
    tier_entry("premium", 10, ["tier-premium-users"], ["gemma", "gemma-large", "planned"]),
]


@dataclass
class Platform:
    """A running service, a client of it, and the cluster it runs on."""

    kubernetes: FakeKubernetes
    transport: StreamingTransport
    logs: io.StringIO
    settings: Settings
    provider: FakeProvider = field(default_factory=FakeProvider)
    limitador: FakeLimitador = field(default_factory=FakeLimitador)
    application: Application = field(init=False)
    client: httpx.AsyncClient = field(init=False)

    async def write_catalog(self, tiers: Any = None, revision: str = "r1", **data: Any) -> None:
        """Write the ConfigMap; keys beside the tiers may be text or what YAML writes as such."""
        data = {"tiers": TIERS if tiers is None and not data else tiers, **data}
        data = {
            key: value if isinstance(value, str) else yaml.safe_dump(value)
            for key, value in data.items()
            if value is not None
        }
        await self.kubernetes.put(
            "configmaps",
            NAMESPACE,
            "tier-to-group-mapping",
            data=data,
            metadata={"annotations": {"maas.platform/revision": revision}},
        )

    async def write_model(
        self, name: str, *, ready: bool = True, model: str | None = None, **metadata: Any
    ) -> None:
        """Write an LLMInferenceService."""
        await self.kubernetes.put(
            "llminferenceservices",
            "llm",
            name,
            metadata=metadata,
            spec={"model": {"uri": "hf://some/model", **({"name": model} if model else {})}},
            status={"conditions": [{"type": "Ready", "status": str(ready)}]},
        )

    async def mint(self, login: str, body: Any = None, status: int = 201) -> dict[str, Any]:
        """Mint and return the answer."""
        answer = await self.client.post("/v1/tokens", json=body or {}, headers=bearer(login))
        assert answer.status_code == status, answer.text
        # What goes on after the answer is over, too.
        await self.application.tokens.close()
        parsed: dict[str, Any] = answer.json()
        return parsed

    async def look_up(self, **body: Any) -> httpx.Response:
        """Ask for a tier."""
        return await self.client.post("/v1/tiers/lookup", json=body)

    def account_of(self, token: str) -> dict[str, str]:
        """Return what the gateway learns of a token's account."""
        issued = self.kubernetes.tokens[token]
        return {"username": issued.username, "uid": issued.uid}

    def log_lines(self) -> list[dict[str, Any]]:
        """Return the log."""
        return [json.loads(line) for line in self.logs.getvalue().splitlines()]

    def audit_lines(self) -> list[dict[str, Any]]:
        """Return the audit trail."""
        return [line for line in self.log_lines() if line.get("log") == "audit"]

    def metric(self, name: str, **labels: str) -> float | None:
        """Return a metric's value."""
        return self.application.metrics.registry.get_sample_value(name, labels)


def bearer(token: str) -> dict[str, str]:
    """Return the header for a token."""
    return {"Authorization": f"Bearer {token}"}


async def wait_for_revision(platform: Platform, revision: str) -> None:
    """Wait until a catalog is in force and what it brings is watched."""
    view = platform.application.view
    await wait_for(lambda: view.revision == revision)
    await wait_for(lambda: all(watch.is_synced for _, watch in view.accounts.watches))


async def wait_for(condition: Callable[[], Any], seconds: float = 5) -> None:
    """Wait until something is so."""
    with anyio.fail_after(seconds):
        while not condition():
            await anyio.sleep(0.005)


async def wait_until(condition: Callable[[], Awaitable[Any]], seconds: float = 5) -> None:
    """Wait until asking says so."""
    with anyio.fail_after(seconds):
        while not await condition():
            await anyio.sleep(0.01)


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the service does."""
    return "asyncio"


@pytest.fixture
async def cold(anyio_backend: str) -> AsyncIterator[Platform]:
    """Return a service that has just started, on an empty cluster."""
    kubernetes = FakeKubernetes()
    logs = io.StringIO()
    configure_logs("debug", logs)
    platform = Platform(
        kubernetes,
        StreamingTransport(kubernetes),
        logs,
        Settings(
            gateway_url=GATEWAY,
            kubernetes_url="http://kubernetes",
            oidc=OidcSettings(issuer=ISSUER, client_id=CLIENT_ID),
            admin_groups=frozenset({ADMINS}),
            limitador_url=LIMITADOR,
        ),
    )
    cluster = httpx.AsyncClient(transport=platform.transport, base_url="http://kubernetes")
    others = httpx.AsyncClient(transport=Others(platform.provider, platform.limitador))
    platform.application = Application(
        platform.settings, cluster, others=others, tier_cache_seconds=0.1
    )
    asgi = platform.application.asgi
    async with (
        asgi.router.lifespan_context(asgi),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(asgi, client=("192.0.2.1", 4711)),
            base_url="http://maas-api",
        ) as client,
    ):
        platform.client = client
        yield platform


@pytest.fixture
async def platform(cold: Platform) -> Platform:
    """Return a service that is ready: two tiers, two models."""
    await cold.write_catalog()
    await cold.write_model("gemma", model="gemma-3-270m")
    await cold.write_model("gemma-large", ready=False)
    view = cold.application.view
    await wait_for(lambda: view.catalogs.current and not view.missing())
    await wait_for(lambda: all(watch.is_synced for _, watch in view.models.watches))
    await wait_for(lambda: all(watch.is_synced for _, watch in view.accounts.watches))
    return cold


@pytest.fixture
def alice(cold: Platform) -> str:
    """Return the login of somebody in the free tier."""
    return cold.kubernetes.log_in("alice", "tier-free-users")


@pytest.fixture
def ada(cold: Platform) -> str:
    """Return the login of an administrator in the free tier."""
    return cold.kubernetes.log_in("ada", "tier-free-users", ADMINS)


@pytest.fixture
def carol(cold: Platform) -> str:
    """Return the login of somebody in the premium tier."""
    return cold.kubernetes.log_in("carol", "tier-free-users", "tier-premium-users")
