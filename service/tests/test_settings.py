# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Settings: what is read, and what is refused by name."""

from __future__ import annotations

import pytest
from maas_api.settings import ACCOUNT_DIRECTORY, Settings, SettingsError

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
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_environ({**POD, name: value})
