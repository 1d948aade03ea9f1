# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The audit trail: who did what, whose, when, from where, and how it ended. Never a token."""

from __future__ import annotations

from typing import Literal

from starlette.requests import Request

from .logs import audit_logger

Action = Literal["token.mint", "token.revoke"]
Result = Literal["done", "refused", "failed"]

_LONGEST = 200


def record(
    request: Request,
    action: Action,
    result: Result,
    *,
    user: str | None,
    tier: str | None = None,
    accounts: list[str] | None = None,
    ttl_seconds: int | None = None,
    expires_at: int | None = None,
    reason: str | None = None,
) -> None:
    """Write one line. `user` asks for himself, so he is both who and whose.

    `peer` is who is connected: the gateway, or whoever reached the pod. `forwarded_for` is
    what the request says; its last entry is the gateway's word only if `peer` is the gateway.
    """
    forwarded = request.headers.get("x-forwarded-for")
    audit_logger().info(
        "audit",
        action=action,
        result=result,
        user=user,
        owner=user,
        tier=tier,
        accounts=accounts,
        ttl_seconds=ttl_seconds,
        expires_at=expires_at,
        peer=request.client.host if request.client else None,
        forwarded_for=forwarded[:_LONGEST] if forwarded else None,
        reason=reason,
    )
