# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""One shape for every error of every endpoint."""

from __future__ import annotations

import msgspec
import pytest
from conftest import Platform, bearer
from maas_api.app import Application
from maas_api.errors import CODES, ErrorBody
from maas_api.view import ClusterView

pytestmark = pytest.mark.anyio

LOGIN = [
    ("POST", "/v1/tokens"),
    ("DELETE", "/v1/tokens"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/gemma"),
    ("GET", "/v1/me"),
    ("GET", "/v1/tiers"),
    ("GET", "/v1/usage"),
    ("GET", "/v1/admin/users"),
    ("POST", "/v1/admin/revocations"),
    ("DELETE", "/v1/admin/users/bob/tokens"),
    ("GET", "/v1/admin/usage"),
    ("GET", "/v1/admin/platform"),
]
ADMIN = LOGIN[7:]
OPEN = [
    ("POST", "/v1/tiers/lookup"),
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
]
ALL = LOGIN + OPEN


async def check(
    platform: Platform, method: str, path: str, status: int, **options: object
) -> ErrorBody:
    answer = await platform.client.request(method, path, **options)  # type: ignore[arg-type]
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    body = msgspec.json.decode(answer.content, type=dict[str, str])
    assert set(body) == {"error", "message"}
    assert body["error"] == CODES[status]
    assert body["message"]
    return ErrorBody(**body)


async def test_these_are_all_endpoints(cold: Platform) -> None:
    operations = cold.application.operations
    paths = {
        (op.method, op.path.replace("{user:path}", "bob").replace("{model}", "gemma"))
        for op in operations
    }
    assert paths == set(ALL)


@pytest.mark.parametrize(("method", "path"), LOGIN)
async def test_401(platform: Platform, method: str, path: str) -> None:
    await check(platform, method, path, 401)


@pytest.mark.parametrize(("method", "path"), ALL)
async def test_405(platform: Platform, method: str, path: str) -> None:
    error = await check(platform, "PATCH", path, 405)
    assert method in error.message
    answer = await platform.client.patch(path)
    assert method in answer.headers["allow"]


async def test_405_names_every_method(platform: Platform) -> None:
    answer = await platform.client.get("/v1/tokens")
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"POST", "DELETE"}


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/v1",
        "/v2/models",
        "/v1/models/",
        "/V1/models",
        "//v1/models",
        "/v1/../v1/models/x/y",
    ],
)
async def test_404(platform: Platform, path: str) -> None:
    answer = await platform.client.get(f"http://maas-api{path}")
    assert answer.status_code == 404
    await check(platform, "GET", f"http://maas-api{path}", 404)


@pytest.mark.parametrize("path", ["/v1/tokens", "/v1/tiers/lookup"])
async def test_413(platform: Platform, alice: str, path: str) -> None:
    content = b'{"groups": ["' + b"a" * 200_000 + b'"]}'
    await check(platform, "POST", path, 413, content=content, headers=bearer(alice))


@pytest.mark.parametrize("path", ["/v1/tokens", "/v1/tiers/lookup"])
async def test_400(platform: Platform, alice: str, path: str) -> None:
    await check(platform, "POST", path, 400, content=b"{", headers=bearer(alice))


@pytest.mark.parametrize(("method", "path"), LOGIN[:2])
async def test_403(platform: Platform, alice: str, method: str, path: str) -> None:
    token = (await platform.mint(alice))["token"]
    await check(platform, method, path, 403, headers=bearer(token))


@pytest.mark.parametrize(("method", "path"), ADMIN)
async def test_403_for_all_but_administrators(
    platform: Platform, alice: str, ada: str, method: str, path: str
) -> None:
    await check(platform, method, path, 403, headers=bearer(alice))
    token = (await platform.mint(ada))["token"]
    await check(platform, method, path, 403, headers=bearer(token))


async def test_429(platform: Platform, alice: str) -> None:
    # The clock stands still: on a slow machine some of the allowance would come back meanwhile.
    platform.application.services.desk._throttle._now = lambda: 0.0
    for _ in range(platform.settings.mint_limit):
        await platform.mint(alice)
    error = await check(platform, "POST", "/v1/tokens", 429, headers=bearer(alice))
    assert "at most 60 in 60 seconds" in error.message


@pytest.mark.parametrize(("method", "path"), [*LOGIN, OPEN[0], OPEN[2]])
async def test_503_without_a_catalog(cold: Platform, alice: str, method: str, path: str) -> None:
    content = b'{"groups": ["tier-free-users"]}' if method == "POST" else None
    await check(cold, method, path, 503, headers=bearer(alice), content=content)


@pytest.mark.parametrize(("method", "path"), LOGIN)
async def test_503_without_an_api_server(
    platform: Platform, alice: str, method: str, path: str
) -> None:
    platform.transport.cut()
    error = await check(platform, method, path, 503, headers=bearer(alice))
    assert "kubernetes:" not in error.message


@pytest.mark.parametrize(("method", "path"), [entry for entry in ALL if entry != OPEN[4]])
async def test_500(
    platform: Platform, ada: str, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    """Break what every endpoint uses: nothing of it may reach the caller."""

    def break_down(*_: object) -> object:
        raise RuntimeError("a secret of ours")

    application: Application = platform.application
    monkeypatch.setattr(ClusterView, "revision", property(break_down))
    monkeypatch.setattr(ClusterView, "missing", break_down)
    monkeypatch.setattr(type(application.view.models), "of", break_down)
    monkeypatch.setattr(type(application.metrics), "render", break_down)
    monkeypatch.setattr("maas_api.messages.TierBody.of", break_down)
    monkeypatch.setattr("maas_api.tokens.Tokens.revoke", break_down)
    monkeypatch.setattr("maas_api.catalog.Catalog.resolve", break_down)
    content = b'{"groups": ["tier-free-users"]}' if "lookup" in path else None
    error = await check(platform, method, path, 500, headers=bearer(ada), content=content)
    assert "secret" not in error.message
