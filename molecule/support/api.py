# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The MaaS API at its public path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from running_lab import Lab
from wire import Answer, Wire


class Api:
    """Calls to the MaaS API, by one of the lab's people or by the holder of a token."""

    def __init__(self, lab: Lab, wire: Wire) -> None:
        self.lab = lab
        self._wire = wire

    def __call__(
        self,
        method: str,
        path: str,
        who: str | None = None,
        *,
        token: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
        body: Any = None,
    ) -> Answer:
        """Send one request to a path below /maas-api."""
        credentials = self.lab.identity(who) if who else token
        return self._wire.request(
            method, f"/maas-api{path}", token=credentials, headers=headers, body=body
        )

    def mint(self, login: str, **body: Any) -> Answer:
        """Ask for a token with a login's token."""
        return self("POST", "/v1/tokens", token=login, body=body)
