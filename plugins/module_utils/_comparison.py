# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""In what a cluster differs from an inventory, told without changing anything."""

from __future__ import annotations

from datetime import datetime

from ._convergence import look_for_drift
from ._describe import describe_moves
from ._drift import in_step
from ._errors import MaasError
from ._inventory import Inventory
from ._live import Live, is_terminating, part_of
from ._objects import key_of
from ._policies import PARTS, Platform, render_plan
from ._transitions import plan


def compare(live: Live, inventory: Inventory, platform: Platform, now: datetime) -> list[str]:
    """Return a line for each difference: first what the inventory says anew, then by hand."""
    try:
        planned = plan(inventory, live.tiers, now)
    except MaasError as exc:
        return [f"the cluster cannot become what the inventory says: {exc}"]
    rendered = render_plan(planned, platform)
    moves = describe_moves(live.catalog, planned.catalog)
    drift = look_for_drift(live, rendered, PARTS)
    lines = [*live.warnings, *moves, *map(str, drift)]
    wanted = {key_of(item): item for item in rendered.chosen(PARTS)}
    told = {item.key for item in drift}
    if rendered.revision == live.revision:
        # Of another revision, every policy differs: the moves say why.
        lines += [
            f"{key} is not what the inventory says"
            for key, item in wanted.items()
            if key not in told and not in_step(live.objects.get(key), item)
        ]
    lines += [
        f"{key} is there and no longer wanted"
        for key, item in sorted(live.objects.items())
        if part_of(item) is not None and key not in wanted and not is_terminating(item)
    ]
    return lines
