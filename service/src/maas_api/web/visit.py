# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""One request for a page: who asks, what the form says, and how an answer is made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

from ..audit import Attempt, Origin
from ..body import read_body
from ..errors import ApiError
from ..identity import Authenticator, Caller
from ..kubernetes import KubernetesError
from .keys import SessionKeys
from .render import SECURITY_HEADERS, Renderer
from .sessions import Session, Sessions

log = structlog.get_logger()

SIGN_IN = "/ui/sign-in"
_LONGEST_FORM = 16 * 1024
_MOST_FIELDS = 32
_FORM = "application/x-www-form-urlencoded"


class Frame:
    """What every page needs: sessions, templates, and who people are."""

    def __init__(
        self,
        keys: SessionKeys,
        renderer: Renderer,
        authenticator: Authenticator,
        gateway_url: str,
        trusted_hops: int = 1,
    ) -> None:
        self._keys = keys
        self.renderer = renderer
        self.authenticator = authenticator
        self.gateway_url = gateway_url
        self.trusted_hops = trusted_hops
        parts = urlsplit(gateway_url)
        #: As browsers name the site in the header Origin.
        self.site = f"{parts.scheme}://{parts.netloc}"

    @property
    def sessions(self) -> Sessions:
        """Return what writes and reads cookies now."""
        return self._keys.sessions


class Visit:
    """A request, with its session."""

    def __init__(self, frame: Frame, request: Request) -> None:
        self.frame = frame
        self.request = request
        self.session: Session | None = frame.sessions.read(request)
        self._caller: Caller | None = None

    @property
    def caller(self) -> Caller:
        """Return who is signed in; only for pages that need somebody."""
        if self._caller is None:
            assert self.session is not None  # noqa: S101 - guarded before any page is made
            self._caller = self.frame.authenticator.caller_of(
                self.session.user, self.session.groups
            )
        return self._caller

    @property
    def origin(self) -> Origin:
        """Return where the request came from, for the audit trail."""
        return Origin.of(self.request, "web", self.frame.trusted_hops)

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """Return a page."""
        everywhere = {
            "user": self.session.user if self.session else None,
            "is_admin": self.session is not None and self._is_admin(),
            "csrf_token": self.session.csrf_token if self.session else "",
            "path": self.request.url.path,
            "gateway_url": self.frame.gateway_url,
        }
        return self.frame.renderer.page(template, {**everywhere, **values}, status)

    def error(self, status: int, message: str) -> Response:
        """Return an error's page."""
        try:
            title = HTTPStatus(status).phrase
        except ValueError:
            title = "Error"
        return self.page("error.html", status, code=status, title=title, message=message)

    async def form(self) -> dict[str, str]:
        """Return the form that was sent; ApiError where it may not be this user's own doing."""
        self.check_origin()
        raw = await read_form(self.request)
        if not self.frame.sessions.is_form_of(self.request, raw.get("csrf_token", "")):
            raise ApiError(
                403,
                "This form is not of your present session; perhaps you signed in again since "
                "you opened it. Go back, reload the page and try again.",
            )
        return raw

    def _is_admin(self) -> bool:
        # An error's page must also come where nothing is known of anybody.
        try:
            return self.caller.is_admin
        except ApiError:
            return False

    def check_origin(self) -> None:
        """Refuse, with ApiError 403, what another site made this browser send."""
        headers = self.request.headers
        origin = headers.get("origin")
        # Browsers name the origin of every POST; one that does not must say something as good.
        same = (
            origin == self.frame.site
            if origin is not None
            else headers.get("sec-fetch-site") == "same-origin"
        )
        if not same:
            raise ApiError(403, "This form was sent from another site; nothing was done.")


Handler = Callable[[Visit], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


def endpoint(frame: Frame, handler: Handler, *, needs: str = "anyone") -> Endpoint:
    """Return what Starlette calls: the handler, with who may see it and how errors look.

    Args:
        frame: What every page needs.
        handler: Makes the page.
        needs: "anyone", "user" for somebody signed in, "admin" for an administrator.
    """

    async def answer(request: Request) -> Response:
        visit = Visit(frame, request)
        try:
            if needs != "anyone":
                refused = _refuse(visit, is_for_admins=needs == "admin")
                if refused is not None:
                    return refused
            return await handler(visit)
        except ApiError as exc:
            response = visit.error(exc.status, exc.message)
            response.headers.update(exc.headers)
            return response
        except KubernetesError as exc:
            log.error("kubernetes call failed", reason=str(exc))  # noqa: TRY400 - told by its text
            return visit.error(503, "The Kubernetes API did not do what was asked; try again.")
        except (HTTPException, ClientDisconnect):
            raise
        except Exception:
            # A page for people; the middleware's own answer is for programs.
            log.exception("page broke", path=request.url.path)
            return visit.error(500, "Something broke here; the service's log says what.")

    return answer


def _refuse(visit: Visit, *, is_for_admins: bool) -> Response | None:
    if visit.session is None:
        if visit.request.method in {"GET", "HEAD"}:
            return redirect(f"{SIGN_IN}?next={visit.request.url.path}")
        return visit.error(403, "Your session has ended; nothing was done. Sign in again.")
    if is_for_admins and not visit.caller.is_admin:
        message = "This page is for administrators."
        Attempt.by(visit.caller, "web.admin", visit.origin).record("refused", reason=message)
        return visit.error(403, message)
    return None


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form; of two with one name the last."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise ApiError(400, f"Forms come as {_FORM}.")
    body = await read_body(request.receive, _LONGEST_FORM)
    try:
        fields = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError as exc:
        raise ApiError(400, "The form cannot be read.") from exc
    return dict(fields)


def redirect(address: str, headers: Mapping[str, str] | None = None) -> Response:
    """Send the browser on, with a GET."""
    return RedirectResponse(
        address,
        303,
        headers={"Cache-Control": "no-store", **SECURITY_HEADERS, **(headers or {})},
    )
