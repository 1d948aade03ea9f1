# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What stands while old and new are both in force: everything either of them needs. Pure.

A change of policies is no single moment: requests meet the old AuthPolicy with the new limits,
or the other way round. In between, nobody may miss a limit or a right.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from ._names import REVISION_ANNOTATION
from ._objects import Object


def unite(live: Mapping[str, Any] | None, wanted: Object) -> Object:
    """Return the object for the time of the switch; wanted itself where nothing is to go."""
    if live is None:
        return wanted
    united = copy.deepcopy(wanted)
    kind = wanted["kind"]
    if kind == "Role":
        united["rules"] = _joined(wanted.get("rules"), live.get("rules"))
    elif kind == "RoleBinding":
        united["subjects"] = _joined(wanted.get("subjects"), live.get("subjects"))
    elif kind in ("RateLimitPolicy", "TokenRateLimitPolicy"):
        _unite_limits(united["spec"]["limits"], (live.get("spec") or {}).get("limits") or {})
    if united == wanted:
        return wanted
    stamp = (live["metadata"].get("annotations") or {}).get(REVISION_ANNOTATION)
    if stamp and REVISION_ANNOTATION in united["metadata"].get("annotations", {}):
        # It is not yet what the new revision says.
        united["metadata"]["annotations"][REVISION_ANNOTATION] = stamp
    return united


def _unite_limits(new: dict[str, Any], old: Mapping[str, Any]) -> None:
    for name, limit in old.items():
        if name not in new:
            new[name] = copy.deepcopy(limit)
            continue
        # The new numbers hold from now on. For whom, only the AuthPolicy that is still in force
        # can tell.
        for part in ("when", "counters"):
            if part in limit:
                new[name][part] = copy.deepcopy(limit[part])


def _joined(new: Any, old: Any) -> list[Any]:
    kept = list(new or [])
    return kept + [copy.deepcopy(item) for item in old or [] if item not in kept]
