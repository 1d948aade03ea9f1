# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The filter maas.platform.tier_manifests."""

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._policies import (
    PARTS,
    Platform,
    render,
)
from ansible_collections.maas.platform.plugins.module_utils._tiers import parse_inventory


def tier_manifests(
    tiers, models=(), parts=PARTS, gateway_namespace="maas-gateway", api_namespace="maas-api"
):
    """Return the objects that tiers need on a cluster."""
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise AnsibleFilterError(
            f"maas.platform.tier_manifests: no such parts: {unknown}; the parts are {PARTS}"
        )
    try:
        inventory = parse_inventory(tiers, models)
    except MaasError as exc:
        raise AnsibleFilterError(f"maas.platform.tier_manifests: {exc}") from exc
    platform = Platform(gateway_namespace, api_namespace)
    return render(inventory.tiers, inventory.models, platform).chosen(parts)


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self):
        """Return the filter by its name."""
        return {"tier_manifests": tier_manifests}
