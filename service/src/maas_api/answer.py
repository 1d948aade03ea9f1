# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Reading what another service answers, up to a limit."""

from __future__ import annotations

from collections.abc import Mapping

import httpx


async def read_answer(
    client: httpx.AsyncClient,
    url: str,
    longest: int,
    params: Mapping[str, str | int] | None = None,
) -> bytes:
    """Return the body of a good answer; httpx.HTTPError for any other, or one that is too long."""
    content = bytearray()
    async with client.stream("GET", url, params=params) as response:
        if response.status_code != 200:
            raise httpx.DecodingError(f"status {response.status_code}")
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > longest:
                raise httpx.DecodingError(f"the answer is longer than {longest} bytes")
    return bytes(content)
