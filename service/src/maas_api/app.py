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

from .api import Api
from .desk import Desk
from .errors import ApiError, answer_api_error, answer_http_exception, error_response
from .guessing import Guessing
from .history import History
from .identity import Authenticator
from .kubernetes import Kubernetes, KubernetesError
from .limitador import Limitador
from .lookup import TierLookup
from .metrics import Metrics
from .middleware import Observed
from .oidc import Oidc
from .openapi import Operation
from .operations import list_operations
from .policies import Policies
from .reviews import Reviews
from .services import Services
from .settings import Settings
from .shared._names import TIER_CACHE_SECONDS
from .throttle import Throttle
from .tokens import Tokens
from .view import ClusterView
from .web import web_routes

log = structlog.get_logger()


class Application:
    """The ASGI application, and what it answers from.

    Args:
        settings: What the environment says.
        client: The connection to the API server.
        others: The connection to everything else, the identity provider and Limitador; one of
            its own to each unless given.
        tier_cache_seconds: How long the gateway remembers a tier; only tests pretend it is less.
    """

    def __init__(
        self,
        settings: Settings,
        client: httpx.AsyncClient,
        *,
        others: httpx.AsyncClient | None = None,
        tier_cache_seconds: float = TIER_CACHE_SECONDS,
    ) -> None:
        self.metrics = Metrics()
        self.kubernetes = Kubernetes(client, self.metrics)
        self.view = view = ClusterView(settings, self.kubernetes, self.metrics)
        self.oidc = Oidc(settings.oidc, self.metrics, others) if settings.oidc else None
        self.tokens = Tokens(
            self.kubernetes,
            view.accounts,
            self.metrics,
            audience=settings.gateway_audience,
            tier_cache_seconds=tier_cache_seconds,
        )
        self._limitador = Limitador(settings.limitador_url, settings.gateway_namespace, others)
        self._history = History(settings.prometheus_url, view.accounts.user_of, others)
        self.services = Services(
            settings,
            view,
            self._authenticator(settings),
            Desk(
                view,
                self.tokens,
                Throttle(settings.mint_limit, settings.mint_window_seconds),
                self._limitador,
                Policies(self.kubernetes, settings.gateway_namespace),
                self._history,
            ),
            self.metrics,
            self.oidc,
        )
        self.lookup = TierLookup(view.catalogs, view.accounts, self.metrics)
        self.operations = list_operations(Api(self.services), self.lookup)
        pages = web_routes(self.services) if settings.web_enabled else []
        paths = {operation.path for operation in self.operations}
        self.asgi = Starlette(
            routes=[*_routes(self.operations), *pages],
            middleware=[
                Middleware(
                    Observed,
                    metrics=self.metrics,
                    api_paths=sorted(paths),
                    page_paths=[page.path for page in pages if isinstance(page, Route)],
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
            await self.tokens.close()
            for part in (self._limitador, self._history, self.oidc, self.kubernetes):
                if part is not None:
                    await part.close()

    def _authenticator(self, settings: Settings) -> Authenticator:
        return Authenticator(
            Reviews(self.kubernetes, Guessing(settings.refused_limit), self.metrics),
            self.view.catalogs,
            self.view.accounts,
            settings.gateway_audience,
            oidc=self.oidc,
            kubernetes_logins=settings.kubernetes_logins,
            admin_groups=settings.admin_groups,
        )


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
