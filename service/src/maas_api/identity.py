# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Who is asking: every token is checked with whoever made it; no header says who somebody is."""

from __future__ import annotations

import base64
import math
import re
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from .accounts import Accounts
from .catalog import Catalog, CatalogKeeper
from .errors import ApiError
from .oidc import Oidc
from .reviews import Reviews
from .secret import Secret
from .shared._accounts import account_name, owner_of, split_account_user, tier_of_namespace
from .shared._errors import MaasError
from .shared._overrides import Override
from .shared._tiers import Tier

#: What RFC 6750 lets a bearer token consist of.
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
_LONGEST_TOKEN = 16 * 1024
#: The API server calls a review without a credential authenticated, as this user.
_ANONYMOUS = "system:anonymous"
#: Until then the API server decides, whose clock counts.
_CLOCKS_DIFFER_SECONDS = 60
_NOT_VALID = "The token is not valid or has expired; log in again."


@dataclass(frozen=True)
class Caller:
    """Somebody whose token was found good."""

    #: The user's name: for an account, whose it is.
    user: str
    #: A login may mint and revoke; a tier token may only read.
    kind: Literal["login", "tier-token"]
    #: What the tier is: by groups for a login, by the account's namespace for a tier token.
    tier: Tier | None
    #: The full user name of the account that his calls count for; it need not exist yet.
    account: str | None = None
    groups: tuple[str, ...] = ()
    is_admin: bool = False
    #: What an administrator set for this user.
    override: Override | None = None
    #: Why he may not call models or mint now; empty where he may.
    refusal: str = ""
    #: When the token ends that he came with, where it says so.
    expires_at: int | None = None


class _Claims(msgspec.Struct):
    aud: str | list[str] = ""
    iss: str = ""
    exp: float | None = None

    @property
    def audiences(self) -> list[str]:
        return [self.aud] if isinstance(self.aud, str) else self.aud


class Authenticator:
    """Turns a token into a caller, or refuses it.

    Args:
        reviews: Who judges the cluster's tokens.
        catalogs: Which tiers there are.
        accounts: Which accounts live.
        audience: Whom tier tokens are for.
        oidc: Whose users may log in beside the cluster's; None for nobody's.
        kubernetes_logins: Whether the cluster's users may log in.
        admin_groups: Whose members are administrators.
    """

    def __init__(
        self,
        reviews: Reviews,
        catalogs: CatalogKeeper,
        accounts: Accounts,
        audience: str,
        *,
        oidc: Oidc | None = None,
        kubernetes_logins: bool = True,
        admin_groups: Collection[str] = (),
    ) -> None:
        self._reviews = reviews
        self._catalogs = catalogs
        self._accounts = accounts
        self._audience = audience
        self._oidc = oidc
        self._kubernetes_logins = kubernetes_logins
        self._admin_groups = frozenset(admin_groups)

    async def caller(self, header: str | None, client: str | None) -> Caller:
        """Return whose the token in this header is, which came from this address.

        ApiError 401 or 403 where it is nobody's, 429 where too many from there were.
        """
        if not header:
            raise ApiError(401, "Log in first: send the header Authorization: Bearer <token>.")
        scheme, _, token = header.strip().partition(" ")
        if scheme.lower() != "bearer":
            raise _malformed()
        return await self.identify(token.strip(), client)

    async def identify(self, token: str, client: str | None) -> Caller:
        """Return whose a token is; refusals are those of `caller`."""
        if not _TOKEN.fullmatch(token) or len(token) > _LONGEST_TOKEN:
            raise _malformed()
        # Read without verifying, only to ask the right one; his answer decides.
        claims = _read_claims(token)
        if self._oidc and self._oidc.is_for_us(claims.iss, claims.audiences):
            identity = await self._oidc.verify(token)
            caller = self.caller_of(identity.user, identity.groups)
        else:
            caller = await self._reviewed(Secret(token), claims, client)
        return replace(caller, expires_at=_whole(claims.exp))

    def caller_of(self, user: str, groups: Iterable[str]) -> Caller:
        """Return a login of this user, who proved before who he is."""
        catalog = self._catalog()
        try:
            account = account_name(user)
        except MaasError as exc:
            raise ApiError(403, f"This user name cannot have tokens: {exc.message}") from exc
        member = tuple(groups)
        tier = catalog.resolve(member)
        override = catalog.override(account)
        is_suspended = override is not None and override.suspended
        return Caller(
            user=user,
            kind="login",
            tier=tier,
            account=join_account_user(tier.namespace, account) if tier else None,
            groups=member,
            is_admin=not is_suspended and not self._admin_groups.isdisjoint(member),
            override=override,
            refusal=catalog.refusal_in(tier, account),
        )

    def relevant(self, groups: Iterable[str]) -> tuple[str, ...]:
        """Return those groups that decide anything here: users may be in many hundreds."""
        named = self._admin_groups.union(*(tier.groups for tier in self._catalog().tiers))
        return tuple(group for group in groups if group in named)

    async def _reviewed(self, token: Secret, claims: _Claims, client: str | None) -> Caller:
        """Return the caller that the API server names."""
        is_for_gateway = self._audience in claims.audiences
        if not is_for_gateway and not self._kubernetes_logins:
            raise ApiError(401, "Tokens of the cluster are no logins here; log in elsewhere.")
        # Most tokens that are no good are old, and say so: nobody has to be asked about those.
        if claims.exp is not None and claims.exp < time.time() - _CLOCKS_DIFFER_SECONDS:
            raise ApiError(401, _NOT_VALID)
        audiences = [self._audience] if is_for_gateway else []
        status = await self._reviews.review(token, audiences, client)
        if not status.authenticated or status.user.username in ("", _ANONYMOUS):
            raise ApiError(401, _NOT_VALID)
        # An authenticator that knows no audiences would accept any: it must name ours.
        if is_for_gateway and self._audience not in (status.audiences or ()):
            raise ApiError(401, "The token is not meant for this gateway.")
        account = split_account_user(status.user.username)
        if is_for_gateway or (account and tier_of_namespace(account[0])):
            return await self._account_caller(account, status.user.uid)
        prefix = self._oidc.settings.username_prefix if self._oidc else ""
        if prefix and status.user.username.startswith(prefix):
            # Two people of one name would have one account.
            raise ApiError(
                403,
                f"Names of the cluster's users may not begin with {prefix!r}, as those of the "
                "identity provider's do; an administrator can choose another prefix for these.",
            )
        return self.caller_of(status.user.username, status.user.groups or ())

    async def _account_caller(self, account: tuple[str, str] | None, uid: str) -> Caller:
        catalog = self._catalog()
        tier = catalog.by_namespace.get(account[0]) if account else None
        if account is None or tier is None:
            raise ApiError(403, "The token's account belongs to no tier.")
        # The API server remembers a token for some seconds after its account is gone.
        found = await self._accounts.live(*account, uid)
        owner = owner_of(found.as_mapping()) if found else None
        if owner is None:
            raise ApiError(401, "The token was revoked; log in and ask for another.")
        refusal = catalog.refusal(*account)
        if refusal:
            raise ApiError(403, refusal)
        override = catalog.override(account[1])
        username = join_account_user(*account)
        return Caller(owner, "tier-token", tier, username, override=override)

    def _catalog(self) -> Catalog:
        # Without a catalog nobody has a tier, and nobody should be told so.
        if self._catalogs.current is None:
            raise ApiError(503, "There is no tier catalog yet; try again.")
        return self._catalogs.current


def join_account_user(namespace: str, name: str) -> str:
    """Return the full user name that the API server gives an account."""
    return f"system:serviceaccount:{namespace}:{name}"


def _malformed() -> ApiError:
    return ApiError(401, "The Authorization header is not of the form: Bearer <token>.")


def _whole(seconds: float | None) -> int | None:
    return int(seconds) if seconds is not None and math.isfinite(seconds) else None


def _read_claims(token: str) -> _Claims:
    """Return what a JWT says of itself; nothing where it is no JWT."""
    parts = token.split(".")
    if len(parts) != 3:
        return _Claims()
    try:
        payload = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(payload, type=_Claims)
    except ValueError:  # of base64, of JSON, or of UTF-8
        return _Claims()
