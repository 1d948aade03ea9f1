# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Until when a retired model is served: decided once, and remembered by its service. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ._errors import MaasError
from ._names import RETIRED_ANNOTATION, UNTIL_ANNOTATION
from ._times import after, parse_time, write_time


@dataclass(frozen=True)
class Retirement:
    """Since when callers are told, and until when they are served."""

    since: datetime
    until: datetime

    @property
    def annotations(self) -> dict[str, str]:
        """Return what a service remembers of it."""
        return {
            RETIRED_ANNOTATION: write_time(self.since),
            UNTIL_ANNOTATION: write_time(self.until),
        }


def read_retirement(service: Mapping[str, Any]) -> Retirement | None:
    """Return what a service remembers; None where it is not retired, or was edited."""
    written = service["metadata"].get("annotations") or {}
    try:
        until = parse_time(written.get(UNTIL_ANNOTATION))
    except MaasError:
        return None
    try:
        return Retirement(parse_time(written.get(RETIRED_ANNOTATION)), until)
    except MaasError:
        return Retirement(until, until)


def decide_retirement(service: Mapping[str, Any], now: datetime, seconds: int) -> Retirement:
    """Return what an earlier run decided, or what this one does."""
    return read_retirement(service) or Retirement(now.replace(microsecond=0), after(now, seconds))
