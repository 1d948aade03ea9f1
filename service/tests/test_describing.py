# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What the service says of itself: metrics and the OpenAPI document."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Platform, bearer
from jsonschema import Draft202012Validator

pytestmark = pytest.mark.anyio


def shown(path: str) -> str:
    return path.replace("{user:path}", "{user}")


async def document(platform: Platform) -> dict[str, Any]:
    answer = await platform.client.get("/openapi.json")
    assert answer.status_code == 200
    parsed: dict[str, Any] = answer.json()
    return parsed


async def test_every_endpoint_but_the_document_is_described(platform: Platform) -> None:
    described = {
        (method.upper(), path)
        for path, methods in (await document(platform))["paths"].items()
        for method in methods
    }
    operations = {(op.method, shown(op.path)) for op in platform.application.operations}
    assert described == operations - {("GET", "/openapi.json")}


async def test_every_reference_leads_somewhere(platform: Platform) -> None:
    whole = await document(platform)
    names = {
        part.split('"')[0] for part in json.dumps(whole).split('"$ref": "#/components/schemas/')[1:]
    }
    assert names <= whole["components"]["schemas"].keys()
    for schema in whole["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


async def test_answers_are_as_described(platform: Platform, alice: str, ada: str) -> None:
    whole = await document(platform)
    for operation in platform.application.operations:
        if operation.path == "/openapi.json":
            continue
        body = {"groups": ["tier-free-users"]} if operation.method == "POST" else None
        path = operation.path.replace("{user:path}", "bob")
        for headers in (bearer(alice), bearer(ada), {}):
            answer = await platform.client.request(
                operation.method, path, headers=headers, json=body
            )
            described = whole["paths"][shown(operation.path)][operation.method.lower()]
            content = described["responses"][str(answer.status_code)].get("content", {})
            if "application/json" not in content:
                continue
            schema = {**content["application/json"]["schema"], "components": whole["components"]}
            Draft202012Validator(schema).validate(answer.json())


async def test_operations_have_names_of_their_own(platform: Platform) -> None:
    names = [operation.name for operation in platform.application.operations]
    assert len(set(names)) == len(names)


async def test_metrics(platform: Platform, alice: str) -> None:
    await platform.mint(alice)
    await platform.look_up(groups=["tier-free-users"])
    await platform.client.get("/made-up-by-a-caller")
    await platform.client.request("MADE-UP", "/health")
    answer = await platform.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    text = answer.text
    assert 'maas_api_tokens_minted_total{tier="free"} 1.0' in text
    assert 'maas_api_tier_lookups_total{result="found"} 1.0' in text
    assert 'maas_api_requests_total{method="POST",route="/v1/tokens",status="201"} 1.0' in text
    assert 'maas_api_requests_total{method="GET",route="other",status="404"} 1.0' in text
    assert 'maas_api_requests_total{method="other",route="/health",status="405"} 1.0' in text
    assert 'maas_api_watch_synced{namespace="llm",resource="llminferenceservices"} 1.0' in text
    assert "made-up" not in text.lower()


async def test_the_gateways_prefix_changes_nothing(platform: Platform, alice: str) -> None:
    for path in ("/health", "/v1/me", "/openapi.json"):
        plain = await platform.client.get(path, headers=bearer(alice))
        prefixed = await platform.client.get(f"/maas-api{path}", headers=bearer(alice))
        assert plain.status_code == prefixed.status_code == 200
        assert plain.json() == prefixed.json()
    for path in ("/maas-api", "/maas-apix/health", "/maas-api/maas-api/health"):
        assert (await platform.client.get(path)).status_code == 404


async def test_head(platform: Platform) -> None:
    answer = await platform.client.head("/health")
    assert (answer.status_code, answer.content) == (200, b"")
