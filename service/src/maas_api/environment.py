# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Reading environment variables: each by its kind, wrong ones by their name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from urllib.parse import urlsplit


class SettingsError(Exception):
    """A setting is missing or wrong; the text names it and says what is allowed."""


class Environment:
    """Environment variables; an empty one is an absent one."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, name: str, absent: str = "") -> str:
        """Return the text."""
        return self._environ.get(name) or absent

    def lines(self, name: str) -> tuple[str, ...]:
        """Return one entry a line; names of groups may have commas and spaces in them."""
        return tuple(line.strip() for line in self.text(name).splitlines() if line.strip())

    def url(self, name: str) -> str:
        """Return an absolute URL without a slash at its end."""
        value = self.text(name).rstrip("/")
        parts = urlsplit(value)
        known = parts.scheme in {"https", "http"} and parts.netloc
        if not known or parts.query or parts.fragment:
            raise SettingsError(
                f"{name} is {value!r}; allowed: a URL such as https://maas.example.com"
            )
        return value

    def optional_url(self, name: str) -> str | None:
        """Return a URL, or None where there is none."""
        return self.url(name) if self.text(name) else None

    def file(self, name: str) -> Path | None:
        """Return a file that exists, or None where none is named."""
        value = self.text(name)
        if not value:
            return None
        if not Path(value).is_file():
            raise SettingsError(f"{name} is {value!r}; allowed: a file that exists")
        return Path(value)

    def number(self, name: str, absent: float, most: float, least: float = 0) -> float:
        """Return a number."""
        raw = self.text(name, str(absent))
        try:
            value = float(raw)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise SettingsError(f"{name} is {raw!r}; allowed: a number from {least:g} to {most:g}")
        return value

    def choice(self, name: str, allowed: Collection[str], absent: str) -> str:
        """Return one of a few words."""
        value = self.text(name, absent).lower()
        if value not in allowed:
            raise SettingsError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")
        return value

    def flag(self, name: str, absent: bool) -> bool:
        """Return true or false."""
        return self.choice(name, ("true", "false"), str(absent).lower()) == "true"
