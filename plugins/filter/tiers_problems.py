# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The filter maas.platform.tiers_problems."""

from __future__ import annotations

from ansible_collections.maas.platform.plugins.module_utils._validation import problems_of


def tiers_problems(tiers, models=(), overrides=()):
    """Return everything wrong with tiers, models and overrides, one line each."""
    return problems_of(tiers, models, overrides)


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self):
        """Return the filter by its name."""
        return {"tiers_problems": tiers_problems}
