# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The endpoints, but for the tier lookup."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from . import audit
from .body import read_body
from .catalog import Catalog
from .errors import ApiError
from .expiration import check_bounds, parse_expiration, write_go
from .identity import Authenticator, Caller
from .messages import (
    Health,
    Lifetimes,
    Limits,
    Me,
    MintRequest,
    ModelList,
    Ready,
    TierBody,
    TierList,
    TokenBody,
)
from .metrics import Metrics
from .shared._tiers import Tier
from .tokens import Tokens
from .view import ClusterView

_NO_STORE = {"Cache-Control": "no-store"}


def write_json(body: object, status: int = 200) -> Response:
    """Return an answer that no cache keeps."""
    return Response(
        msgspec.json.encode(body), status, headers=_NO_STORE, media_type="application/json"
    )


class Api:
    """What each path does."""

    def __init__(
        self,
        view: ClusterView,
        authenticator: Authenticator,
        tokens: Tokens,
        metrics: Metrics,
    ) -> None:
        self._view = view
        self._authenticator = authenticator
        self._tokens = tokens
        self._metrics = metrics

    async def health(self, _request: Request) -> Response:
        """Say whether the process is worth keeping."""
        if not self._view.is_running:
            raise ApiError(503, "A watch ended that should never end; restart this pod.")
        return write_json(Health("healthy", self._view.revision))

    async def ready(self, _request: Request) -> Response:
        """Say whether requests can be answered."""
        missing = self._view.missing()
        if missing:
            raise ApiError(503, missing)
        return write_json(Ready("ready", self._view.revision))

    async def metrics(self, _request: Request) -> Response:
        """Return the metrics."""
        return Response(self._metrics.render(), media_type=self._metrics.content_type)

    async def mint(self, request: Request) -> Response:
        """Make a token for the caller."""
        caller: Caller | None = None
        try:
            caller = await self._login(request)
            tier = _tier_of(caller)
            ttl_seconds = _asked_seconds(await read_body(request.receive), tier)
            minted = await self._tokens.mint(caller.user, tier, ttl_seconds)
        except Exception as exc:
            _record_failure(request, "token.mint", caller, exc)
            raise
        audit.record(
            request,
            "token.mint",
            "done",
            user=caller.user,
            tier=tier.name,
            accounts=[minted.account],
            ttl_seconds=minted.ttl_seconds,
            expires_at=minted.expires_at,
        )
        body = TokenBody(
            token=minted.token.reveal(),
            expiration=write_go(minted.ttl_seconds),
            expires_at=minted.expires_at,
            user=caller.user,
            tier=tier.name,
            display_name=tier.display_name or tier.name,
            limits=Limits.of(tier),
            models=self._view.models.of(tier),
        )
        return write_json(body, 201)

    async def revoke(self, request: Request) -> Response:
        """End every token of the caller."""
        caller: Caller | None = None
        try:
            caller = await self._login(request)
            revoked = await self._tokens.revoke(caller.user, self._catalog())
        except Exception as exc:
            _record_failure(request, "token.revoke", caller, exc)
            raise
        audit.record(
            request,
            "token.revoke",
            "done",
            user=caller.user,
            tier=caller.tier.name if caller.tier else None,
            accounts=revoked,
        )
        return Response(status_code=204, headers=_NO_STORE)

    async def models(self, request: Request) -> Response:
        """List the models the caller may call."""
        caller = await self._caller(request)
        return write_json(ModelList(self._view.models.of(caller.tier)))

    async def me(self, request: Request) -> Response:
        """Say who the caller is and what he may do."""
        caller = await self._caller(request)
        tier = caller.tier
        body = Me(
            user=caller.user,
            kind=caller.kind,
            tier=tier.name if tier else None,
            display_name=tier.display_name or tier.name if tier else None,
            limits=Limits.of(tier) if tier else None,
            token=Lifetimes.of(tier) if tier else None,
            models=self._view.models.of(tier),
        )
        return write_json(body)

    async def tiers(self, request: Request) -> Response:
        """List the tiers."""
        await self._caller(request)
        return write_json(TierList([TierBody.of(tier) for tier in self._catalog().tiers]))

    def _catalog(self) -> Catalog:
        catalog = self._view.catalogs.current
        if catalog is None:
            raise ApiError(503, "There is no tier catalog yet; try again.")
        return catalog

    async def _caller(self, request: Request) -> Caller:
        # Without a catalog nobody has a tier, and nobody should be told so.
        self._catalog()
        return await self._authenticator.caller(request.headers.get("authorization"))

    async def _login(self, request: Request) -> Caller:
        caller = await self._caller(request)
        if caller.kind != "login":
            raise ApiError(
                403, "A tier token cannot make or revoke tokens; use the token you log in with."
            )
        return caller


def _tier_of(caller: Caller) -> Tier:
    if caller.tier is None:
        raise ApiError(404, "no tier for this user: none of the user's groups leads to one")
    return caller.tier


def _asked_seconds(body: bytes, tier: Tier) -> int:
    """Return the lifetime a request asks for; unknown keys are other APIs' and do no harm."""
    try:
        asked = msgspec.json.decode(body, type=MintRequest) if body.strip() else MintRequest()
        if asked.expiration is None:
            return tier.default_ttl_seconds
        seconds = parse_expiration(asked.expiration)
        check_bounds(seconds, tier.max_ttl_seconds, tier.name)
    except (msgspec.MsgspecError, ValueError) as exc:
        raise ApiError(400, str(exc)) from exc
    return seconds


def _record_failure(
    request: Request, action: audit.Action, caller: Caller | None, exc: Exception
) -> None:
    refused = isinstance(exc, ApiError) and exc.status < 500
    audit.record(
        request,
        action,
        "refused" if refused else "failed",
        user=caller.user if caller else None,
        tier=caller.tier.name if caller and caller.tier else None,
        reason=str(exc),
    )
