# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The endpoints, but for the tier lookup: from a request to the desk, and back."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from .audit import Action, Attempt, Origin
from .body import UNREADABLE, read_body
from .desk import Expiration, need_admin
from .errors import ApiError
from .identity import Caller
from .messages import (
    Health,
    HolderList,
    MintRequest,
    ModelList,
    Ready,
    RevocationRequest,
    TierList,
    UsageList,
)
from .services import Services

_NO_STORE = {"Cache-Control": "no-store"}


def write_json(body: object, status: int = 200) -> Response:
    """Return an answer that no cache keeps."""
    return Response(
        msgspec.json.encode(body), status, headers=_NO_STORE, media_type="application/json"
    )


class Api:
    """What each path does."""

    def __init__(self, services: Services) -> None:
        self._view = services.view
        self._authenticator = services.authenticator
        self._desk = services.desk
        self._metrics = services.metrics
        self._trusted_hops = services.settings.trusted_hops

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
        attempt = self._attempt(request, "token.mint")
        with attempt.refusals():
            caller = await self._caller(request)
            attempt.name(caller)
            expiration = _read_expiration(await read_body(request.receive))
        return write_json(await self._desk.mint(caller, expiration, attempt.origin), 201)

    async def revoke(self, request: Request) -> Response:
        """End every token of the caller."""
        attempt = self._attempt(request, "token.revoke")
        with attempt.refusals():
            caller = await self._caller(request)
        await self._desk.revoke(caller, attempt.origin)
        return Response(status_code=204, headers=_NO_STORE)

    async def models(self, request: Request) -> Response:
        """List the models the caller may call."""
        return write_json(ModelList(self._desk.models(await self._caller(request))))

    async def model(self, request: Request) -> Response:
        """Describe one of them."""
        caller = await self._caller(request)
        return write_json(self._desk.model(caller, request.path_params["model"]))

    async def me(self, request: Request) -> Response:
        """Say who the caller is and what he may do."""
        return write_json(self._desk.me(await self._caller(request)))

    async def tiers(self, request: Request) -> Response:
        """List the tiers."""
        await self._caller(request)
        return write_json(TierList(self._desk.tiers()))

    async def usage(self, request: Request) -> Response:
        """Say what the caller has used of his limits."""
        return write_json(await self._desk.usage(await self._caller(request)))

    async def users(self, request: Request) -> Response:
        """List everybody's accounts."""
        caller, origin = await self._admin(request, "users.list")
        return write_json(HolderList(self._desk.holders(caller, origin)))

    async def revoke_user(self, request: Request) -> Response:
        """End every token of a user."""
        user = request.path_params["user"]
        caller, origin = await self._admin(request, "token.revoke", user)
        await self._desk.revoke_user(caller, user, origin)
        return Response(status_code=204, headers=_NO_STORE)

    async def revoke_by_name(self, request: Request) -> Response:
        """End every token of a user; proxies change what names look like in paths."""
        attempt = self._attempt(request, "token.revoke")
        with attempt.refusals():
            caller = await self._caller(request)
            attempt.name(caller)
            body = await read_body(request.receive)
            try:
                user = msgspec.json.decode(body, type=RevocationRequest).user
            except UNREADABLE as exc:
                need_admin(caller)
                raise ApiError(400, str(exc)) from exc
        await self._desk.revoke_user(caller, user, attempt.origin)
        return Response(status_code=204, headers=_NO_STORE)

    async def usage_of_all(self, request: Request) -> Response:
        """Say what everybody has used."""
        caller, origin = await self._admin(request, "usage.read")
        return write_json(UsageList(await self._desk.usage_of_all(caller, origin)))

    async def platform(self, request: Request) -> Response:
        """Say whether the gateway enforces the catalog."""
        caller, origin = await self._admin(request, "platform.read")
        return write_json(await self._desk.platform(caller, origin))

    def _attempt(self, request: Request, action: Action, owner: str | None = None) -> Attempt:
        origin = Origin.of(request, trusted_hops=self._trusted_hops)
        return Attempt(origin, action, owner=owner)

    async def _caller(self, request: Request) -> Caller:
        client = Origin.of(request, trusted_hops=self._trusted_hops).client
        return await self._authenticator.caller(request.headers.get("authorization"), client)

    async def _admin(
        self, request: Request, action: Action, owner: str | None = None
    ) -> tuple[Caller, Origin]:
        """Return who asks; whether he is an administrator, the desk decides."""
        attempt = self._attempt(request, action, owner)
        with attempt.refusals():
            return await self._caller(request), attempt.origin


def _read_expiration(body: bytes) -> Expiration:
    """Return the lifetime a request asks for; unknown keys are other APIs' and do no harm."""
    if not body.strip():
        return None
    try:
        # What msgspec skips it does not decode; JSON is UTF-8 all the same.
        body.decode()
        return msgspec.json.decode(body, type=MintRequest).expiration
    except UNREADABLE as exc:
        raise ApiError(400, str(exc)) from exc
