# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""POST /v1/tiers/lookup, the one endpoint on every model request's path.

Plain ASGI: no request object, no validation layer, answers written beforehand.
"""

from __future__ import annotations

import msgspec
import structlog
from starlette.types import Receive, Scope, Send

from .accounts import Accounts
from .body import read_body
from .catalog import Catalog, CatalogKeeper
from .errors import ApiError
from .kubernetes import KubernetesError
from .metrics import Metrics
from .shared._accounts import split_account_user

log = structlog.get_logger()

_JSON = (b"content-type", b"application/json")


class LookupRequest(msgspec.Struct):
    """Whose tier is asked for: somebody in these groups or, from the gateway, this account."""

    groups: list[str] | None = None
    username: str | None = None
    uid: str | None = None


class DeadAccountError(ApiError):
    """An account that was revoked, or never was."""


class TierLookup:
    """Answers with the tier of a set of groups, or of an account that is alive."""

    def __init__(self, catalogs: CatalogKeeper, accounts: Accounts, metrics: Metrics) -> None:
        self._catalogs = catalogs
        self._accounts = accounts
        self._decode = msgspec.json.Decoder(LookupRequest).decode
        self._found = metrics.lookups.labels("found")
        self._failed = {
            404: metrics.lookups.labels("no_tier"),
            400: metrics.lookups.labels("malformed"),
            413: metrics.lookups.labels("malformed"),
            503: metrics.lookups.labels("unavailable"),
        }
        self._dead = metrics.lookups.labels("dead_account")

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one lookup."""
        try:
            answer = await self._answer(await read_body(receive))
        except ApiError as exc:
            dead = isinstance(exc, DeadAccountError)
            (self._dead if dead else self._failed[exc.status]).inc()
            raise
        self._found.inc()
        headers = [_JSON, (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _answer(self, body: bytes) -> bytes:
        try:
            asked = self._decode(body)
        except msgspec.MsgspecError as exc:
            raise ApiError(400, f"invalid request body: {exc}") from exc
        catalog = self._catalogs.current
        if catalog is None:
            raise ApiError(503, "There is no tier catalog yet.")
        account = split_account_user(asked.username) if asked.username else None
        if account:
            return await self._of_account(catalog, account, asked.uid)
        if not asked.groups:
            raise ApiError(400, "invalid request body: groups is missing or empty")
        tier = catalog.resolve(asked.groups)
        if tier is None:
            raise ApiError(404, "no tier found for these groups")
        return catalog.answers[tier.name]

    async def _of_account(
        self, catalog: Catalog, account: tuple[str, str], uid: str | None
    ) -> bytes:
        """Return the tier of an account: its namespace's, whatever groups it is in."""
        tier = catalog.by_namespace.get(account[0])
        if tier is None:
            raise ApiError(404, "no tier found for this account")
        if not uid:
            raise ApiError(400, "invalid request body: uid is missing; an account needs it")
        try:
            found = await self._accounts.live(*account, uid)
        except KubernetesError as exc:
            log.warning("account not checked", reason=str(exc))
            raise ApiError(503, "Whether the account is alive cannot be told now.") from exc
        if found is None:
            raise DeadAccountError(404, "this account was revoked or never existed")
        return catalog.answers[tier.name]
