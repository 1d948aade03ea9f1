# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Settings: environment variables, none of them secret; secrets are files they name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .environment import Environment, SettingsError
from .shared._names import API_NAMESPACE, API_PORT, GATEWAY_NAMESPACE, TOKEN_AUDIENCE

__all__ = ["ACCOUNT_DIRECTORY", "LOG_LEVELS", "OidcSettings", "Settings", "SettingsError"]

#: Where Kubernetes mounts the pod's own identity.
ACCOUNT_DIRECTORY = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
LOG_LEVELS = ("debug", "info", "warning", "error")
_LIMITADOR = "http://limitador-limitador.kuadrant-system.svc.cluster.local:8080"


@dataclass(frozen=True)
class OidcSettings:
    """An OpenID Connect provider whose users may log in."""

    #: As its tokens name it; also the address where it is found.
    issuer: str
    #: Whom the tokens must be for: this service, as the provider knows it.
    client_id: str
    client_secret_file: Path | None = None
    #: Whom to trust where the provider's certificate is not of a public authority.
    ca_file: Path | None = None
    #: Where this service reaches the provider, if not at the address that browsers use.
    backend_url: str | None = None
    username_claim: str = "sub"
    groups_claim: str = "groups"
    #: Before every user name: alice of the provider is not alice of the cluster.
    username_prefix: str = "oidc:"
    groups_prefix: str = ""
    scopes: tuple[str, ...] = ("openid", "profile", "email", "groups")
    #: How far the provider's clock may differ from ours.
    leeway_seconds: float = 30.0

    @classmethod
    def read(cls, environment: Environment) -> OidcSettings | None:
        """Return the provider, or None where none is named."""
        issuer = environment.optional_url("MAAS_OIDC_ISSUER")
        if issuer is None:
            return None
        # The issuer is compared letter by letter, and some end with a slash.
        issuer = environment.text("MAAS_OIDC_ISSUER")
        client_id = environment.text("MAAS_OIDC_CLIENT_ID")
        if not client_id:
            raise SettingsError(
                "MAAS_OIDC_CLIENT_ID is not set; allowed: the client id that the issuer "
                f"{issuer} gave this platform"
            )
        for name in ("MAAS_OIDC_ISSUER", "MAAS_OIDC_BACKEND_URL"):
            _check_https(name, environment.text(name))
        scopes = tuple(environment.text("MAAS_OIDC_SCOPES").split())
        return cls(
            issuer=issuer,
            client_id=client_id,
            client_secret_file=environment.file("MAAS_OIDC_CLIENT_SECRET_FILE"),
            ca_file=environment.file("MAAS_OIDC_CA_FILE"),
            backend_url=environment.optional_url("MAAS_OIDC_BACKEND_URL"),
            username_claim=environment.text("MAAS_OIDC_USERNAME_CLAIM", cls.username_claim),
            groups_claim=environment.text("MAAS_OIDC_GROUPS_CLAIM", cls.groups_claim),
            username_prefix=_prefix(environment),
            groups_prefix=environment.text("MAAS_OIDC_GROUPS_PREFIX"),
            scopes=scopes if "openid" in scopes else ("openid", *scopes) if scopes else cls.scopes,
            leeway_seconds=environment.number("MAAS_OIDC_LEEWAY_SECONDS", cls.leeway_seconds, 300),
        )


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
    #: Where the public Gateway and its policies are.
    gateway_namespace: str = GATEWAY_NAMESPACE
    host: str = "0.0.0.0"  # noqa: S104 - a pod's one address
    port: int = API_PORT
    log_level: str = "info"
    #: How long a stopping pod goes on serving, so that every client learns of it first.
    drain_seconds: float = 5.0
    #: Whether tokens of the cluster's own users are logins; tier tokens are read in any case.
    kubernetes_logins: bool = True
    oidc: OidcSettings | None = None
    #: Whose members are administrators.
    admin_groups: frozenset[str] = frozenset()
    #: So many tokens a user may have made in so long, by each replica; 0 is no limit.
    mint_limit: int = 60
    mint_window_seconds: float = 60.0
    #: So many tokens a minute that are no good each address may bring, to each replica; 0 is
    #: no limit.
    refused_limit: int = 120
    #: Where the counters of the limits are.
    limitador_url: str = _LIMITADOR
    #: Where usage over time is; None where nothing keeps it.
    prometheus_url: str | None = None
    #: How many proxies of ours add to X-Forwarded-For; 0 believes none of it.
    trusted_hops: int = 1
    #: Whether the web pages are served.
    web_enabled: bool = True
    #: Whether all models answer at one base URL as well, by the body's `model`.
    has_base_url: bool = True
    #: Keys that sign web sessions, one a line; the first signs, all are accepted.
    session_key_file: Path | None = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Return the settings; SettingsError names the variable that is wrong."""
        environment = Environment(environ)
        kubernetes_url, directory = _kubernetes(environment)
        settings = cls(
            gateway_url=environment.url("MAAS_GATEWAY_URL"),
            kubernetes_url=kubernetes_url,
            account_directory=directory,
            gateway_audience=environment.text("MAAS_GATEWAY_AUDIENCE", TOKEN_AUDIENCE),
            namespace=environment.text("MAAS_NAMESPACE") or _own_namespace(directory),
            gateway_namespace=environment.text("MAAS_GATEWAY_NAMESPACE", GATEWAY_NAMESPACE),
            host=environment.text("MAAS_HOST", cls.host),
            port=int(environment.number("MAAS_PORT", API_PORT, 65535)),
            log_level=environment.choice("MAAS_LOG_LEVEL", LOG_LEVELS, "info"),
            drain_seconds=environment.number("MAAS_DRAIN_SECONDS", cls.drain_seconds, 600),
            kubernetes_logins=environment.flag("MAAS_KUBERNETES_LOGINS", True),
            oidc=OidcSettings.read(environment),
            admin_groups=_admin_groups(environment),
            mint_limit=int(environment.number("MAAS_MINT_LIMIT", cls.mint_limit, 10**6)),
            mint_window_seconds=environment.number(
                "MAAS_MINT_WINDOW_SECONDS", cls.mint_window_seconds, 86400, least=1
            ),
            refused_limit=int(environment.number("MAAS_REFUSED_LIMIT", cls.refused_limit, 10**6)),
            limitador_url=environment.optional_url("MAAS_LIMITADOR_URL") or _LIMITADOR,
            prometheus_url=environment.optional_url("MAAS_PROMETHEUS_URL"),
            trusted_hops=int(environment.number("MAAS_TRUSTED_HOPS", cls.trusted_hops, 10)),
            web_enabled=environment.flag("MAAS_WEB", True),
            has_base_url=environment.flag("MAAS_BASE_URL", True),
            session_key_file=environment.file("MAAS_SESSION_KEY_FILE"),
        )
        if not settings.kubernetes_logins and settings.oidc is None:
            raise SettingsError(
                "MAAS_KUBERNETES_LOGINS is 'false' and MAAS_OIDC_ISSUER is not set, so nobody "
                "could log in; allowed: one of the two, or both"
            )
        return settings


def _check_https(name: str, url: str) -> None:
    parts = urlsplit(url)
    if url and parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise SettingsError(
            f"{name} is {url!r}; allowed: an https URL, because whoever can change the "
            "provider's answers can make logins"
        )


def _admin_groups(environment: Environment) -> frozenset[str]:
    groups = frozenset(environment.lines("MAAS_ADMIN_GROUPS"))
    reserved = sorted(group for group in groups if group.startswith("system:"))
    if reserved:
        raise SettingsError(
            f"MAAS_ADMIN_GROUPS names {', '.join(reserved)}; allowed: groups of people. Of some "
            "system: groups everybody is a member, or every pod"
        )
    return groups


def _prefix(environment: Environment) -> str:
    prefix = environment.text("MAAS_OIDC_USERNAME_PREFIX", OidcSettings.username_prefix)
    # The cluster's own accounts are called system:…; a prefix of that kind could make one up.
    if prefix.startswith("system:") or prefix.strip() != prefix:
        raise SettingsError(
            f"MAAS_OIDC_USERNAME_PREFIX is {prefix!r}; allowed: text that does not begin with "
            "system: and has no space at either end"
        )
    return prefix


def _kubernetes(environment: Environment) -> tuple[str, Path | None]:
    url = environment.optional_url("MAAS_KUBERNETES_URL")
    if url:
        return url, None
    host = environment.text("KUBERNETES_SERVICE_HOST")
    if not host:
        raise SettingsError(
            "KUBERNETES_SERVICE_HOST is not set, so this is no pod; outside a cluster set "
            "MAAS_KUBERNETES_URL to the address of a `kubectl proxy`"
        )
    shown = f"[{host}]" if ":" in host else host
    port = environment.text("KUBERNETES_SERVICE_PORT", "443")
    return f"https://{shown}:{port}", ACCOUNT_DIRECTORY


def _own_namespace(directory: Path | None) -> str:
    file = directory / "namespace" if directory else None
    return file.read_text().strip() if file and file.is_file() else API_NAMESPACE
