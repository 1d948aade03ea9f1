# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Everything that can be said about the shared variables without a cluster. Pure."""

from __future__ import annotations

from typing import Any

from ._errors import MaasError
from ._names import MODEL_NAMESPACE
from ._policies import render_plan
from ._sizes import size_problems
from ._tiers import parse_inventory
from ._transitions import fresh_plan


def problems_of(
    raw_tiers: Any,
    raw_models: Any,
    raw_overrides: Any = (),
    default_namespace: str = MODEL_NAMESPACE,
) -> list[str]:
    """Return everything wrong with the variables, what would not fit the cluster included."""
    try:
        inventory = parse_inventory(raw_tiers, raw_models, default_namespace, raw_overrides)
    except MaasError as exc:
        return exc.problems
    return [str(problem) for problem in size_problems(render_plan(fresh_plan(inventory)))]
