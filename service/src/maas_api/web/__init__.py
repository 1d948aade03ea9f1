# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The web UI: pages of the same service, at the gateway's root."""

from __future__ import annotations

from .routes import web_routes

__all__ = ["web_routes"]
