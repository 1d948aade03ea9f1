# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The limits that hold for one user: the tier's, and what is special about the user. Pure."""

from __future__ import annotations

from dataclasses import replace

from ._models import ModelRef
from ._overrides import Override
from ._quotas import ModelLimits, Quota
from ._tiers import Tier


def effective_tier(tier: Tier, override: Override | None) -> Tier:
    """Return the tier with the limits that this user meets in it.

    A user's own common quota replaces every quota of that kind that the tier has, those of
    single models, too; the user's own quotas of models are exceptions to what is left.
    """
    if override is None:
        return tier
    requests = _by_model(tier.model_limits, "requests") if override.requests is None else {}
    tokens = _by_model(tier.model_limits, "tokens") if override.tokens is None else {}
    requests.update(_by_model(override.model_limits, "requests"))
    tokens.update(_by_model(override.model_limits, "tokens"))
    return replace(
        tier,
        requests=tier.requests if override.requests is None else override.requests,
        tokens=tier.tokens if override.tokens is None else override.tokens,
        model_limits=tuple(
            ModelLimits(model, requests.get(model), tokens.get(model))
            for model in tier.models
            if model in requests or model in tokens
        ),
    )


def _by_model(limits: tuple[ModelLimits, ...], kind: str) -> dict[ModelRef, Quota]:
    return {entry.model: quota for entry in limits if (quota := getattr(entry, kind)) is not None}
