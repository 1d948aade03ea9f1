# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""A model owner's day: edit maas_models, run maas.platform.models."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import yaml
from day2 import KIND, Entry, Outcome, Owner

_WRITTEN = yaml.safe_load((KIND / "group_vars" / "maas_platform" / "models.yml").read_text())
KIND_MODELS: list[Entry] = _WRITTEN["maas_models"]
#: How the lab's own models run.
RUNTIME: Entry = _WRITTEN["maas_lab_model_runtime"]
_SLOTS = 2


def model(name: str, **changes: Any) -> Entry:
    """Write one entry of maas_models: the lab's small real model under another name."""
    return {
        "name": name,
        "uri": "hf://google/gemma-3-270m",
        "storage_initializer": False,
        "replicas": 1,
        "runtime": RUNTIME,
    } | changes


def context(tokens: int) -> Entry:
    """Write a runtime whose answers tell it from others: by the context of one caller."""
    runtime = deepcopy(RUNTIME)
    args = runtime["args"]
    args[args.index("--ctx-size") + 1] = str(tokens * _SLOTS)
    return runtime


class ModelOwner:
    """Has further models beside the lab's own, and runs the playbook after every edit."""

    def __init__(self, owner: Owner, tiers: list[Entry]) -> None:
        self._owner = owner
        self._tiers = tiers
        self._now: tuple[list[Entry], list[Entry]] | None = None

    def apply(self, *models: Entry, tiers: list[Entry] | None = None) -> Outcome:
        """Run the playbook over these further models; it must succeed."""
        outcome = self.run(*models, tiers=tiers)
        assert outcome.status == 0, outcome.message
        self._now = (list(models), self._chosen(tiers))
        return outcome

    def ensure(self, *models: Entry, tiers: list[Entry] | None = None) -> None:
        """Have these models, as the test before left them: so every file also runs alone."""
        if self._now != (list(models), self._chosen(tiers)):
            self.apply(*models, tiers=tiers)

    def run(self, *models: Entry, tiers: list[Entry] | None = None) -> Outcome:
        """Run the playbook over these further models."""
        self._now = None
        return self._owner.run(*self._chosen(tiers), maas_models=[*KIND_MODELS, *models])

    def refuse(self, *models: Entry, tiers: list[Entry] | None = None) -> str:
        """Run the playbook, which must stop before anything changes; return its message."""
        return self._owner.refuse(*self._chosen(tiers), maas_models=[*KIND_MODELS, *models])

    def explain(self, *models: Entry, tiers: list[Entry] | None = None) -> str:
        """Return what --check --diff prints for people."""
        return self._owner.explain(*self._chosen(tiers), maas_models=[*KIND_MODELS, *models])

    def kill(self, *models: Entry, when: Callable[[], bool]) -> None:
        """Start the playbook, and kill all of it as soon as something has come true."""
        self._now = None
        self._owner.kill(*self._tiers, maas_models=[*KIND_MODELS, *models], when=when)

    def _chosen(self, tiers: list[Entry] | None) -> list[Entry]:
        return self._tiers if tiers is None else tiers
