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
from .body import UNREADABLE, read_body
from .catalog import Catalog, CatalogKeeper
from .errors import ApiError
from .kubernetes import KubernetesError
from .metrics import Metrics
from .shared._accounts import split_account_user

log = structlog.get_logger()

_JSON = (b"content-type", b"application/json")


class LookupRequest(msgspec.Struct):
    """Whose tier is asked for: somebody in these groups or, from the gateway, this account.

    `revision` is the one the gateway's policy was made for; without it the current one answers.
    """

    groups: list[str] | None = None
    username: str | None = None
    uid: str | None = None
    revision: str | None = None


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
            403: metrics.lookups.labels("refused"),
            404: metrics.lookups.labels("no_tier"),
            400: metrics.lookups.labels("malformed"),
            413: metrics.lookups.labels("malformed"),
            503: metrics.lookups.labels("unavailable"),
        }
        self._dead = metrics.lookups.labels("dead_account")

    def at_once(self, body: bytes | bytearray) -> bytes | None:
        """Return the answer where memory has it; None where it takes longer, or is no."""
        try:
            asked = self._decode(body)
        except UNREADABLE:
            return None
        current = self._catalogs.current
        account = split_account_user(asked.username) if asked.username else None
        if current is None or account is None or not asked.uid:
            return None
        namespace, name = account
        catalog = self._catalogs.of_revision(asked.revision) or current
        tier = catalog.by_namespace.get(namespace)
        if (
            tier is None
            or namespace not in current.by_namespace
            or self._accounts.known(namespace, name, asked.uid) is None
            or current.refusal(namespace, name)
            or catalog.refusal(namespace, name)
        ):
            return None
        self._found.inc()
        return catalog.answers[tier.name]

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
        except UNREADABLE as exc:
            raise ApiError(400, f"invalid request body: {exc}") from exc
        current = self._catalogs.current
        if current is None:
            raise ApiError(503, "There is no tier catalog yet.")
        account = split_account_user(asked.username) if asked.username else None
        if account:
            return await self._of_account(current, account, asked)
        if not asked.groups:
            raise ApiError(400, "invalid request body: groups is missing or empty")
        tier = current.resolve(asked.groups)
        if tier is None:
            raise ApiError(404, "no tier found for these groups")
        return current.answers[tier.name]

    async def _of_account(
        self, current: Catalog, account: tuple[str, str], asked: LookupRequest
    ) -> bytes:
        """Return the tier of an account: its namespace's, whatever groups it is in.

        Whose rights a namespace has may differ between two revisions; the policy that asks
        knows the tiers of its own. Who is refused by either is refused.
        """
        namespace, _ = account
        catalog = self._catalogs.of_revision(asked.revision) or current
        tier = catalog.by_namespace.get(namespace)
        if tier is None or namespace not in current.by_namespace:
            raise ApiError(404, "no tier found for this account")
        if not asked.uid:
            raise ApiError(400, "invalid request body: uid is missing; an account needs it")
        refusal = current.refusal(*account) or catalog.refusal(*account)
        if refusal:
            raise ApiError(403, refusal)
        try:
            found = await self._accounts.live(*account, asked.uid)
        except KubernetesError as exc:
            log.warning("account not checked", reason=str(exc))
            raise ApiError(503, "Whether the account is alive cannot be told now.") from exc
        if found is None:
            raise DeadAccountError(404, "this account was revoked or never existed")
        return catalog.answers[tier.name]
