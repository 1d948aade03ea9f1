# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The gateway's policies: whether they are enforced, and for which revision."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from .kubernetes import Kubernetes, KubernetesError
from .messages import PolicyBody
from .objects import Policy
from .shared._names import AUTH_POLICY, REQUEST_POLICY, REVISION_ANNOTATION, TOKEN_POLICY

_GROUP = "kuadrant.io"


@dataclass(frozen=True)
class _Kind:
    kind: str
    version: str
    resource: str
    name: str


#: The three policies of the models' way; nothing else of Kuadrant's is read.
_KINDS = (
    _Kind("AuthPolicy", "v1", "authpolicies", AUTH_POLICY),
    _Kind("RateLimitPolicy", "v1", "ratelimitpolicies", REQUEST_POLICY),
    _Kind("TokenRateLimitPolicy", "v1alpha1", "tokenratelimitpolicies", TOKEN_POLICY),
)


class Policies:
    """Reads the policies when somebody asks; nothing watches them."""

    def __init__(self, kubernetes: Kubernetes, namespace: str) -> None:
        self._kubernetes = kubernetes
        self._namespace = namespace

    async def read(self) -> list[PolicyBody]:
        """Return all three, also where one does not exist."""
        return list(await asyncio.gather(*(self._read(kind) for kind in _KINDS)))

    async def _read(self, kind: _Kind) -> PolicyBody:
        path = (
            f"/apis/{_GROUP}/{kind.version}/namespaces/{self._namespace}"
            f"/{kind.resource}/{kind.name}"
        )
        try:
            policy = await self._kubernetes.get(path, Policy)
        except KubernetesError as exc:
            if exc.status != 404:
                raise
            return PolicyBody(kind.kind, kind.name, self._namespace, False, None, None, "", None)
        accepted, enforced = policy.says("Accepted"), policy.says("Enforced")
        unhappy = [entry for entry in (accepted, enforced) if entry and entry.status != "True"]
        return PolicyBody(
            kind=kind.kind,
            name=kind.name,
            namespace=self._namespace,
            exists=True,
            accepted=accepted.status == "True" if accepted else None,
            enforced=enforced.status == "True" if enforced else None,
            message="; ".join(entry.message for entry in unhappy),
            revision=(policy.metadata.annotations or {}).get(REVISION_ANNOTATION),
        )


def drift_of(revision: str | None, policies: list[PolicyBody]) -> list[str]:
    """Return in what the policies do not follow the catalog; empty where they do.

    A limit policy that does not exist is none: tiers without limits have none.
    """
    reasons = []
    for policy in policies:
        name = f"{policy.kind} {policy.namespace}/{policy.name}"
        if not policy.exists:
            if policy.kind == "AuthPolicy":
                reasons.append(f"{name} does not exist, so nobody is let in; run the role tiers")
        elif policy.revision != revision:
            reasons.append(
                f"{name} is of revision {policy.revision or '(none)'} and the catalog of "
                f"{revision or '(none)'}; run the role tiers"
            )
        elif policy.enforced is False:
            reasons.append(f"{name} is not enforced: {policy.message}")
    return reasons
