# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The filter maas.platform.tiers_problems."""

from __future__ import annotations

from ansible_collections.maas.platform.plugins.module_utils._tiers import inventory_problems


def tiers_problems(tiers, models=()):
    """Return everything wrong with tiers and models, one line each."""
    return inventory_problems(tiers, models)


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self):
        """Return the filter by its name."""
        return {"tiers_problems": tiers_problems}
