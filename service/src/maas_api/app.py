# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The application: every part, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .api import Api, write_json
from .catalog import TierAnswer
from .errors import ApiError, answer_api_error, answer_http_exception, error_response
from .identity import Authenticator
from .kubernetes import Kubernetes, KubernetesError
from .lookup import LookupRequest, TierLookup
from .messages import Health, Me, MintRequest, ModelList, Ready, TierList, TokenBody
from .metrics import Metrics
from .middleware import Observed
from .openapi import TEXT, Operation, write_document
from .settings import Settings
from .shared._names import TIER_CACHE_SECONDS
from .tokens import Tokens
from .view import ClusterView

log = structlog.get_logger()


class Application:
    """The ASGI application, and what it answers from.

    Args:
        settings: What the environment says.
        client: The connection to the API server.
        tier_cache_seconds: How long the gateway remembers a tier; only tests pretend it is less.
    """

    def __init__(
        self,
        settings: Settings,
        client: httpx.AsyncClient,
        *,
        tier_cache_seconds: float = TIER_CACHE_SECONDS,
    ) -> None:
        self.metrics = Metrics()
        self.kubernetes = Kubernetes(client, self.metrics)
        self.view = ClusterView(settings, self.kubernetes, self.metrics)
        self.operations = self._operations(settings, tier_cache_seconds)
        self.asgi = Starlette(
            routes=_routes(self.operations),
            middleware=[
                Middleware(
                    Observed,
                    metrics=self.metrics,
                    paths=sorted({operation.path for operation in self.operations}),
                    is_draining=lambda: self.view.is_draining,
                )
            ],
            exception_handlers={
                ApiError: answer_api_error,
                KubernetesError: _answer_kubernetes_error,
                HTTPException: answer_http_exception,
            },
            lifespan=self._live,
        )
        # One spelling a path: a redirect would lose the body and the shape of errors.
        self.asgi.router.redirect_slashes = False

    @asynccontextmanager
    async def _live(self, _app: Starlette) -> AsyncIterator[None]:
        self.view.start()
        try:
            yield
        finally:
            await self.view.close()
            await self.kubernetes.close()

    def _operations(self, settings: Settings, tier_cache_seconds: float) -> list[Operation]:
        """Return every endpoint, the busiest first."""
        view, metrics = self.view, self.metrics
        authenticator = Authenticator(
            self.kubernetes, view.catalogs, view.accounts, settings.gateway_audience
        )
        tokens = Tokens(
            self.kubernetes,
            view.accounts,
            metrics,
            audience=settings.gateway_audience,
            tier_cache_seconds=tier_cache_seconds,
        )
        api = Api(view, authenticator, tokens, metrics)
        lookup = TierLookup(view.catalogs, view.accounts, metrics)
        operations = [
            Operation(
                "POST",
                "/v1/tiers/lookup",
                "lookup",
                lookup,
                "The tier of these groups or, from the gateway, of this account",
                {200: TierAnswer},
                errors=(400, 404, 413, 503),
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
                errors=(400, 403, 404, 409, 413),
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
                "GET", "/v1/me", "me", api.me, "Who I am and what I may do", {200: Me}, (403,)
            ),
            Operation("GET", "/v1/tiers", "tiers", api.tiers, "All tiers", {200: TierList}, (403,)),
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
        document = write_document(operations)

        async def describe(_request: Request) -> Response:
            return write_json(document)

        about = Operation(
            "GET", "/openapi.json", "openapi", describe, "This document", {200: dict}, login=False
        )
        return [*operations, about]


def _routes(operations: Sequence[Operation]) -> list[Route]:
    """Return one route a path, so that 405 names every method the path has."""
    by_path: dict[str, dict[str, Callable[..., Any]]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, {})[operation.method] = operation.endpoint
    return [
        Route(path, _choose(endpoints), methods=list(endpoints))
        for path, endpoints in by_path.items()
    ]


def _choose(endpoints: dict[str, Callable[..., Any]]) -> Callable[..., Any]:
    if len(endpoints) == 1:
        return next(iter(endpoints.values()))

    async def call_by_method(request: Request) -> Response:
        response: Response = await endpoints[request.method](request)
        return response

    return call_by_method


async def _answer_kubernetes_error(_request: Request, exc: Exception) -> Response:
    """Answer a failed call to the API server: the reason is for the log, not for callers."""
    log.error("kubernetes call failed", reason=str(exc))
    return error_response(503, "The Kubernetes API did not do what was asked; try again.")
