# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What every way into the service works with: the API's endpoints and the web pages alike."""

from __future__ import annotations

from dataclasses import dataclass

from .desk import Desk
from .identity import Authenticator
from .metrics import Metrics
from .oidc import Oidc
from .settings import Settings
from .view import ClusterView


@dataclass(frozen=True)
class Services:
    """The parts of the application."""

    settings: Settings
    view: ClusterView
    authenticator: Authenticator
    desk: Desk
    metrics: Metrics
    #: None where no identity provider is configured.
    oidc: Oidc | None
