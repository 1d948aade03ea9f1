# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The filter maas.platform.tiers_warnings."""

from __future__ import annotations

from ansible_collections.maas.platform.plugins.module_utils._warnings import inventory_warnings


def tiers_warnings(tiers, models=(), overrides=(), counters_kept=False):
    """Return what is allowed and looks like a mistake, one line each."""
    return inventory_warnings(
        tiers, models, raw_overrides=overrides, counters_kept=bool(counters_kept)
    )


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self):
        """Return the filter by its name."""
        return {"tiers_warnings": tiers_warnings}
