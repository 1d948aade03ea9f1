# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Who is signed in: signed cookies, so that any replica knows."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from itsdangerous import BadData, BadSignature, Signer, URLSafeSerializer
from starlette.requests import Request
from starlette.responses import Response

from ..secret import Secret

#: The prefix makes browsers refuse the cookie from any other host, any other path, and without TLS.
SESSION_COOKIE = "__Host-maas-session"
LOGIN_COOKIE = "__Host-maas-login"

#: A working day: then people sign in again, and their groups are read anew.
LONGEST_SESSION_SECONDS = 8 * 3600
#: How long the login service's page may stay open.
LOGIN_SECONDS = 600
#: Browsers keep no cookie over 4096 bytes, name and attributes included.
_LONGEST_COOKIE = 3800


class CookieTooLongError(Exception):
    """What should be remembered does not fit into a cookie."""


@dataclass(frozen=True)
class Session:
    """Somebody who is signed in, until when, and what their forms must carry."""

    user: str
    groups: tuple[str, ...]
    expires_at: int
    csrf_token: str


@dataclass(frozen=True)
class Login:
    """A sign-in that was begun in this browser."""

    state: str
    nonce: str
    verifier: str
    return_to: str


class Sessions:
    """Writes and reads the cookies.

    Args:
        keys: The first signs, all verify, so that keys can be replaced without signing people out.
    """

    def __init__(self, keys: Sequence[Secret]) -> None:
        # The library signs with the last.
        texts = [key.reveal() for key in reversed(keys)]
        options = {"digest_method": hashlib.sha256}
        self._sessions = URLSafeSerializer(texts, salt="maas session", signer_kwargs=options)
        self._logins = URLSafeSerializer(texts, salt="maas login", signer_kwargs=options)
        self._forms = Signer(texts, salt="maas form", digest_method=hashlib.sha256)

    def start(self, response: Response, user: str, groups: Sequence[str], expires_at: int) -> None:
        """Sign somebody in, for as long as the login says and no longer than a working day."""
        now = int(time.time())
        end = min(expires_at, now + LONGEST_SESSION_SECONDS)
        value = _dump(self._sessions, {"u": user, "g": list(groups), "e": end})
        _set(response, SESSION_COOKIE, value, end - now)

    def read(self, request: Request) -> Session | None:
        """Return who is signed in; None where nobody is, or not any more."""
        value = request.cookies.get(SESSION_COOKIE, "")
        raw = _load(self._sessions, value)
        if raw is None or raw["e"] <= time.time():
            return None
        # Only who can read the page knows it, and it dies with the session.
        token = self._forms.get_signature(value).decode()
        return Session(raw["u"], tuple(raw["g"]), raw["e"], token)

    def is_form_of(self, request: Request, token: str) -> bool:
        """Whether a form with this token was made for this session."""
        value = request.cookies.get(SESSION_COOKIE, "")
        return bool(value) and self._forms.verify_signature(value.encode(), token.encode())

    def end(self, response: Response) -> None:
        """Sign out."""
        _set(response, SESSION_COOKIE, "", 0)

    def begin_login(self, response: Response, login: Login) -> None:
        """Remember in this browser that it began to sign in."""
        raw = {
            "s": login.state,
            "n": login.nonce,
            "v": login.verifier,
            "r": login.return_to,
            "e": int(time.time()) + LOGIN_SECONDS,
        }
        _set(response, LOGIN_COOKIE, _dump(self._logins, raw), LOGIN_SECONDS)

    def read_login(self, request: Request) -> Login | None:
        """Return the sign-in that this browser began; None where it did not, or too long ago."""
        raw = _load(self._logins, request.cookies.get(LOGIN_COOKIE, ""))
        if raw is None or raw["e"] <= time.time():
            return None
        return Login(raw["s"], raw["n"], raw["v"], raw["r"])

    def end_login(self, response: Response) -> None:
        """Forget the sign-in: each can end once only."""
        _set(response, LOGIN_COOKIE, "", 0)


def _dump(serializer: URLSafeSerializer, raw: dict[str, Any]) -> str:
    dumped = serializer.dumps(raw)
    value = dumped if isinstance(dumped, str) else dumped.decode()
    if len(value) > _LONGEST_COOKIE:
        raise CookieTooLongError(f"{len(value)} bytes, of {_LONGEST_COOKIE} that fit")
    return value


def _load(serializer: URLSafeSerializer, value: str) -> dict[str, Any] | None:
    if not value or len(value) > _LONGEST_COOKIE:
        return None
    try:
        raw: dict[str, Any] = serializer.loads(value)
    except (BadSignature, BadData):
        return None
    return raw


def _set(response: Response, name: str, value: str, seconds: int) -> None:
    # Lax, not Strict: the login service sends the browser back to us from its own site.
    response.set_cookie(
        name, value, max_age=max(0, seconds), path="/", secure=True, httponly=True, samesite="lax"
    )
