# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What the limits are called in the policies, and so in Limitador. Pure.

No name of a tier, an account, a namespace or a model holds a dot, so no two limits share a name.
"""

from __future__ import annotations

from ._models import ModelRef


def common_limit(tier: str) -> str:
    """Return the name of the limit over all models that have none of their own."""
    return tier


def model_limit(tier: str, model: ModelRef) -> str:
    """Return the name of a tier's limit for one model."""
    return f"{tier}.{model.namespace}.{model.name}"


def user_limit(account: str, model: ModelRef | None = None) -> str:
    """Return the name of a user's own limit, over all models or for one."""
    return f"user.{account}" if model is None else f"user.{account}.{model.namespace}.{model.name}"
