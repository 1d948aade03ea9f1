# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Merging one mapping of a model's keys over another. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Whoever says one of these answers the same question as the other.
_INSTEAD = {"replicas": "autoscaling", "autoscaling": "replicas"}


def merge_keys(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return above over below: mappings are merged, everything else is replaced.

    A key that above leaves empty takes the one below away, and stays empty. The number of
    copies is one choice: replicas above replace autoscaling below, and the other way round.
    """
    answered = {_INSTEAD[key] for key in _INSTEAD if above.get(key) is not None}
    kept = {key: value for key, value in below.items() if key not in answered}
    return merge(kept, above)


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return above over below, mappings key by key, lists and values whole."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(under, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(under, value)
        else:
            merged[key] = value
    return merged
