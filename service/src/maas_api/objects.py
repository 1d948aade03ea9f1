# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The parts of Kubernetes objects that the service reads; everything else is skipped."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

KubernetesObjectT = TypeVar("KubernetesObjectT", bound="KubernetesObject")


class Metadata(msgspec.Struct, rename="camel"):
    """What every object says about itself."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class KubernetesObject(msgspec.Struct):
    """Any object."""

    metadata: Metadata = msgspec.field(default_factory=Metadata)


class ServiceAccount(KubernetesObject):
    """A user's account."""

    @property
    def is_terminating(self) -> bool:
        """Whether it is being deleted, so that its tokens are as good as dead."""
        return self.metadata.deletion_timestamp is not None

    def as_mapping(self) -> dict[str, Any]:
        """Return it in the form that the shared code takes."""
        meta = self.metadata
        return {
            "metadata": {
                "name": meta.name,
                "namespace": meta.namespace,
                "labels": meta.labels,
                "annotations": meta.annotations,
            }
        }


class ConfigMap(KubernetesObject):
    """The tier catalog's home."""

    data: dict[str, str] | None = None


class Condition(msgspec.Struct, rename="camel"):
    """One thing a controller says of an object."""

    type: str = ""
    status: str = ""
    message: str = ""
    observed_generation: int | None = None


class _Status(msgspec.Struct, rename="camel"):
    conditions: list[Condition] | None = None
    observed_generation: int | None = None


class _ModelSpec(msgspec.Struct):
    name: str | None = None


class _ServingSpec(msgspec.Struct):
    model: _ModelSpec = msgspec.field(default_factory=_ModelSpec)


#: KServe's own switch: a model that has it is scaled to nothing.
_STOP_ANNOTATION = "serving.kserve.io/stop"


class LLMInferenceService(KubernetesObject):
    """A served model."""

    spec: _ServingSpec = msgspec.field(default_factory=_ServingSpec)
    status: _Status = msgspec.field(default_factory=_Status)

    @property
    def model_name(self) -> str:
        """Return the name that requests carry."""
        return self.spec.model.name or self.metadata.name

    @property
    def is_ready(self) -> bool:
        """Whether it answers requests."""
        meta = self.metadata
        if meta.deletion_timestamp or (meta.annotations or {}).get(_STOP_ANNOTATION) == "true":
            return False
        return any(
            condition.type == "Ready" and condition.status == "True"
            for condition in self.status.conditions or ()
        )


class Policy(KubernetesObject):
    """One of the gateway's policies."""

    status: _Status = msgspec.field(default_factory=_Status)

    def says(self, kind: str) -> Condition | None:
        """Return what its controller says of it; what it said of an older one is no answer."""
        generation = self.metadata.generation
        if self.status.observed_generation not in (None, generation):
            return None
        found = (entry for entry in self.status.conditions or () if entry.type == kind)
        return next(found, None)


class _ListMetadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_token: str = msgspec.field(name="continue", default="")


class ObjectList(msgspec.Struct, Generic[KubernetesObjectT]):
    """One page of objects."""

    metadata: _ListMetadata
    items: list[KubernetesObjectT] | None = None


class WatchEvent(msgspec.Struct):
    """One line of a watch."""

    type: str
    object: msgspec.Raw


class Status(msgspec.Struct):
    """How the API server says no."""

    message: str = ""
    reason: str = ""
    code: int = 0


class ReviewedUser(msgspec.Struct):
    """Whose token it is."""

    username: str = ""
    uid: str = ""
    groups: list[str] | None = None


class ReviewStatus(msgspec.Struct):
    """The API server's verdict on a token."""

    authenticated: bool = False
    user: ReviewedUser = msgspec.field(default_factory=ReviewedUser)
    audiences: list[str] | None = None
    error: str = ""


class TokenReview(msgspec.Struct):
    """A token that was checked."""

    status: ReviewStatus


class _RequestedToken(msgspec.Struct, rename="camel"):
    expiration_seconds: int


class _IssuedToken(msgspec.Struct, rename="camel"):
    token: str
    expiration_timestamp: datetime

    def __repr__(self) -> str:
        return "IssuedToken(**********)"


class TokenRequest(msgspec.Struct):
    """A token that was made."""

    spec: _RequestedToken
    status: _IssuedToken
