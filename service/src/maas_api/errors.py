# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The one shape of every error: {"error": code, "message": what, why, what to do}."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

#: Codes are the ones clients of the existing tier API know, and their like.
CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "payload_too_large",
    429: "too_many_requests",
    500: "internal_error",
    503: "unavailable",
}
_HEADERS = {
    401: {"WWW-Authenticate": 'Bearer realm="maas"'},
    503: {"Retry-After": "5"},
}


class ErrorBody(msgspec.Struct):
    """Why a request failed."""

    error: str
    message: str


class ApiError(Exception):
    """A request that ends with an error the caller is told about."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


def error_body(status: int, message: str) -> bytes:
    """Return the body of an error."""
    code = CODES.get(status) or ("bad_request" if status < 500 else "internal_error")
    return msgspec.json.encode(ErrorBody(code, message))


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer for an error."""
    return Response(
        error_body(status, message),
        status,
        headers={**_HEADERS.get(status, {}), **(headers or {})},
        media_type="application/json",
    )


async def answer_api_error(_request: Request, exc: Exception) -> Response:
    """Answer an ApiError."""
    assert isinstance(exc, ApiError)  # noqa: S101 - registered for this class alone
    return error_response(exc.status, exc.message, exc.headers)


async def answer_http_exception(request: Request, exc: Exception) -> Response:
    """Answer what Starlette itself refuses: an unknown path, a method the path has not."""
    assert isinstance(exc, HTTPException)  # noqa: S101 - registered for this class alone
    if exc.status_code == 404:
        message = "There is nothing at this path; see /openapi.json for what there is."
    elif exc.status_code == 405:
        allowed = (exc.headers or {}).get("Allow", "")
        message = f"This path does not take {request.method}; it takes {allowed}."
    else:
        message = str(exc.detail)
    return error_response(exc.status_code, message, exc.headers)
