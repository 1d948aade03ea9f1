# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Signing in by OpenID Connect: authorization code, PKCE, state and nonce."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec
import structlog

from ..errors import ApiError
from ..oidc import Identity, Oidc
from .sessions import Login

log = structlog.get_logger()

CALLBACK = "/ui/callback"
_SECONDS = 10.0
#: RFC 6749 and OpenID Connect name these; anything else in a URL is somebody's text.
_KNOWN_ERRORS = {
    "access_denied": "The login service refused: access denied.",
    "login_required": "The login service wants you to log in there first.",
    "consent_required": "The login service needs your consent.",
    "interaction_required": "The login service needs an answer from you.",
    "temporarily_unavailable": "The login service is busy.",
    "server_error": "The login service had a problem of its own.",
}


class _TokenAnswer(msgspec.Struct):
    id_token: str = ""

    def __repr__(self) -> str:
        return "_TokenAnswer(**********)"


class OidcLogin:
    """The conversation with the login service."""

    def __init__(self, oidc: Oidc, gateway_url: str) -> None:
        self._oidc = oidc
        self._redirect_uri = gateway_url + CALLBACK

    async def begin(self, return_to: str) -> tuple[str, Login]:
        """Return where to send the browser, and what it must remember."""
        login = Login(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            return_to=return_to,
        )
        metadata = await self._oidc.metadata()
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self._oidc.settings.client_id,
                "redirect_uri": self._redirect_uri,
                "scope": " ".join(self._oidc.settings.scopes),
                "state": login.state,
                "nonce": login.nonce,
                "code_challenge": challenge_of(login.verifier),
                "code_challenge_method": "S256",
            }
        )
        endpoint = metadata.authorization_endpoint
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}", login

    async def finish(self, login: Login | None, query: Mapping[str, str]) -> Identity:
        """Return who came back from the login service; ApiError where that is not sure."""
        if login is None:
            raise ApiError(
                400,
                "This browser did not begin to sign in, or did so more than ten minutes ago. "
                "Sign in again.",
            )
        if not hmac.compare_digest(login.state.encode(), query.get("state", "").encode()):
            raise ApiError(
                400,
                "This answer belongs to another sign-in, perhaps of another tab. Sign in again.",
            )
        issuer = query.get("iss")
        if issuer is not None and issuer != self._oidc.settings.issuer:
            raise ApiError(400, "This answer comes from another login service. Sign in again.")
        if "error" in query:
            raise ApiError(
                403, _KNOWN_ERRORS.get(query["error"], "The login service refused to sign you in.")
            )
        code = query.get("code", "")
        if not code:
            raise ApiError(400, "The login service sent no code. Sign in again.")
        id_token = await self._exchange(code, login.verifier)
        try:
            return await self._oidc.verify(id_token, login.nonce)
        except ApiError as exc:
            if exc.status != 401:
                raise
            # For an API's caller 401 means to come back with another token; here there is none.
            log.warning("ID token refused", reason=exc.message)
            raise ApiError(
                403, "The login service's answer could not be verified. Sign in again."
            ) from exc

    async def sign_out_url(self, return_to: str) -> str | None:
        """Return where people also sign out of the login service, if it offers that."""
        try:
            metadata = await self._oidc.metadata()
        except ApiError:
            return None
        if not metadata.end_session_endpoint:
            return None
        query = urlencode(
            {"client_id": self._oidc.settings.client_id, "post_logout_redirect_uri": return_to}
        )
        endpoint = metadata.end_session_endpoint
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"

    async def _exchange(self, code: str, verifier: str) -> str:
        settings = self._oidc.settings
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": verifier,
        }
        options: dict[str, Any] = {}
        secret = self._secret()
        if secret:
            # RFC 6749, 2.3.1: both halves are form-encoded first.
            options["auth"] = httpx.BasicAuth(_encoded(settings.client_id), _encoded(secret))
        else:
            form["client_id"] = settings.client_id
        metadata = await self._oidc.metadata()
        try:
            answer = await self._oidc.client.post(
                metadata.token_endpoint,
                data=form,
                headers={"Accept": "application/json"},
                timeout=_SECONDS,
                **options,
            )
        except httpx.HTTPError as exc:
            log.warning("code exchange failed", reason=str(exc) or type(exc).__name__)
            raise ApiError(503, "The login service cannot be reached; try again.") from exc
        if answer.status_code != 200:
            log.warning("code exchange refused", status=answer.status_code)
            if answer.status_code >= 500:
                raise ApiError(503, "The login service had a problem of its own; try again.")
            raise ApiError(
                403, "The login service did not accept this sign-in; it may be too old. Try again."
            )
        try:
            token = msgspec.json.decode(answer.content, type=_TokenAnswer).id_token
        except msgspec.MsgspecError:
            token = ""
        if not token:
            raise ApiError(503, "The login service's answer holds no ID token.")
        return token

    def _secret(self) -> str:
        # Read anew, because a mounted Secret may be replaced while we run.
        file = self._oidc.settings.client_secret_file
        if file is None:
            return ""
        try:
            return file.read_text(encoding="utf-8").strip()
        except OSError as exc:
            log.error("client secret cannot be read", reason=str(exc))  # noqa: TRY400 - expected
            raise ApiError(503, "Signing in is not set up; tell an administrator.") from exc


def challenge_of(verifier: str) -> str:
    """Return PKCE's S256 challenge."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _encoded(text: str) -> str:
    return urlencode({"": text})[1:]
