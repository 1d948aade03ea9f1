# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Moments as annotations and the catalog write them: RFC 3339, UTC, whole seconds. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from ._errors import MaasError, show

_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
_WRITTEN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


def parse_time(raw: Any) -> datetime:
    """Return the moment; MaasError where it is none that was written here."""
    try:
        if isinstance(raw, str) and _WRITTEN.fullmatch(raw):
            return datetime.strptime(raw, _FORMAT).replace(tzinfo=UTC)
    except ValueError:  # such as a thirteenth month
        pass
    raise MaasError(f"{show(raw)} is no time; allowed: such as 2026-11-23T08:00:00Z")


def write_time(moment: datetime) -> str:
    """Return the moment as text; parts of a second are cut off."""
    return moment.astimezone(UTC).strftime(_FORMAT)


def after(moment: datetime, seconds: int) -> datetime:
    """Return the moment so many seconds later, whole seconds."""
    try:
        return moment.replace(microsecond=0) + timedelta(seconds=seconds)
    except OverflowError as exc:
        raise MaasError(f"{seconds} s from now is beyond the last year there is") from exc
