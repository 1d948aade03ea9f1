# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""An OpenID Connect provider: what it says of itself, its keys, and whose a token is."""

from __future__ import annotations

import ssl
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import msgspec
import structlog

from .body import UNREADABLE
from .errors import ApiError
from .metrics import Metrics
from .settings import OidcSettings
from .shared_task import SharedTask

log = structlog.get_logger()

#: Signatures by a key pair only: with a shared secret, whoever checks tokens could make them.
ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
_WELL_KNOWN = "/.well-known/openid-configuration"
_TIMEOUT = httpx.Timeout(5, connect=3)
#: What the provider says of itself, and its keys, are read again after this long.
_KEPT_SECONDS = 3600.0
#: An unknown key id makes us read the keys again, but not more often than this: anybody can
#: make such tokens up.
_PAUSE_SECONDS = 10.0
_METADATA_PAUSE_SECONDS = 2.0
#: Whoever has an answer from before waits no longer than this for a new one.
_PATIENCE_SECONDS = 1.0
_LONGEST_ANSWER = 1024 * 1024
#: Groups and users of the cluster itself begin so; no provider may speak of those.
_RESERVED = "system:"
#: Everybody who logged in is in this group, as the API server has it.
AUTHENTICATED = "system:authenticated"


class Metadata(msgspec.Struct):
    """The provider's own description, as far as it matters here."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    end_session_endpoint: str | None = None


class _KeySet(msgspec.Struct):
    keys: list[dict[str, Any]]


@dataclass(frozen=True)
class Identity:
    """Whose a token is; names already carry their prefixes."""

    user: str
    groups: tuple[str, ...]
    expires_at: int


class Oidc:
    """One provider. Nothing is asked of it before the first token comes."""

    def __init__(
        self, settings: OidcSettings, metrics: Metrics, client: httpx.AsyncClient | None = None
    ) -> None:
        self.settings = settings
        self.client = client or _connect(settings)
        self._fetches = metrics.oidc_fetches
        self._metadata: Metadata | None = None
        #: What the provider publishes, by key id.
        self._keys: dict[str | None, dict[str, Any]] = {}
        self._metadata_at = self._keys_at = float("-inf")
        self._asking_metadata = SharedTask(self._read_metadata, _METADATA_PAUSE_SECONDS)
        self._asking_keys = SharedTask(self._read_keys, _PAUSE_SECONDS)

    async def close(self) -> None:
        """Close the connections."""
        await self._asking_keys.close()
        await self._asking_metadata.close()
        await self.client.aclose()

    def is_for_us(self, issuer: str, audiences: Collection[str]) -> bool:
        """Whether a token that says this of itself is ours to verify.

        The API server may trust the same provider, for tokens of another client.
        """
        return issuer == self.settings.issuer and self.settings.client_id in audiences

    async def metadata(self) -> Metadata:
        """Return the provider's description; ApiError 503 while it cannot be read."""
        await self._refresh_metadata()
        if self._metadata is None:
            raise _unavailable()
        return self._metadata

    async def verify(self, token: str, nonce: str | None = None) -> Identity:
        """Return whose token this is; ApiError 401 where it is not good, 503 if nobody can tell.

        Args:
            token: An ID token, or an access token that is a JWT for our client id.
            nonce: What the login asked for; None for a token that came by another way.
        """
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError as exc:
            raise _refused("it is no JWT") from exc
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS:
            raise _refused("it is not signed by an allowed algorithm")
        published = await self._key(header.get("kid"))
        if published.get("alg", algorithm) != algorithm:
            raise _refused("its key is for another algorithm")
        try:
            claims = jwt.decode(
                token,
                jwt.PyJWK(published, algorithm),
                algorithms=[algorithm],
                audience=self.settings.client_id,
                issuer=self.settings.issuer,
                leeway=self.settings.leeway_seconds,
                options={"require": ["exp", "iat", "iss", "aud"]},
            )
        except jwt.ExpiredSignatureError as exc:
            raise _refused("it has expired") from exc
        except (jwt.PyJWTError, ValueError, TypeError, KeyError) as exc:
            # The kind of failure only: some texts quote the token's content.
            raise _refused(f"it is not valid ({type(exc).__name__})") from exc
        if nonce is not None and claims.get("nonce") != nonce:
            raise _refused("it answers another login")
        if _is_for_others(claims, self.settings.client_id):
            raise _refused("it was given to another client")
        return self._identity(claims)

    def _identity(self, claims: dict[str, Any]) -> Identity:
        settings = self.settings
        name = claims.get(settings.username_claim)
        if not isinstance(name, str) or not name.strip():
            raise _refused(f"it has no claim {settings.username_claim!r} to name the user by")
        if settings.username_claim == "email" and claims.get("email_verified", True) is not True:
            raise _refused("its e-mail address is not verified")
        user = settings.username_prefix + name
        if user.startswith(_RESERVED):
            raise _refused("its user name is one of the cluster's own")
        named = claims.get(settings.groups_claim) or ()
        groups = [named] if isinstance(named, str) else named
        if not isinstance(groups, (list, tuple)) or not all(isinstance(one, str) for one in groups):
            raise _refused(f"its claim {settings.groups_claim!r} is no list of names")
        prefixed = (settings.groups_prefix + group for group in groups)
        own = [group for group in prefixed if not group.startswith(_RESERVED)]
        return Identity(user, (*own, AUTHENTICATED), int(claims["exp"]))

    async def _key(self, kid: str | None) -> dict[str, Any]:
        """Return the key of this id; read the keys again if it is new or ours are old."""
        if self._find(kid) is None:
            await self._asking_keys.run()
        elif _age(self._keys_at) > _KEPT_SECONDS:
            await self._asking_keys.run(_PATIENCE_SECONDS)
        found = self._find(kid)
        if found is None:
            if not self._keys:
                raise _unavailable()
            raise _refused("it is signed with a key that the issuer does not publish")
        return found

    def _find(self, kid: str | None) -> dict[str, Any] | None:
        if kid is not None:
            return self._keys.get(kid)
        # A token may leave the id out where there is nothing to choose from.
        return next(iter(self._keys.values())) if len(self._keys) == 1 else None

    async def _read_keys(self) -> None:
        await self._refresh_metadata()
        raw = await self._fetch("keys", self._metadata.jwks_uri) if self._metadata else None
        if raw is None:
            return
        try:
            published = msgspec.json.decode(raw, type=_KeySet).keys
        except UNREADABLE as exc:
            log.warning(
                "identity provider's keys are unreadable",
                issuer=self.settings.issuer,
                reason=str(exc),
            )
            return
        # Keys to encrypt with, and secrets both sides share, verify nothing here.
        self._keys = {
            entry.get("kid"): entry
            for entry in published
            if entry.get("use", "sig") == "sig" and entry.get("kty") != "oct"
        }
        self._keys_at = time.monotonic()

    async def _refresh_metadata(self) -> None:
        if self._metadata is None:
            await self._asking_metadata.run()
        elif _age(self._metadata_at) > _KEPT_SECONDS:
            await self._asking_metadata.run(_PATIENCE_SECONDS)

    async def _read_metadata(self) -> None:
        settings = self.settings
        base = (settings.backend_url or settings.issuer).rstrip("/")
        raw = await self._fetch("metadata", base + _WELL_KNOWN)
        if raw is None:
            return
        try:
            metadata = msgspec.json.decode(raw, type=Metadata)
        except UNREADABLE as exc:
            log.warning("identity provider is unreadable", issuer=settings.issuer, reason=str(exc))
            return
        if metadata.issuer != settings.issuer:
            log.error(
                "identity provider has another name",
                issuer=settings.issuer,
                named=metadata.issuer,
                hint="the issuer setting must be exactly what the provider calls itself",
            )
            return
        metadata.token_endpoint = self._behind(metadata.token_endpoint)
        metadata.jwks_uri = self._behind(metadata.jwks_uri)
        self._metadata, self._metadata_at = metadata, time.monotonic()

    def _behind(self, url: str) -> str:
        """Return the address at which we reach what browsers reach at `url`."""
        front, back = self.settings.issuer.rstrip("/"), self.settings.backend_url
        return back + url[len(front) :] if back and url.startswith(front + "/") else url

    async def _fetch(self, what: str, url: str) -> bytes | None:
        try:
            async with self.client.stream("GET", url) as response:
                content = bytearray()
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > _LONGEST_ANSWER:
                        raise httpx.DecodingError("the answer is too long")
                status = response.status_code
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as exc:
            status, reason = 0, type(exc).__name__
        else:
            reason = f"status {status}"
        self._fetches.labels(what, "done" if status == 200 else "failed").inc()
        if status != 200:
            log.warning("identity provider did not answer", what=what, url=url, reason=reason)
            return None
        return bytes(content)


def _connect(settings: OidcSettings) -> httpx.AsyncClient:
    if settings.ca_file:
        context = ssl.create_default_context(cafile=str(settings.ca_file))
    else:
        context = httpx.create_ssl_context()
    return httpx.AsyncClient(
        verify=context, timeout=_TIMEOUT, follow_redirects=False, headers={"User-Agent": "maas-api"}
    )


def _is_for_others(claims: dict[str, Any], client_id: str) -> bool:
    """Whether the provider says that another client asked for this token."""
    party = claims.get("azp")
    return party is not None and party != client_id


def _age(since: float) -> float:
    return time.monotonic() - since


def _refused(reason: str) -> ApiError:
    return ApiError(401, f"The token is refused: {reason}; log in again.")


def _unavailable() -> ApiError:
    return ApiError(503, "The identity provider does not answer; try again.")
