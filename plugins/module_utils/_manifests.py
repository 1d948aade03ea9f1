# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""How every object of this platform starts. Pure."""

from __future__ import annotations

from typing import Any

from ._names import MANAGED_LABELS, PART_LABEL

Manifest = dict[str, Any]


def manifest(
    api_version: str,
    kind: str,
    name: str,
    namespace: str | None = None,
    *,
    part: str | None = None,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    **body: Any,
) -> Manifest:
    """Return an object with our labels; with a part, it goes when nobody renders it any more."""
    metadata: dict[str, Any] = {"name": name, "labels": {**MANAGED_LABELS, **(labels or {})}}
    if namespace is not None:
        metadata["namespace"] = namespace
    if part is not None:
        metadata["labels"][PART_LABEL] = part
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}
