# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Models, as the OpenAI API lists them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

import msgspec

from .kubernetes import Kubernetes
from .metrics import Metrics
from .objects import LLMInferenceService
from .shared._errors import MaasError
from .shared._names import (
    CANARY_LABEL,
    SERVING_GROUP,
    SERVING_RESOURCE,
    UNTIL_ANNOTATION,
)
from .shared._tiers import Tier
from .shared._times import parse_time
from .watch import Source, Watch, WatchSet

#: The version KServe stores, so that reading needs no conversion webhook.
_VERSION = "v1alpha2"


class Model(msgspec.Struct):
    """A model somebody may call: `id` is its name at the base URL of all models.

    `url` + "/v1" is a base URL of its own.
    """

    id: str
    created: int
    owned_by: str
    url: str
    ready: bool
    object: Literal["model"] = "model"


class Models:
    """The LLMInferenceServices in the namespaces that the tiers name."""

    def __init__(
        self,
        kubernetes: Kubernetes,
        metrics: Metrics,
        gateway_url: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._now = now
        self._kubernetes = kubernetes
        self._metrics = metrics
        self._gateway_url = gateway_url
        self.watches = WatchSet(self._watch)

    def _watch(self, namespace: str) -> Watch[LLMInferenceService]:
        path = f"/apis/{SERVING_GROUP}/{_VERSION}/namespaces/{namespace}/{SERVING_RESOURCE}"
        source = Source(
            resource=SERVING_RESOURCE,
            kind=LLMInferenceService,
            path=path,
            namespace=namespace,
        )
        return Watch(self._kubernetes, self._metrics, source)

    def of(self, tier: Tier | None) -> list[Model]:
        """Return the models that a tier may call and that exist."""
        models = []
        for ref in tier.models if tier else ():
            watch = self.watches[ref.namespace]
            served = watch.items.get(ref.name) if watch else None
            if served is not None and self._is_listed(served):
                models.append(self._describe(served))
        return sorted(models, key=lambda model: model.id)

    def _is_listed(self, served: LLMInferenceService) -> bool:
        """Whether callers are to know it; a canary answers under its model's name."""
        meta = served.metadata
        if CANARY_LABEL in (meta.labels or {}):
            return False
        until = (meta.annotations or {}).get(UNTIL_ANNOTATION)
        try:
            return until is None or self._now() < parse_time(until)
        except MaasError:
            # Not ours; the gateway decides, and a model that is listed and gone does no harm.
            return True

    def _describe(self, served: LLMInferenceService) -> Model:
        meta = served.metadata
        created = meta.creation_timestamp
        return Model(
            id=served.model_name,
            created=int(created.timestamp()) if created else 0,
            owned_by=meta.namespace,
            url=f"{self._gateway_url}/{meta.namespace}/{meta.name}",
            ready=served.is_ready,
        )
