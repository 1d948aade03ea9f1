# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Reading a request's body, up to a limit."""

from __future__ import annotations

import msgspec
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from .errors import ApiError

#: Users of a large directory are in many hundreds of groups; nothing else here is long.
LONGEST = 128 * 1024

#: What msgspec raises for JSON that is none, is not as described, or is not UTF-8.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError)


async def read_body(receive: Receive, longest: int = LONGEST) -> bytes:
    """Return the body; ApiError 413 as soon as it is too long."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > longest:
            raise ApiError(413, f"The body is longer than the {longest} bytes allowed.")
        if not message.get("more_body", False):
            return bytes(body)
