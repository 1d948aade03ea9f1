# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The filter maas.platform.tier_account."""

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.maas.platform.plugins.module_utils._accounts import (
    account_name,
    account_user,
    tier_namespace,
)
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError


def tier_account(user, tier):
    """Return the names of a user's account in a tier."""
    try:
        return {
            "name": account_name(user),
            "namespace": tier_namespace(tier),
            "user": account_user(user, tier),
        }
    except MaasError as exc:
        raise AnsibleFilterError(f"maas.platform.tier_account: {exc}") from exc


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self):
        """Return the filter by its name."""
        return {"tier_account": tier_account}
