# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What the shared variables say, once they were read. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ._models import Model
from ._overrides import Override
from ._removals import Removal
from ._tier import Tier


@dataclass(frozen=True)
class Inventory:
    """Tiers that are to be there, what becomes of others, and what is special."""

    tiers: tuple[Tier, ...]
    models: tuple[Model, ...]
    #: Old name and new, of tiers that were renamed.
    renames: tuple[tuple[str, str], ...] = ()
    removals: tuple[Removal, ...] = ()
    overrides: tuple[Override, ...] = ()
    #: Where each tier's entry stands, for messages.
    paths: Mapping[str, str] = field(default_factory=dict, compare=False)
