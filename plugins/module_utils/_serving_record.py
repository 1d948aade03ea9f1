# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What an LLMInferenceService remembers of itself: the last version that answered. Pure.

The version stands in an annotation of the object itself, so that whoever runs next, wherever,
knows what to go back to.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from ._objects import Object

#: The last version that answered a prompt, as JSON.
PROVEN_ANNOTATION = "maas.platform/proven"
#: KServe takes a model's pods away while this says true.
STOP_ANNOTATION = "serving.kserve.io/stop"

_KSERVE = "serving.kserve.io/"


def version_of(service: Mapping[str, Any]) -> Object:
    """Return what makes a version: the spec, and what KServe reads beside it."""
    annotations = service["metadata"].get("annotations") or {}
    read = {
        name: value
        for name, value in annotations.items()
        if name.startswith(_KSERVE) and name != STOP_ANNOTATION
    }
    return {"annotations": read, "spec": copy.deepcopy(service.get("spec") or {})}


def proven_version(service: Mapping[str, Any] | None) -> Object | None:
    """Return the last version that answered, where one is remembered."""
    if service is None:
        return None
    written = (service["metadata"].get("annotations") or {}).get(PROVEN_ANNOTATION)
    try:
        version = json.loads(written or "null")
    except ValueError:
        return None  # edited by hand: what it said is lost
    if not isinstance(version, dict) or not isinstance(version.get("spec"), dict):
        return None
    return {"annotations": dict(version.get("annotations") or {}), "spec": version["spec"]}


def is_proven(service: Mapping[str, Any]) -> bool:
    """Return whether the present version has answered before."""
    return proven_version(service) == version_of(service)


def with_annotations(manifest: Mapping[str, Any], extra: Mapping[str, str]) -> Object:
    """Return the manifest with more annotations."""
    annotations = {**(manifest["metadata"].get("annotations") or {}), **extra}
    metadata = {**manifest["metadata"], **({"annotations": annotations} if annotations else {})}
    return {**manifest, "metadata": metadata}


def with_version(manifest: Mapping[str, Any], version: Mapping[str, Any]) -> Object:
    """Return the manifest of another version of the same service."""
    own = manifest["metadata"].get("annotations") or {}
    kept = {name: value for name, value in own.items() if not name.startswith(_KSERVE)}
    bare = {**manifest, "metadata": {**manifest["metadata"], "annotations": kept}}
    bare["spec"] = copy.deepcopy(version["spec"])
    return with_annotations(bare, version["annotations"])


def remember(manifest: Mapping[str, Any], version: Mapping[str, Any] | None) -> Object:
    """Return the manifest that remembers this version as the last that answered."""
    if version is None:
        return with_annotations(manifest, {})
    written = json.dumps(version, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return with_annotations(manifest, {PROVEN_ANNOTATION: written})
