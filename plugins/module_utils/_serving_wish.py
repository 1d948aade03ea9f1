# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What one model is to be, and what became of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from ._model_routes import Stage
from ._objects import Key, Object, key_of
from ._times import write_time


@dataclass(frozen=True)
class Wish:
    """What one model is to be, as rendered from its entry."""

    namespace: str
    name: str
    state: Literal["present", "paused", "retired"]
    #: The stable version, then its canary where it has one.
    services: Sequence[Object]
    #: Returns the route and what belongs to it, in the order in which to apply them.
    route: Callable[[Stage], Sequence[Object]]
    #: Without these the versions' pods cannot be made, or not talk to each other.
    needs: Sequence[Object] = ()
    #: What goes with the versions: disruption budget, autoscaler.
    extras: Sequence[Object] = ()
    #: How long each version may take until it answers a prompt.
    ready_seconds: int = 900
    retire_seconds: int = 604800
    #: Whether nobody's number of pods is in the inventory, and a person's is left alone.
    keeps_replicas: bool = False

    @property
    def ref(self) -> tuple[str, str]:
        """Return which model this is."""
        return self.namespace, self.name


#: What became of a model: failed ones say why in error.
Result = Literal["serving", "paused", "retired", "failed", "removed"]


@dataclass
class Fate:
    """What became of one model in this run."""

    namespace: str
    name: str
    result: Result = "serving"
    error: str = ""
    #: Whether the version before was put back by itself.
    rolled_back: bool = False
    #: Until when a retired model is served.
    until: datetime | None = None
    seconds: float = 0.0
    changed: bool = False
    keys: set[Key] = field(default_factory=set)

    def fail(self, words: str) -> None:
        """Note what went wrong; there may be more than one thing."""
        self.result = "failed"
        self.error = f"{self.error}; {words}" if self.error else words

    def as_result(self) -> dict[str, Any]:
        """Return it as the module returns it."""
        return {
            "namespace": self.namespace,
            "name": self.name,
            "result": self.result,
            "changed": self.changed,
            "rolled_back": self.rolled_back,
            "error": self.error,
            "until": write_time(self.until) if self.until else "",
            "seconds": round(self.seconds, 1),
        }


def names_of(items: Sequence[Object]) -> set[Key]:
    """Return which objects these are."""
    return {key_of(item) for item in items}
