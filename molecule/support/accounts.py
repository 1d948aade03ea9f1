# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Users made for these tests alone: limits count per user, so each test brings its own.

Minting goes through the collection's module, the way an operator mints; several users in one
call, because every start of Ansible costs a second.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from dataclasses import dataclass, field

from catalog import Catalog
from hidden import Hidden
from running_lab import Lab

from playbooks import run_module

_BATCH = 12


@dataclass(frozen=True)
class User:
    """A user with a token for their tier."""

    name: str
    tier: str
    namespace: str
    account: str
    token: str = field(repr=False)


class Accounts:
    """Hands out users nobody has used yet, and takes all of them away at the end."""

    def __init__(self, lab: Lab, catalog: Catalog) -> None:
        self._lab = lab
        self._catalog = catalog
        # Counters of an earlier run may still be open, so names never repeat.
        self._run = secrets.token_hex(4)
        self._ready: dict[str, list[User]] = defaultdict(list)
        self._made: dict[str, list[str]] = defaultdict(list)

    def take(self, tier: str) -> User:
        """Return a user of this tier who has called nothing yet."""
        if not self._ready[tier]:
            self._ready[tier] = self._mint(tier)
        return self._ready[tier].pop()

    def revoke_all(self) -> None:
        """Delete every account that was made here."""
        for names in self._made.values():
            run_module("tier_token", self._lab, users=names, state="revoked", wait=False)

    def _mint(self, tier: str) -> list[User]:
        first = len(self._made[tier])
        names = [f"test-{self._run}-{tier}-{first + n}" for n in range(_BATCH)]
        self._made[tier] += names
        result = run_module("tier_token", self._lab, users=names, tier=tier, show_tokens=True)
        return [
            User(
                name=entry["user"],
                tier=tier,
                namespace=self._catalog.tiers[tier].namespace,
                account=entry["account"],
                token=Hidden(entry["token"]),
            )
            for entry in result["tokens"]
        ]
