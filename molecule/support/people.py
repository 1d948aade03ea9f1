# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""People with a login and a group of the test's choice.

To the API server a ServiceAccount is a user in the group of its namespace, and its token is a
login. So a namespace is a group, and no identity provider has to be asked for new people.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cluster import Kubectl
from hidden import Hidden

_PREFIX = "maas-people-"
_ACCOUNT = "person"


@dataclass(frozen=True)
class Person:
    """Somebody who can log in."""

    user: str
    login: str = field(repr=False)


class People:
    """Makes people, and takes all of them away at the end."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self._known: dict[str, Person] = {}

    @staticmethod
    def group(name: str) -> str:
        """Return the group that a tier names to have these people."""
        return f"system:serviceaccounts:{_PREFIX}{name}"

    def member(self, name: str) -> Person:
        """Return the one person in a group, who is made when first asked for."""
        if name not in self._known:
            self.make([name])
        return self._known[name]

    def make(self, names: Iterable[str]) -> None:
        """Make many groups of one person at once."""
        spaces = {name: f"{_PREFIX}{name}" for name in names}
        self._kubectl.apply(*(part for space in spaces.values() for part in _manifests(space)))
        for name, space in spaces.items():
            login = self._kubectl(
                "create", "token", _ACCOUNT, f"--namespace={space}", "--duration=1h"
            )
            user = f"system:serviceaccount:{space}:{_ACCOUNT}"
            self._known[name] = Person(user, Hidden(login.strip()))

    def remove_all(self) -> None:
        """Delete everybody made here."""
        self._kubectl.delete(*(_manifests(f"{_PREFIX}{name}")[0] for name in self._known))


def _manifests(namespace: str) -> list[dict[str, Any]]:
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": _ACCOUNT, "namespace": namespace},
        },
    ]
