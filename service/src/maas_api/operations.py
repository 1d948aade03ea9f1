# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Every endpoint: its path, what answers there, and what the OpenAPI document says of it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from .api import Api, write_json
from .catalog import TierAnswer
from .lookup import LookupRequest, TierLookup
from .messages import (
    Health,
    HolderList,
    Me,
    MintRequest,
    ModelList,
    PlatformBody,
    Ready,
    RevocationRequest,
    TierList,
    TokenBody,
    UsageBody,
    UsageList,
)
from .models import Model
from .openapi import TEXT, Operation, write_document


def list_operations(api: Api, lookup: TierLookup) -> list[Operation]:
    """Return every endpoint, the busiest first."""
    operations = [
        Operation(
            "POST",
            "/v1/tiers/lookup",
            "lookup",
            lookup,
            "The tier of these groups or, from the gateway, of this account",
            {200: TierAnswer},
            errors=(400, 403, 404, 413, 503),
            body=LookupRequest,
            login=False,
        ),
        Operation(
            "POST",
            "/v1/tokens",
            "mint",
            api.mint,
            "Make a token",
            {201: TokenBody},
            errors=(400, 403, 404, 409, 413, 429),
            body=MintRequest,
        ),
        Operation(
            "DELETE",
            "/v1/tokens",
            "revoke",
            api.revoke,
            "End every token of mine; returns when the gateway refuses them",
            {204: None},
            errors=(400, 403),
        ),
        Operation(
            "GET",
            "/v1/models",
            "models",
            api.models,
            "The models I may call, as the OpenAI API lists them",
            {200: ModelList},
            errors=(403,),
        ),
        Operation(
            "GET",
            "/v1/models/{model}",
            "model",
            api.model,
            "One of the models I may call",
            {200: Model},
            errors=(403, 404),
        ),
        Operation(
            "GET", "/v1/me", "me", api.me, "Who I am and what I may do", {200: Me}, errors=(403,)
        ),
        Operation(
            "GET", "/v1/tiers", "tiers", api.tiers, "All tiers", {200: TierList}, errors=(403,)
        ),
        Operation(
            "GET",
            "/v1/usage",
            "usage",
            api.usage,
            "What I have used of each limit of mine",
            {200: UsageBody},
            errors=(403,),
        ),
        *_for_administrators(api),
        *_about_itself(api),
    ]
    document = write_document(operations)

    async def describe(_request: Request) -> Response:
        return write_json(document)

    about = Operation(
        "GET", "/openapi.json", "openapi", describe, "This document", {200: dict}, login=False
    )
    return [*operations, about]


def _for_administrators(api: Api) -> list[Operation]:
    return [
        Operation(
            "GET",
            "/v1/admin/users",
            "users",
            api.users,
            "Administrators: every account that tokens were made for",
            {200: HolderList},
            errors=(403,),
        ),
        Operation(
            "DELETE",
            "/v1/admin/users/{user:path}/tokens",
            "revoke-user",
            api.revoke_user,
            "Administrators: end every token of a user; returns when the gateway refuses them",
            {204: None},
            errors=(400, 403, 404),
        ),
        Operation(
            "POST",
            "/v1/admin/revocations",
            "revoke-by-name",
            api.revoke_by_name,
            "Administrators: end every token of a user whose name no path can hold, such as one "
            "with two slashes in a row; returns when the gateway refuses them",
            {204: None},
            errors=(400, 403, 404, 413),
            body=RevocationRequest,
        ),
        Operation(
            "GET",
            "/v1/admin/usage",
            "usage-of-all",
            api.usage_of_all,
            "Administrators: the usage of everybody who called in a window that still runs",
            {200: UsageList},
            errors=(403,),
        ),
        Operation(
            "GET",
            "/v1/admin/platform",
            "platform",
            api.platform,
            "Administrators: whether the gateway enforces the catalog, and who has which tier",
            {200: PlatformBody},
            errors=(403,),
        ),
    ]


def _about_itself(api: Api) -> list[Operation]:
    return [
        Operation(
            "GET",
            "/health",
            "health",
            api.health,
            "Whether the process is worth keeping",
            {200: Health},
            errors=(503,),
            login=False,
        ),
        Operation(
            "GET",
            "/ready",
            "ready",
            api.ready,
            "Whether requests can be answered",
            {200: Ready},
            errors=(503,),
            login=False,
        ),
        Operation(
            "GET",
            "/metrics",
            "metrics",
            api.metrics,
            "Metrics, as Prometheus reads them",
            {200: str},
            login=False,
            media_type=TEXT,
        ),
    ]
