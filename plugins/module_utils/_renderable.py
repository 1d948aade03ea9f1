# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What can be rendered without a cluster. Pure."""

from __future__ import annotations

from ._checks import Problems
from ._errors import MaasError
from ._inventory import Inventory


def check_renderable(inventory: Inventory) -> None:
    """Refuse tiers on their way to another name, to another tier, or out.

    Which namespaces they have, and until when, only the cluster knows. Without those, whoever
    applies the objects and deletes the rest would cut their users off at once.
    """
    problems = Problems()
    for old, new in inventory.renames:
        problems.found(
            f"{inventory.paths.get(new, 'maas_tiers')}.renamed_from",
            old,
            "no old name: its users' namespace would not be among the objects",
        )
    for removal in inventory.removals:
        if removal.action != "block":
            problems.found(
                f"{inventory.paths.get(removal.name, 'maas_tiers')}.on_removal",
                removal.action,
                "block: its users' namespace would not be among the objects",
            )
    if problems:
        raise MaasError(
            "objects rendered without a cluster would strand users of these tiers: bring the "
            "change about with state: present (playbook maas.platform.tiers) first, and take the "
            "old names and entries out once the time is over",
            problems,
        )
