# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Who is asking: tokens are reviewed by the API server; no header says who somebody is."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Literal

import msgspec

from .accounts import Accounts
from .catalog import CatalogKeeper
from .errors import ApiError
from .kubernetes import Kubernetes
from .objects import ReviewStatus, TokenReview
from .secret import Secret
from .shared._accounts import owner_of, split_account_user, tier_of_namespace
from .shared._tiers import Tier

_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
#: What RFC 6750 lets a bearer token consist of.
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
_LONGEST_TOKEN = 16 * 1024
#: The API server calls a review without a credential authenticated, as this user.
_ANONYMOUS = "system:anonymous"


@dataclass(frozen=True)
class Caller:
    """Somebody whose token was found good."""

    #: The user's name: for an account, whose it is.
    user: str
    #: A login may mint and revoke; a tier token may only read.
    kind: Literal["login", "tier-token"]
    #: What the tier is: by groups for a login, by the account's namespace for a tier token.
    tier: Tier | None


class _Claims(msgspec.Struct):
    aud: str | list[str] = ""


class Authenticator:
    """Turns an Authorization header into a caller, or refuses it."""

    def __init__(
        self, kubernetes: Kubernetes, catalogs: CatalogKeeper, accounts: Accounts, audience: str
    ) -> None:
        self._kubernetes = kubernetes
        self._catalogs = catalogs
        self._accounts = accounts
        self._audience = audience

    async def caller(self, header: str | None) -> Caller:
        """Return who this header's token belongs to; ApiError 401 or 403 otherwise."""
        token = _bearer(header)
        # Read without verifying, only to ask the right question; the review decides.
        is_for_gateway = self._audience in _audiences(token)
        status = await self._review(token, [self._audience] if is_for_gateway else [])
        if not status.authenticated or status.user.username in ("", _ANONYMOUS):
            raise ApiError(401, "The token is not valid or has expired; log in again.")
        # An authenticator that knows no audiences would accept any: it must name ours.
        if is_for_gateway and self._audience not in (status.audiences or ()):
            raise ApiError(401, "The token is not meant for this gateway.")
        account = split_account_user(status.user.username)
        if is_for_gateway or (account and tier_of_namespace(account[0])):
            return await self._account_caller(account, status.user.uid)
        groups = status.user.groups or ()
        catalog = self._catalogs.current
        tier = catalog.resolve(groups) if catalog else None
        return Caller(status.user.username, "login", tier)

    async def _review(self, token: Secret, audiences: list[str]) -> ReviewStatus:
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token.reveal(), "audiences": audiences},
        }
        review = await self._kubernetes.create(_REVIEWS, body, TokenReview)
        return review.status

    async def _account_caller(self, account: tuple[str, str] | None, uid: str) -> Caller:
        catalog = self._catalogs.current
        tier = catalog.by_namespace.get(account[0]) if account and catalog else None
        if account is None or tier is None:
            raise ApiError(403, "The token's account belongs to no tier.")
        # The API server remembers a token for some seconds after its account is gone.
        found = await self._accounts.live(*account, uid)
        owner = owner_of(found.as_mapping()) if found else None
        if owner is None:
            raise ApiError(401, "The token was revoked; log in and ask for another.")
        return Caller(owner, "tier-token", tier)


def _bearer(header: str | None) -> Secret:
    if not header:
        raise ApiError(401, "Log in first: send the header Authorization: Bearer <token>.")
    scheme, _, token = header.strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not _TOKEN.fullmatch(token) or len(token) > _LONGEST_TOKEN:
        raise ApiError(401, "The Authorization header is not of the form: Bearer <token>.")
    return Secret(token)


def _audiences(token: Secret) -> list[str]:
    """Return whom a JWT says it is for; nothing where it is no JWT."""
    parts = token.reveal().split(".")
    if len(parts) != 3:
        return []
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        claims = msgspec.json.decode(payload, type=_Claims)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        return []
    return [claims.aud] if isinstance(claims.aud, str) else claims.aud
