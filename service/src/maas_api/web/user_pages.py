# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What everybody sees: tier, limits, models, tokens."""

from __future__ import annotations

from starlette.responses import Response

from ..desk import Desk
from ..errors import ApiError
from ..expiration import parse_expiration
from ..messages import Limits
from .rows import LimitRow, limit_rows
from .sign_in import SignIn
from .snippets import callable_model
from .visit import Visit
from .words import lifetimes

_NOT_COUNTED = "How much you used cannot be read at this moment; the limits hold all the same."


class UserPages:
    """The pages of one's own tier and tokens."""

    def __init__(self, desk: Desk, sign_in: SignIn, has_base_url: bool) -> None:
        self._desk = desk
        self._has_base_url = has_base_url
        self._sign_in = sign_in

    async def home(self, visit: Visit) -> Response:
        """Show the overview, or the way in."""
        if visit.session is None:
            return visit.page("landing.html", has_login=self._sign_in.has_login)
        me = self._desk.me(visit.caller)
        rows, problem = await self._rows(visit, me.limits)
        return visit.page(
            "home.html",
            me=me,
            description=visit.caller.tier.description if visit.caller.tier else "",
            refusal=me.refusal,
            rows=rows,
            problem=problem,
            lifetimes=lifetimes(me.token.default_ttl_seconds, me.token.max_ttl_seconds)
            if me.token
            else [],
            models=[callable_model(model, self._has_base_url) for model in me.models],
        )

    async def usage(self, visit: Visit) -> Response:
        """Show the limits alone, for the script that keeps them fresh."""
        if visit.session is None:
            raise ApiError(403, "Your session has ended.")
        rows, problem = await self._rows(visit, self._desk.me(visit.caller).limits)
        return visit.page("usage.html", rows=rows, problem=problem)

    async def mint(self, visit: Visit) -> Response:
        """Make a token and show it."""
        form = await visit.form()
        raw = form.get("lifetime", "")
        if not raw.isascii() or not raw.isdecimal() or len(raw) > 12:
            raise ApiError(400, "Choose one of the lifetimes.")
        made = await self._desk.mint(visit.caller, int(raw), visit.origin)
        ready = [model for model in made.models if model.ready]
        return visit.page(
            "token.html",
            token=made.token,
            display_name=made.display_name,
            lifetime_seconds=parse_expiration(made.expiration),
            expires_at=made.expires_at,
            curl=callable_model(ready[0], self._has_base_url).curl if ready else "",
        )

    async def confirm_revocation(self, visit: Visit) -> Response:
        """Ask once more."""
        return visit.page("revoke.html", owner="", action="/ui/tokens/revoke", back="/")

    async def revoke(self, visit: Visit) -> Response:
        """End every token of one's own."""
        await visit.form()
        accounts = await self._desk.revoke(visit.caller, visit.origin)
        return visit.page("revoked.html", owner="", accounts=accounts, back="/")

    async def _rows(self, visit: Visit, limits: Limits | None) -> tuple[list[LimitRow], str]:
        if limits is None:
            return [], ""
        try:
            usage = await self._desk.usage(visit.caller)
        except ApiError as exc:
            if exc.status < 500:
                raise
            return limit_rows(limits), _NOT_COUNTED
        return limit_rows(limits, usage), ""
