# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The CRDs that a chart brings: which they are, and how ours are told from others'. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from ._objects import Object, conditions

API_VERSION = "apiextensions.k8s.io/v1"
KIND = "CustomResourceDefinition"
#: On the CRDs we brought; its value says for what.
CRDS_LABEL = "maas.platform/crds"
#: Which text they came from, and how many they were: unchanged ones are not sent again.
DIGEST_ANNOTATION = "maas.platform/crds-digest"


def digest_of(text: str, conversion_ca: str) -> str:
    """Return what stands for a chart's text and the CA put into it."""
    return hashlib.sha256(f"{conversion_ca}\n{text}".encode()).hexdigest()


def crds_of(documents: Iterable[Any]) -> list[Object]:
    """Return the CRDs among a chart's documents."""
    return [item for item in documents if isinstance(item, dict) and item.get("kind") == KIND]


def is_current(ours: list[Object], digest: str) -> bool:
    """Return whether the CRDs in the cluster all came from this text, with none missing."""
    wanted = _annotation(digest, len(ours))
    found = [_of(item, "annotations").get(DIGEST_ANNOTATION) for item in ours]
    return bool(ours) and set(found) == {wanted}


def mark(crds: list[Object], name: str, digest: str, conversion_ca: str) -> list[Object]:
    """Return the CRDs with our marks, and with the CA where they have a conversion webhook."""
    marked = []
    for crd in crds:
        labels = {**_of(crd, "labels"), CRDS_LABEL: name, "app.kubernetes.io/part-of": "maas"}
        annotations = {
            **_of(crd, "annotations"),
            DIGEST_ANNOTATION: _annotation(digest, len(crds)),
        }
        metadata = {"name": crd["metadata"]["name"], "labels": labels, "annotations": annotations}
        spec = _with_ca(crd["spec"], conversion_ca) if conversion_ca else crd["spec"]
        marked.append({"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec})
    return marked


def missing(crds: Iterable[Object]) -> list[str]:
    """Return the names of the CRDs that the cluster does not serve yet."""
    return [
        str(crd["metadata"]["name"])
        for crd in crds
        if conditions(crd).get("Established", {}).get("status") != "True"
    ]


def _annotation(digest: str, count: int) -> str:
    return f"{digest}-{count}"


def _of(item: Mapping[str, Any], key: str) -> dict[str, Any]:
    return item["metadata"].get(key) or {}


def _with_ca(spec: Object, conversion_ca: str) -> Object:
    webhook = (spec.get("conversion") or {}).get("webhook")
    if not webhook:
        return spec
    bundle = base64.b64encode(conversion_ca.encode()).decode()
    client = {**(webhook.get("clientConfig") or {}), "caBundle": bundle}
    conversion = {**spec["conversion"], "webhook": {**webhook, "clientConfig": client}}
    return {**spec, "conversion": conversion}
