# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What administrators see: tiers, policies, users, usage."""

from __future__ import annotations

import time
from urllib.parse import urlencode

from starlette.responses import Response

from ..desk import Desk
from ..errors import ApiError
from ..messages import Holder, UsageBody
from .plot import draw
from .rows import LimitRow, fullest, limit_rows
from .visit import Visit

_PAGE = 50
_MEASURES = ("tokens", "requests")
_BREAKDOWNS = ("tier", "user", "model")
_RANGES = ((1, "hour"), (24, "24 hours"), (168, "7 days"), (720, "30 days"))
_NOT_COUNTED = "Who used how much cannot be read at this moment."


class AdminPages:
    """The pages of those in the administrators' groups."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def tiers(self, visit: Visit) -> Response:
        """Show tiers, policies, and whether they agree."""
        platform = await self._desk.platform(visit.caller, visit.origin)
        return visit.page(
            "admin_tiers.html",
            platform=platform,
            tiers=[(each, limit_rows(each.tier.limits)) for each in platform.tiers],
        )

    async def users(self, visit: Visit) -> Response:
        """Show who has tokens."""
        query = visit.request.query_params
        words, tier = query.get("q", "").strip(), query.get("tier", "")
        holders = self._desk.holders(visit.caller, visit.origin)
        tiers = sorted({holder.tier for holder in holders})
        found = [
            holder
            for holder in holders
            if words.lower() in holder.user.lower() and tier in ("", holder.tier)
        ]
        usage, problem = await self._usage(visit)
        pages = max(1, -(-len(found) // _PAGE))
        number = min(pages, _page_number(query.get("page", "1")))
        shown = found[(number - 1) * _PAGE : number * _PAGE]
        now = time.time()
        return visit.page(
            "admin_users.html",
            query=words,
            tier=tier,
            tiers=tiers,
            total=len(found),
            pages=pages,
            number=number,
            problem=problem,
            now=now,
            holders=[(holder, _fullest(holder, usage)) for holder in shown],
        )

    async def confirm_revocation(self, visit: Visit) -> Response:
        """Ask once more."""
        owner = visit.request.query_params.get("user", "")
        if not any(
            holder.user == owner for holder in self._desk.holders(visit.caller, visit.origin)
        ):
            raise ApiError(404, "Nobody of this name has an account.")
        return visit.page(
            "revoke.html",
            owner=owner,
            action="/ui/admin/users/revoke",
            back=f"/ui/admin/users?{urlencode({'q': owner})}",
        )

    async def revoke(self, visit: Visit) -> Response:
        """End every token of somebody."""
        form = await visit.form()
        owner = form.get("user", "")
        if not owner:
            raise ApiError(400, "The form names no user.")
        accounts = await self._revoke(visit, owner)
        return visit.page("revoked.html", owner=owner, accounts=accounts, back="/ui/admin/users")

    async def usage(self, visit: Visit) -> Response:
        """Show usage over time."""
        query = visit.request.query_params
        measure = _choose(query.get("measure"), _MEASURES)
        by = _choose(query.get("by"), _BREAKDOWNS)
        names = dict(_RANGES)
        wish = query.get("hours", "")
        hours = int(wish) if wish in {str(value) for value in names} else 24
        problem, history = "", None
        try:
            history = await self._desk.usage_over_time(
                visit.caller, by, measure, hours, visit.origin
            )
        except ApiError as exc:
            if exc.status < 500:
                raise
            problem = exc.message
        plot = None
        if history is not None:
            series = [(each.name, each.values) for each in history.series]
            plot = draw(history.begin, history.step_seconds, series, measure)
        return visit.page(
            "admin_usage.html",
            measures=_MEASURES,
            breakdowns=_BREAKDOWNS,
            ranges=_RANGES,
            measure=measure,
            by=by,
            hours=hours,
            range_name=names[hours],
            problem=problem,
            plot=plot,
            step_seconds=history.step_seconds if history else 0,
        )

    async def _revoke(self, visit: Visit, owner: str) -> list[str]:
        try:
            return await self._desk.revoke_user(visit.caller, owner, visit.origin)
        except ApiError as exc:
            # Between the page and the form somebody else may have done it.
            if exc.status != 404:
                raise
            return []

    async def _usage(self, visit: Visit) -> tuple[dict[tuple[str, str | None], UsageBody], str]:
        try:
            usage = await self._desk.usage_of_all(visit.caller, visit.origin)
        except ApiError as exc:
            if exc.status < 500:
                raise
            return {}, _NOT_COUNTED
        return {(each.user, each.tier): each for each in usage}, ""


def _fullest(holder: Holder, usage: dict[tuple[str, str | None], UsageBody]) -> LimitRow | None:
    own = usage.get((holder.user, holder.tier))
    return fullest(own) if own else None


def _page_number(raw: str) -> int:
    return max(1, int(raw)) if raw.isascii() and raw.isdecimal() and len(raw) < 8 else 1


def _choose(raw: str | None, allowed: tuple[str, ...]) -> str:
    return raw if raw in allowed else allowed[0]
