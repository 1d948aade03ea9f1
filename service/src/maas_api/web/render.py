# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Pages from templates, with the headers that keep a browser in bounds."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ..errors import ApiError
from . import words

#: No inline script, no inline style, nothing from elsewhere, in nobody's frame. Signing in is a
#: link and not a form, so that forms need to reach nobody but us.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    # Not no-referrer: forms would then come with "Origin: null", and we could not check it.
    "Referrer-Policy": "same-origin",
    # Browsers heed it only where the certificate is good; the Gateway's other port may be plain.
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
STATIC = "/ui/static/"
_FOREVER = "public, max-age=31536000, immutable"


class Renderer:
    """Renders templates; every value in them is escaped unless it was made as markup here."""

    def __init__(self) -> None:
        self._assets = Assets()
        self._environment = Environment(
            loader=PackageLoader("maas_api.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            # Templates are part of the program: they do not change while it runs.
            auto_reload=False,
        )
        self._environment.globals["asset"] = self._assets.address
        self._environment.filters.update(
            capitalize_first=words.capitalize_first,
            count=words.count,
            window=words.window,
            duration=words.duration,
            lifetime=words.lifetime,
            when=words.when,
            machine_time=words.machine_time,
        )

    def page(self, template: str, values: Mapping[str, Any], status: int = 200) -> HTMLResponse:
        """Return a page that no cache keeps."""
        text = self._environment.get_template(template).render(values)
        return HTMLResponse(text, status, headers={"Cache-Control": "no-store", **SECURITY_HEADERS})

    async def asset(self, request: Request) -> Response:
        """Return a style sheet, a script or an image of ours."""
        return self._assets.answer(request)


class Assets:
    """The static files, in memory, each under an address that changes with its content."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[bytes, str, str]] = {}
        for file in files("maas_api.web").joinpath("static").iterdir():
            content = file.read_bytes()
            kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            version = hashlib.sha256(content).hexdigest()[:16]
            self._files[file.name] = (content, kind, version)

    def address(self, name: str) -> str:
        """Return where a file is."""
        return f"{STATIC}{name}?v={self._files[name][2]}"

    def answer(self, request: Request) -> Response:
        """Return a file; caches may keep it for good if its address says which version it is."""
        found = self._files.get(request.path_params["name"])
        if found is None:
            raise ApiError(404, "There is no such file.")
        content, kind, version = found
        is_this = request.query_params.get("v") == version
        headers = {"Cache-Control": _FOREVER if is_this else "no-cache", **SECURITY_HEADERS}
        return Response(content, headers=headers, media_type=kind)
