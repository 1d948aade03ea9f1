# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The audit trail: who did what, whose, when, from where, and how it ended. Never a token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from starlette.requests import Request

from .errors import ApiError
from .identity import Caller
from .logs import audit_logger

Action = Literal[
    "token.mint",
    "token.revoke",
    "users.list",
    "usage.read",
    "platform.read",
    "web.sign-in",
    "web.sign-out",
    "web.admin",
]
Result = Literal["done", "refused", "failed"]
Via = Literal["api", "web"]

_LONGEST = 64


@dataclass(frozen=True)
class Origin:
    """Where a request came from."""

    #: The caller as the outermost proxy of ours saw him; the peer where there is none.
    client: str | None
    #: Who is connected: the gateway, or whoever reached the pod.
    peer: str | None
    via: Via

    @classmethod
    def of(cls, request: Request, via: Via = "api", trusted_hops: int = 1) -> Origin:
        """Return a request's origin.

        Each proxy appends whom it was called by to X-Forwarded-For, so the entries of ours are
        the last ones. What stands before them is the client's own word and is not kept.
        """
        peer = request.client.host if request.client else None
        client = peer
        if trusted_hops:
            lines = request.headers.getlist("x-forwarded-for")
            entries = [entry.strip() for entry in ",".join(lines).split(",") if entry.strip()]
            if len(entries) >= trusted_hops:
                client = entries[-trusted_hops][:_LONGEST]
        return cls(client, peer, via)


@dataclass
class Attempt:
    """Something somebody tries to do; a line is written when it is known how it ended."""

    origin: Origin
    action: Action
    user: str | None = None
    #: Whose tokens or data it is about.
    owner: str | None = None
    tier: str | None = None

    @classmethod
    def by(
        cls, caller: Caller, action: Action, origin: Origin, owner: str | None = None
    ) -> Attempt:
        """Return what this caller tries to do, with his own tokens unless another is named."""
        attempt = cls(origin, action)
        attempt.name(caller, owner)
        return attempt

    def name(self, caller: Caller, owner: str | None = None) -> None:
        """Note who it is, once that is known."""
        self.user = caller.user
        self.owner = owner or caller.user
        self.tier = caller.tier.name if caller.tier else None

    def record(self, result: Result, **details: Any) -> None:
        """Write the line."""
        audit_logger().info(
            "audit",
            action=self.action,
            result=result,
            user=self.user,
            owner=self.owner,
            tier=self.tier,
            **details,
            client=self.origin.client,
            peer=self.origin.peer,
            via=self.origin.via,
        )

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Record what ends it early; the end itself is recorded by whoever reaches it."""
        try:
            yield
        except Exception as exc:
            refused = isinstance(exc, ApiError) and exc.status < 500
            self.record("refused" if refused else "failed", reason=str(exc))
            raise
