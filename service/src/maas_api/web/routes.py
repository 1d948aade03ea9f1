# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Which page is where."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ..errors import ApiError
from ..services import Services
from .admin_pages import AdminPages
from .keys import SessionKeys
from .login import CALLBACK, OidcLogin
from .render import STATIC, Renderer
from .sign_in import SignIn
from .user_pages import UserPages
from .visit import SIGN_IN, Frame, Handler, Visit, endpoint

_ALL = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def web_routes(services: Services) -> list[BaseRoute]:
    """Return the routes of the web UI: the root, and everything under /ui/."""
    settings = services.settings
    frame = Frame(
        SessionKeys(settings.session_key_file),
        Renderer(),
        services.authenticator,
        settings.gateway_url,
        settings.trusted_hops,
    )
    sign_in = SignIn(OidcLogin(services.oidc, settings.gateway_url) if services.oidc else None)
    user, admin = (
        UserPages(services.desk, sign_in, settings.has_base_url),
        AdminPages(services.desk),
    )

    def get(path: str, handler: Handler, needs: str = "anyone") -> Route:
        return Route(path, endpoint(frame, handler, needs=needs), methods=["GET"])

    def post(path: str, handler: Handler, needs: str = "user") -> Route:
        return Route(path, endpoint(frame, handler, needs=needs), methods=["POST"])

    return [
        get("/", user.home),
        Route(f"{STATIC}{{name}}", endpoint(frame, _asset), methods=["GET"]),
        get("/ui/usage", user.usage),
        post("/ui/tokens", user.mint),
        get("/ui/tokens/revoke", user.confirm_revocation, "user"),
        post("/ui/tokens/revoke", user.revoke),
        get(SIGN_IN, sign_in.begin),
        post(SIGN_IN, sign_in.take_token, "anyone"),
        get(CALLBACK, sign_in.callback),
        post("/ui/sign-out", sign_in.end),
        get("/ui/signed-out", sign_in.ended),
        get("/ui/admin", admin.tiers, "admin"),
        get("/ui/admin/users", admin.users, "admin"),
        get("/ui/admin/users/revoke", admin.confirm_revocation, "admin"),
        post("/ui/admin/users/revoke", admin.revoke, "admin"),
        get("/ui/admin/usage", admin.usage, "admin"),
        Route("/ui/{rest:path}", endpoint(frame, _nothing_here), methods=_ALL),
    ]


async def _asset(visit: Visit) -> Response:
    return await visit.frame.renderer.asset(visit.request)


async def _nothing_here(visit: Visit) -> Response:
    if visit.request.method not in {"GET", "HEAD"}:
        raise ApiError(405, "This address takes no such request.")
    raise ApiError(404, "There is nothing at this address. Perhaps a link is out of date.")
