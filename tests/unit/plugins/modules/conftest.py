# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Runs of tier_policies, one after the other, at times of the test's choosing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.maas.platform.plugins.module_utils._accounts import account_manifest
from ansible_collections.maas.platform.plugins.modules import tier_policies

from tests.unit.plugins.conftest import FakeApi

START = datetime(2026, 11, 23, 8, 0, 0, tzinfo=UTC)


class Platform:
    """A cluster in memory that is converged again and again."""

    def __init__(self, api: FakeApi, tiers: list[Any], models: list[Any]) -> None:
        self.api = api
        self.tiers = tiers
        self.models = models
        self.overrides: list[Any] = []
        self.time = START

    def params(self, **options: Any) -> dict[str, Any]:
        return {
            "tiers": self.tiers,
            "models": self.models,
            "overrides": self.overrides,
            "directory": None,
            "parts": ["policies", "namespaces", "access", "catalog"],
            "gateway_namespace": "maas-gateway",
            "api_namespace": "maas-api",
            "kuadrant_namespace": "kuadrant-system",
            "state": "present",
            "wait": True,
            "wait_timeout": 10,
            **options,
        }

    def run(self, check_mode: bool = False, diff_mode: bool = False, **options: Any) -> Any:
        self.api.log.clear()
        return tier_policies.run(
            self.params(**options), self.api.cluster, check_mode, diff_mode, lambda: self.time
        )

    def later(self, **delta: int) -> None:
        self.time += timedelta(**delta)

    def writes(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path in self.api.log if method not in ("GET", "POST")]

    def add_account(self, user: str, tier: str) -> None:
        self.api.cluster().create(account_manifest(user, tier))

    def tier(self, name: str) -> Any:
        (found,) = [tier for tier in self.tiers if tier["name"] == name]
        return found

    def policy(self, plural: str) -> dict[str, Any]:
        (found,) = [item for path, item in self.api.objects.items() if f"/{plural}/" in path]
        return found


@pytest.fixture
def platform(api: FakeApi, raw_tiers: list[Any], raw_models: list[Any]) -> Platform:
    """Return a cluster that nothing was converged on yet."""
    return Platform(api, raw_tiers, raw_models)
