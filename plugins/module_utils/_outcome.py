# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What a run did to a cluster, or would do. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ._catalog import Catalog
from ._drift import Drift
from ._objects import Change
from ._switch import Timings


@dataclass(frozen=True)
class Outcome:
    """What changed, why, and what there is to say about it."""

    revision: str = ""
    changes: list[Change] = field(default_factory=list)
    #: The tiers in force before, and those in force now.
    before: Catalog | None = None
    after: Catalog | None = None
    previous_revision: str = ""
    drift: list[Drift] = field(default_factory=list)
    transitions: list[dict[str, Any]] = field(default_factory=list)
    pruned_accounts: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    timings: Timings = field(default_factory=Timings)
