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

from ._names import REVISION_ANNOTATION, REVISION_HEADER
from ._objects import Object

#: Follows the revision of an AuthPolicy that holds only until rights are taken away.
MEANWHILE = "+"


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


def forget_rights(live: Mapping[str, Any] | None, wanted: Object) -> Object:
    """Return the AuthPolicy for the time until rights are taken away.

    Authorino remembers for a minute that somebody may call a model. What it learns of rights that
    are about to go must not count under the key that the wanted policy uses.
    """
    meanwhile = copy.deepcopy(wanted)
    rules = meanwhile["spec"].get("rules") or {}
    access = (rules.get("authorization") or {}).get("model-access") or {}
    headers = ((rules.get("response") or {}).get("unauthorized") or {}).get("headers") or {}
    key = (access.get("cache") or {}).get("key") or {}
    if "selector" not in key or REVISION_HEADER not in headers:
        return wanted
    key["selector"] = MEANWHILE + key["selector"]
    # By this the AuthConfig is told from the wanted one.
    headers[REVISION_HEADER] = {"value": f"{headers[REVISION_HEADER].get('value')}{MEANWHILE}"}
    stamp = ((live or wanted)["metadata"].get("annotations") or {}).get(REVISION_ANNOTATION)
    if stamp:
        meanwhile["metadata"].setdefault("annotations", {})[REVISION_ANNOTATION] = stamp
    return meanwhile


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
