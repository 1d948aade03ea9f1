# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""One model: what it is, once its entry was read. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

#: KServe names a Service <service>-kserve-workload-svc, and a Service's name has at most 63.
LONGEST_SERVICE = 63 - len("-kserve-workload-svc")
CANARY_SUFFIX = "-canary"

State = Literal["present", "paused", "retired"]
Task = Literal["completion", "embedding"]
Signal = Literal["requests", "queue", "gpu", "cpu"]
Spread = Literal["node", "zone"]


@dataclass(frozen=True, order=True)
class ModelRef:
    """Where a model lives: the two path segments a caller writes."""

    namespace: str
    name: str


@dataclass(frozen=True)
class Runtime:
    """How a model's server runs, as its entry says; what is None or empty comes from its engine."""

    engine: str | None = None
    image: str | None = None
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None
    extra_args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Autoscaling:
    """How many pods a model may have, and what decides between them."""

    min: int
    max: int
    signal: Signal
    #: Of each pod: requests, or percent.
    target: int
    scale_down_after_seconds: int


@dataclass(frozen=True)
class Parallelism:
    """How a model is cut over GPUs."""

    tensor: int = 1
    pipeline: int = 1
    data: int = 1

    @property
    def gpus(self) -> int:
        """Return how many GPUs one copy of the server has in all."""
        return self.tensor * self.pipeline * self.data


@dataclass(frozen=True)
class Model:
    """One model, or its canary: every difference between two versions is in here."""

    name: str
    namespace: str
    uri: str
    display_name: str = ""
    description: str = ""
    state: State = "present"
    #: None: as the platform says.
    retire_after_seconds: int | None = None
    #: None: as the platform says.
    ready_seconds: int | None = None
    task: Task = "completion"
    replicas: int | None = None
    autoscaling: Autoscaling | None = None
    #: Of each pod.
    gpus: int = 0
    #: Pods of one copy of the server.
    nodes: int = 1
    parallelism: Parallelism | None = None
    pool: str | None = None
    priority_class: str | None = None
    spread: Spread | None = None
    storage_initializer: bool = True
    storage_secret: str | None = None
    runtime: Runtime = field(default_factory=Runtime)
    #: Merged over the LLMInferenceService's spec, as it was written.
    spec: Mapping[str, Any] = field(default_factory=dict)
    canary: Canary | None = None
    is_canary: bool = False

    @property
    def ref(self) -> ModelRef:
        """Return where the model lives."""
        return ModelRef(self.namespace, self.name)

    @property
    def service(self) -> str:
        """Return the name of its LLMInferenceService, which its pods carry as a label."""
        return f"{self.name}{CANARY_SUFFIX}" if self.is_canary else self.name

    @property
    def versions(self) -> tuple[Model, ...]:
        """Return the model, and its canary where it has one."""
        return (self,) if self.canary is None else (self, self.canary.version)

    @property
    def most_copies(self) -> int | None:
        """Return how many copies of the server there may be; None where others scale it."""
        return self.autoscaling.max if self.autoscaling else self.replicas

    @property
    def least_copies(self) -> int | None:
        """Return how many copies of the server there are at least; None where others scale it."""
        return self.autoscaling.min if self.autoscaling else self.replicas


@dataclass(frozen=True)
class Canary:
    """A second version of a model, and how many requests in a hundred it gets."""

    weight: int
    version: Model
