# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What Limitador counts by. Kuadrant's conditions come before it has read its new limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ._durations import parse_seconds
from ._errors import MaasError
from ._kubernetes import Cluster, is_forbidden
from ._names import ROUTE_NAME
from ._objects import conditions

_PORT = 8080
_PODS = "app=limitador"

#: A limit's name, its maximum and its window in seconds.
Count = tuple[str, int, int]


def counts_of(policies: Iterable[Mapping[str, Any]]) -> Counter[Count]:
    """Return what Limitador must count by for these policies."""
    return Counter(
        (name, int(rate["limit"]), parse_seconds(rate["window"]))
        for policy in policies
        for name, limit in policy["spec"]["limits"].items()
        for rate in limit.get("rates") or []
    )


class LimitServers:
    """The replicas of Limitador, read through the API server where that is allowed."""

    def __init__(self, cluster: Cluster, namespace: str, gateway_namespace: str) -> None:
        """Look at the replicas in this namespace, and there at the limits of our route."""
        self._cluster = cluster
        self._namespace = namespace
        self._path = f"/limits/{gateway_namespace}%2F{ROUTE_NAME}"
        #: Why this user cannot read them; then only Kuadrant's conditions tell.
        self.unreadable = ""

    def missing(self, policies: Iterable[Mapping[str, Any]], gone: Collection[str] = ()) -> str:
        """Return what a replica lacks of these policies, or still has of limits that are gone."""
        try:
            wanted = counts_of(policies)
            names = {name for name, _maximum, _seconds in wanted} | set(gone)
            if not names:
                return ""
            pods = self._pods()
            for pod in pods:
                shown = self._read(pod, names)
                if shown != wanted:
                    return _tell(pod, shown, wanted)
        except MaasError as exc:
            # Only who may not look does without; what failed once is looked at again.
            if not is_forbidden(exc):
                return exc.message
            self.unreadable = exc.message
            return ""
        return "" if pods else f"no Limitador in {self._namespace} is ready"

    def _pods(self) -> list[str]:
        return [
            pod["metadata"]["name"]
            for pod in self._cluster.select("v1", "Pod", self._namespace, _PODS)
            if (conditions(pod).get("Ready") or {}).get("status") == "True"
            and not pod["metadata"].get("deletionTimestamp")
        ]

    def _read(self, pod: str, names: Collection[str]) -> Counter[Count]:
        status, answer = self._cluster.read_pod(self._namespace, pod, _PORT, self._path)
        if status != 200 or not isinstance(answer, list):
            raise MaasError(f"Limitador {pod} answered {status} when asked for its limits")
        return Counter(
            (str(limit.get("name")), int(limit["max_value"]), int(limit["seconds"]))
            for limit in answer
            if limit.get("name") in names
        )


def _tell(pod: str, shown: Counter[Count], wanted: Counter[Count]) -> str:
    looks = ((wanted - shown, "does not count by"), (shown - wanted, "still counts by"))
    for counts, what in looks:
        for name, maximum, seconds in sorted(counts):
            return f"{pod} {what} limit {name}: {maximum} in {seconds} s"
    return ""
