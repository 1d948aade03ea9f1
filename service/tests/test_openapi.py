# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document against the service: schemathesis makes requests up, good and bad ones."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import schemathesis
import uvicorn
import yaml
from conftest import GATEWAY, NAMESPACE, TIERS
from fake_kubernetes import FakeKubernetes, StreamingTransport
from fake_others import LIMITADOR, FakeLimitador, FakeProvider, Others
from hypothesis import HealthCheck, given, settings
from maas_api.app import Application
from maas_api.logs import configure_logs
from maas_api.settings import Settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    ignored_auth,
    missing_required_header,
    negative_data_rejection,
    positive_data_acceptance,
)
from schemathesis.specs.openapi.schemas import OpenApiSchema


@pytest.fixture(scope="module")
def kubernetes() -> FakeKubernetes:
    fake = FakeKubernetes()
    fake.objects["configmaps", NAMESPACE, "tier-to-group-mapping"] = {
        "metadata": {"name": "tier-to-group-mapping", "namespace": NAMESPACE, "uid": "1"},
        "data": {"tiers": yaml.safe_dump(TIERS)},
    }
    return fake


@pytest.fixture(scope="module")
def address(kubernetes: FakeKubernetes) -> Iterator[str]:
    """Return where the service listens; it, its cluster and all others are in this process."""
    configure_logs("error", io.StringIO())
    application = Application(
        Settings(
            gateway_url=GATEWAY,
            kubernetes_url="http://kubernetes",
            admin_groups=frozenset({"maas-admins"}),
            limitador_url=LIMITADOR,
            mint_limit=0,
            web_enabled=False,
        ),
        httpx.AsyncClient(transport=StreamingTransport(kubernetes), base_url="http://kubernetes"),
        others=httpx.AsyncClient(transport=Others(FakeProvider(), FakeLimitador())),
        tier_cache_seconds=-1,
    )
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            application.asgi, log_config=None, timeout_graceful_shutdown=0, lifespan="on"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        end = time.monotonic() + 15
        while not server.started or httpx.get(f"{url}/ready").status_code != 200:
            assert time.monotonic() < end, "the service did not become ready"
        yield url
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def described(address: str) -> OpenApiSchema:
    document = httpx.get(f"{address}/openapi.json").json()
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=address)
    return schema


MANY = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
# Whoever sends no token, or a bad one, gets 401 before anything else is looked at: our own tests
# of identities say so path by path. Bodies with keys of other APIs are accepted on purpose.
EXCLUDED = [ignored_auth, missing_required_header, negative_data_rejection]
#: What a tier allows, which groups there are and who has tokens is no schema's to say.
MEANING = {
    "/v1/tiers/lookup",
    "/v1/tokens",
    "/v1/admin/users/{user}/tokens",
    "/v1/admin/revocations",
    "/v1/models/{model}",
}
OPERATIONS = [
    ("POST", "/v1/tiers/lookup"),
    ("POST", "/v1/tokens"),
    ("DELETE", "/v1/tokens"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{model}"),
    ("GET", "/v1/me"),
    ("GET", "/v1/tiers"),
    ("GET", "/v1/usage"),
    ("GET", "/v1/admin/users"),
    ("DELETE", "/v1/admin/users/{user}/tokens"),
    ("POST", "/v1/admin/revocations"),
    ("GET", "/v1/admin/usage"),
    ("GET", "/v1/admin/platform"),
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/metrics"),
]


def test_these_are_all_operations(described: OpenApiSchema) -> None:
    found = [result.ok() for result in described.get_all_operations()]
    assert {(one.method.upper(), one.path) for one in found} == set(OPERATIONS)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("groups", [["tier-free-users"], ["maas-admins"], None])
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_answers_are_as_described(
    described: OpenApiSchema,
    kubernetes: FakeKubernetes,
    method: str,
    path: str,
    groups: list[str] | None,
    mode: GenerationMode,
) -> None:
    operation = described[path][method]
    excluded = [*EXCLUDED, *([positive_data_acceptance] if path in MEANING else [])]
    headers = {}
    if groups is not None:
        headers = {"Authorization": f"Bearer {kubernetes.log_in('alice', *groups)}"}

    @MANY
    @given(operation.as_strategy(generation_mode=mode))
    def call(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=headers, excluded_checks=excluded, timeout=20)

    if mode is GenerationMode.POSITIVE or operation.body or operation.path_parameters:
        call()
