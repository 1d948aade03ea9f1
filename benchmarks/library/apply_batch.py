#!/usr/bin/python
# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Objects of a benchmark, converged by the collection's own code: read, compared, written.

The module tier_policies does the same with what it renders; it would take the objects of a
benchmark for tiers that nobody wants any more.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import AUTH_ARGS, Cluster
from ansible_collections.maas.platform.plugins.module_utils._module import MaasModule
from ansible_collections.maas.platform.plugins.module_utils._objects import Object, key_of


def converge(cluster: Cluster, manifests: Sequence[Object], selector: str) -> int:
    """Return the number of objects that had to be written."""
    kinds = sorted({(item["apiVersion"], item["kind"]) for item in manifests})
    found = cluster.each(lambda kind: cluster.select(*kind, selector=selector), kinds)
    live = {key_of(item): item for items in found for item in items}
    first = [item for item in manifests if item["kind"] == "Namespace"]
    rest = [item for item in manifests if item["kind"] != "Namespace"]
    changes = [*cluster.apply_all(first, live), *cluster.apply_all(rest, live)]
    return sum(change.changed for change in changes)


def main() -> None:
    """Converge the objects in a file."""
    spec = {
        **AUTH_ARGS,
        "src": {"type": "path", "required": True},
        "selector": {"type": "str", "required": True},
    }
    module = MaasModule(argument_spec=spec)
    try:
        manifests = json.loads(Path(module.params["src"]).read_text())
        started = time.perf_counter()
        cluster = Cluster.connect(module.params)
        written = converge(cluster, manifests, module.params["selector"])
    except MaasError as exc:
        module.fail_from(exc)
    seconds = time.perf_counter() - started
    module.exit_json(changed=written > 0, written=written, seconds=seconds)


if __name__ == "__main__":
    main()
