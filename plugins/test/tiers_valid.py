# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The test maas.platform.tiers_valid."""

from __future__ import annotations

from ansible_collections.maas.platform.plugins.module_utils._validation import problems_of


def tiers_valid(tiers, models=(), overrides=()):
    """Return whether nothing is wrong with tiers, models and overrides."""
    return not problems_of(tiers, models, overrides)


class TestModule:
    """Ansible's way to find the test."""

    def tests(self):
        """Return the test by its name."""
        return {"tiers_valid": tiers_valid}
