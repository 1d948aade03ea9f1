# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What a run leaves for the next one to find."""

from __future__ import annotations

from ansible_collections.maas.platform.plugins.module_utils._catalog import (
    read_catalog,
    write_catalog,
)
from ansible_collections.maas.platform.plugins.module_utils._plan import (
    LiveTiers,
    Plan,
    TierNamespace,
)
from ansible_collections.maas.platform.plugins.module_utils._policies import render_plan


def left_behind(done: Plan) -> LiveTiers:
    """Return the catalog and the namespaces of a plan, through the objects that are written."""
    namespaces = [
        TierNamespace.of(item)
        for item in render_plan(done).namespaces
        if item["kind"] == "Namespace" and "maas.platform/tier" in item["metadata"]["labels"]
    ]
    return LiveTiers(read_catalog(write_catalog(done.catalog)), tuple(namespaces))
