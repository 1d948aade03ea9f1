# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Settings: environment variables, none of them secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .shared._names import API_NAMESPACE, API_PORT, TOKEN_AUDIENCE

#: Where Kubernetes mounts the pod's own identity.
ACCOUNT_DIRECTORY = Path("/var/run/secrets/kubernetes.io/serviceaccount")
LOG_LEVELS = ("debug", "info", "warning", "error")


class SettingsError(Exception):
    """A setting is missing or wrong; the text names it and says what is allowed."""


@dataclass(frozen=True)
class Settings:
    """Everything that differs between one deployment and the next."""

    #: What users type, for example https://maas.example.com; models' URLs start with it.
    gateway_url: str
    #: Where the API server is.
    kubernetes_url: str
    #: Token and CA of the pod; None while developing behind `kubectl proxy`.
    account_directory: Path | None = None
    gateway_audience: str = TOKEN_AUDIENCE
    #: Our own namespace, which holds the catalog.
    namespace: str = API_NAMESPACE
    host: str = "0.0.0.0"  # noqa: S104 - a pod's one address
    port: int = API_PORT
    log_level: str = "info"
    #: How long a stopping pod goes on serving, so that every client learns of it first.
    drain_seconds: float = 5.0

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Return the settings; SettingsError names the variable that is wrong."""
        kubernetes_url, directory = _kubernetes(environ)
        return cls(
            gateway_url=_url(environ, "MAAS_GATEWAY_URL"),
            kubernetes_url=kubernetes_url,
            account_directory=directory,
            gateway_audience=environ.get("MAAS_GATEWAY_AUDIENCE") or TOKEN_AUDIENCE,
            namespace=environ.get("MAAS_NAMESPACE") or _own_namespace(directory),
            host=environ.get("MAAS_HOST") or cls.host,
            port=int(_number(environ, "MAAS_PORT", API_PORT, 65535)),
            log_level=_choice(environ, "MAAS_LOG_LEVEL", LOG_LEVELS, "info"),
            drain_seconds=_number(environ, "MAAS_DRAIN_SECONDS", cls.drain_seconds, 600),
        )


def _url(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "").rstrip("/")
    parts = urlsplit(value)
    if parts.scheme not in {"https", "http"} or not parts.netloc or parts.query or parts.fragment:
        raise SettingsError(f"{name} is {value!r}; allowed: a URL such as https://maas.example.com")
    return value


def _kubernetes(environ: Mapping[str, str]) -> tuple[str, Path | None]:
    if environ.get("MAAS_KUBERNETES_URL"):
        return _url(environ, "MAAS_KUBERNETES_URL"), None
    host = environ.get("KUBERNETES_SERVICE_HOST")
    if not host:
        raise SettingsError(
            "KUBERNETES_SERVICE_HOST is not set, so this is no pod; outside a cluster set "
            "MAAS_KUBERNETES_URL to the address of a `kubectl proxy`"
        )
    shown = f"[{host}]" if ":" in host else host
    return f"https://{shown}:{environ.get('KUBERNETES_SERVICE_PORT', '443')}", ACCOUNT_DIRECTORY


def _own_namespace(directory: Path | None) -> str:
    file = directory / "namespace" if directory else None
    return file.read_text().strip() if file and file.is_file() else API_NAMESPACE


def _number(environ: Mapping[str, str], name: str, absent: float, most: float) -> float:
    raw = environ.get(name) or str(absent)
    try:
        value = float(raw)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise SettingsError(f"{name} is {raw!r}; allowed: a number from 0 to {most:g}")
    return value


def _choice(environ: Mapping[str, str], name: str, allowed: tuple[str, ...], absent: str) -> str:
    value = (environ.get(name) or absent).lower()
    if value not in allowed:
        raise SettingsError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")
    return value
