# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The keys that sign sessions, read again when their file changes."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import structlog

from ..secret import Secret
from ..settings import SettingsError
from .sessions import Sessions

log = structlog.get_logger()

_SHORTEST_KEY = 32
#: How often the file is looked at.
_LOOK_SECONDS = 10.0


class SessionKeys:
    """Gives what writes and reads cookies; SettingsError where the file is no good at the start.

    A key that leaked is worth nothing as soon as it is out of the file, on every replica.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._stamp = _stamp(file)
        self._sessions = Sessions(read_keys(file))
        self._looked_at = time.monotonic()

    @property
    def sessions(self) -> Sessions:
        """Return what the keys of now make."""
        if time.monotonic() - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = time.monotonic()
            self._look()
        return self._sessions

    def _look(self) -> None:
        stamp = _stamp(self._file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._sessions = Sessions(read_keys(self._file))
        except SettingsError as exc:
            log.error("session keys not read; those from before stay", reason=str(exc))  # noqa: TRY400
        else:
            log.info("session keys read again")


def read_keys(file: Path | None) -> list[Secret]:
    """Return the keys that sign sessions; SettingsError where a file is named and no good."""
    if file is None:
        log.warning(
            "no session key: sessions end with this process, and are unknown to other replicas"
        )
        return [Secret(secrets.token_hex(32))]
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"the file of session keys, {file}, cannot be read: {exc}") from exc
    keys = [line.strip() for line in text.splitlines() if line.strip()]
    if not keys or any(len(key) < _SHORTEST_KEY for key in keys):
        raise SettingsError(
            f"the file of session keys, {file}, must hold one key a line, each of at least "
            f"{_SHORTEST_KEY} random characters; with less, anybody could sign in as anybody"
        )
    return [Secret(key) for key in keys]


def _stamp(file: Path | None) -> tuple[int, int, int] | None:
    """Return what changes when the file does; Kubernetes replaces it by another."""
    try:
        status = file.stat() if file else None
    except OSError:
        return None
    return (status.st_ino, status.st_mtime_ns, status.st_size) if status else None
