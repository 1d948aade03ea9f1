# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Signing in and out."""

from __future__ import annotations

import time

from starlette.responses import Response

from ..audit import Attempt
from ..errors import ApiError
from ..oidc import Identity
from .login import OidcLogin
from .sessions import CookieTooLongError
from .visit import Visit, read_form, redirect

#: Where a sign-in may lead back to; nowhere else, so that no link of ours leads elsewhere.
DESTINATIONS = frozenset(
    {"/", "/ui/tokens/revoke", "/ui/admin", "/ui/admin/users", "/ui/admin/usage"}
)
#: After this long a login token must be brought again: it may have been revoked meanwhile.
_TOKEN_SESSION_SECONDS = 3600


class SignIn:
    """The pages around a session. Without a login service people bring a login token."""

    def __init__(self, login: OidcLogin | None) -> None:
        self._login = login

    @property
    def has_login(self) -> bool:
        """Whether there is a login service."""
        return self._login is not None

    async def begin(self, visit: Visit) -> Response:
        """Send the browser to the login service."""
        if self._login is None:
            return redirect("/")
        wish = visit.request.query_params.get("next", "/")
        address, login = await self._login.begin(wish if wish in DESTINATIONS else "/")
        response = redirect(address)
        visit.frame.sessions.begin_login(response, login)
        return response

    async def callback(self, visit: Visit) -> Response:
        """Take the browser back from the login service."""
        if self._login is None:
            raise ApiError(404, "There is no login service.")
        begun = visit.frame.sessions.read_login(visit.request)
        try:
            identity = await self._login.finish(begun, visit.request.query_params)
            response = self._start(visit, identity, begun.return_to if begun else "/")
        except ApiError as exc:
            Attempt(visit.origin, "web.sign-in").record("refused", reason=exc.message)
            # It is over, well or not: what came back once is good for nothing a second time.
            response = visit.error(exc.status, exc.message)
        visit.frame.sessions.end_login(response)
        return response

    async def take_token(self, visit: Visit) -> Response:
        """Sign in with a login token, where there is no login service."""
        if self._login is not None:
            raise ApiError(404, "Sign in at the login service.")
        visit.check_origin()
        form = await read_form(visit.request)
        attempt = Attempt(visit.origin, "web.sign-in")
        with attempt.refusals():
            try:
                caller = await visit.frame.authenticator.identify(
                    form.get("token", "").strip(), visit.origin.client
                )
            except ApiError as exc:
                if exc.status != 401:
                    raise
                raise ApiError(403, "This is no login token, or it has expired.") from exc
            attempt.name(caller)
            if caller.kind != "login":
                raise ApiError(
                    403, "This token calls models; sign in with the one you log in with."
                )
            end = int(time.time()) + _TOKEN_SESSION_SECONDS
            # What the token says of its end is true: whoever made it vouched for it.
            if caller.expires_at is not None:
                end = min(end, caller.expires_at)
            return self._start(visit, Identity(caller.user, caller.groups, end), "/")

    async def end(self, visit: Visit) -> Response:
        """Sign out."""
        await visit.form()
        user = visit.session.user if visit.session else None
        Attempt(visit.origin, "web.sign-out", user, user).record("done")
        response = redirect("/ui/signed-out")
        visit.frame.sessions.end(response)
        return response

    async def ended(self, visit: Visit) -> Response:
        """Say that nobody is signed in."""
        if visit.session is not None:
            return redirect("/")
        elsewhere = None
        if self._login is not None:
            elsewhere = await self._login.sign_out_url(visit.frame.gateway_url + "/")
        return visit.page("signed_out.html", elsewhere=elsewhere)

    def _start(self, visit: Visit, identity: Identity, return_to: str) -> Response:
        frame = visit.frame
        response = redirect(return_to)
        groups = frame.authenticator.relevant(identity.groups)
        try:
            frame.sessions.start(response, identity.user, groups, identity.expires_at)
        except CookieTooLongError as exc:
            raise ApiError(
                403,
                "You are in more groups of this platform than a session can hold; "
                "tell an administrator.",
            ) from exc
        Attempt(visit.origin, "web.sign-in", identity.user, identity.user).record("done")
        return response
