# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Settings: what is read, and what is refused by name."""

from __future__ import annotations

import pytest
from maas_api.settings import ACCOUNT_DIRECTORY, OidcSettings, Settings, SettingsError

POD = {
    "MAAS_GATEWAY_URL": "https://maas.example.test/",
    "KUBERNETES_SERVICE_HOST": "10.0.0.1",
    "KUBERNETES_SERVICE_PORT": "6443",
}


def test_a_pod_needs_one_setting() -> None:
    settings = Settings.from_environ(POD)
    assert settings.gateway_url == "https://maas.example.test"
    assert settings.kubernetes_url == "https://10.0.0.1:6443"
    assert settings.account_directory == ACCOUNT_DIRECTORY
    assert settings.gateway_audience == "maas-default-gateway-sa"
    assert settings.namespace == "maas-api"
    assert (settings.port, settings.log_level) == (8080, "info")


def test_addresses_of_version_six_get_brackets() -> None:
    settings = Settings.from_environ({**POD, "KUBERNETES_SERVICE_HOST": "fd00::1"})
    assert settings.kubernetes_url == "https://[fd00::1]:6443"


def test_a_proxy_needs_no_pod() -> None:
    settings = Settings.from_environ(
        {
            "MAAS_GATEWAY_URL": "https://maas.example.test",
            "MAAS_KUBERNETES_URL": "http://127.0.0.1:8001",
        }
    )
    assert settings.kubernetes_url == "http://127.0.0.1:8001"
    assert settings.account_directory is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAAS_GATEWAY_URL", ""),
        ("MAAS_GATEWAY_URL", "maas.example.test"),
        ("MAAS_GATEWAY_URL", "ftp://maas.example.test"),
        ("KUBERNETES_SERVICE_HOST", ""),
        ("MAAS_PORT", "http"),
        ("MAAS_PORT", "70000"),
        ("MAAS_LOG_LEVEL", "loud"),
        ("MAAS_DRAIN_SECONDS", "nan"),
        ("MAAS_KUBERNETES_LOGINS", "yes"),
        ("MAAS_KUBERNETES_LOGINS", "false"),
        ("MAAS_WEB", "on"),
        ("MAAS_MINT_LIMIT", "-1"),
        ("MAAS_MINT_WINDOW_SECONDS", "0"),
        ("MAAS_LIMITADOR_URL", "limitador:8080"),
        ("MAAS_TRUSTED_HOPS", "many"),
        ("MAAS_SESSION_KEY_FILE", "/nowhere/key"),
        ("MAAS_OIDC_ISSUER", "login.example.test"),
        ("MAAS_OIDC_ISSUER", "http://login.example.test"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_environ({"MAAS_OIDC_CLIENT_ID": "maas", **POD, name: value})


OIDC = {
    **POD,
    "MAAS_OIDC_ISSUER": "https://login.example.test/",
    "MAAS_OIDC_CLIENT_ID": "maas",
}


def test_without_an_issuer_there_is_no_provider() -> None:
    assert Settings.from_environ(POD).oidc is None


def test_a_provider() -> None:
    settings = Settings.from_environ(OIDC)
    # With its slash: issuers are compared letter by letter.
    assert settings.oidc == OidcSettings(issuer="https://login.example.test/", client_id="maas")
    assert settings.kubernetes_logins
    assert settings.oidc.username_prefix == "oidc:"


def test_a_provider_alone() -> None:
    settings = Settings.from_environ({**OIDC, "MAAS_KUBERNETES_LOGINS": "false"})
    assert not settings.kubernetes_logins


def test_openid_is_always_asked_for() -> None:
    oidc = Settings.from_environ({**OIDC, "MAAS_OIDC_SCOPES": "email groups"}).oidc
    assert oidc is not None
    assert oidc.scopes == ("openid", "email", "groups")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAAS_OIDC_CLIENT_ID", ""),
        ("MAAS_OIDC_CA_FILE", "/nowhere/ca.crt"),
        ("MAAS_OIDC_CLIENT_SECRET_FILE", "/nowhere/secret"),
        ("MAAS_OIDC_BACKEND_URL", "dex:5556"),
        ("MAAS_OIDC_USERNAME_PREFIX", "system:node:"),
        ("MAAS_OIDC_USERNAME_PREFIX", " oidc:"),
        ("MAAS_OIDC_LEEWAY_SECONDS", "3600"),
    ],
)
def test_a_wrong_provider_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_environ({**OIDC, name: value})


def test_groups_come_one_a_line() -> None:
    groups = "platform admins\n cn=maas,ou=groups,dc=example \n\n"
    settings = Settings.from_environ({**POD, "MAAS_ADMIN_GROUPS": groups})
    assert settings.admin_groups == {"platform admins", "cn=maas,ou=groups,dc=example"}


@pytest.mark.parametrize(
    ("issuer", "backend", "wrong"),
    [
        ("http://login.example.test", "https://dex.login.svc", "MAAS_OIDC_ISSUER"),
        ("https://login.example.test", "http://dex.login.svc", "MAAS_OIDC_BACKEND_URL"),
        ("http://127.0.0.1.example.test", "", "MAAS_OIDC_ISSUER"),
    ],
)
def test_keys_come_by_https_only(issuer: str, backend: str, wrong: str) -> None:
    urls = {"MAAS_OIDC_ISSUER": issuer, "MAAS_OIDC_BACKEND_URL": backend}
    with pytest.raises(SettingsError, match=f"{wrong} .*https"):
        Settings.from_environ({**OIDC, **urls})


@pytest.mark.parametrize("host", ["127.0.0.1:5556", "localhost:5556", "[::1]:5556"])
def test_while_developing_a_provider_may_be_here(host: str) -> None:
    oidc = Settings.from_environ({**OIDC, "MAAS_OIDC_ISSUER": f"http://{host}/dex"}).oidc
    assert oidc is not None


@pytest.mark.parametrize("group", ["system:authenticated", "system:serviceaccounts"])
def test_not_everybody_is_an_administrator(group: str) -> None:
    with pytest.raises(SettingsError, match=f"MAAS_ADMIN_GROUPS .*{group}"):
        Settings.from_environ({**POD, "MAAS_ADMIN_GROUPS": f"admins\n{group}"})


def test_how_many_bad_tokens_may_come() -> None:
    environ = {"MAAS_GATEWAY_URL": "https://x", "MAAS_KUBERNETES_URL": "http://127.0.0.1:1"}
    assert Settings.from_environ(environ).refused_limit == 120
    assert Settings.from_environ({**environ, "MAAS_REFUSED_LIMIT": "0"}).refused_limit == 0
