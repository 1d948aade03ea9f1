# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The filter maas.platform.tier_manifests."""

from __future__ import annotations

from ansible.errors import AnsibleFilterError
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._policies import (
    PARTS,
    Platform,
    render_plan,
)
from ansible_collections.maas.platform.plugins.module_utils._renderable import check_renderable
from ansible_collections.maas.platform.plugins.module_utils._sizes import check_sizes
from ansible_collections.maas.platform.plugins.module_utils._tiers import parse_inventory
from ansible_collections.maas.platform.plugins.module_utils._transitions import fresh_plan


def tier_manifests(
    tiers,
    models=(),
    parts=PARTS,
    gateway_namespace="maas-gateway",
    api_namespace="maas-api",
    overrides=(),
):
    """Return the objects that tiers need on a cluster."""
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise AnsibleFilterError(
            f"maas.platform.tier_manifests: no such parts: {unknown}; the parts are {PARTS}"
        )
    try:
        inventory = parse_inventory(tiers, models, raw_overrides=overrides)
        check_renderable(inventory)
        rendered = render_plan(fresh_plan(inventory), Platform(gateway_namespace, api_namespace))
        check_sizes(rendered)
    except MaasError as exc:
        raise AnsibleFilterError(f"maas.platform.tier_manifests: {exc}") from exc
    return rendered.chosen(parts)


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self):
        """Return the filter by its name."""
        return {"tier_manifests": tier_manifests}
