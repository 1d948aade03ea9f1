# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What to tell the owner of a model that does not serve."""

from __future__ import annotations

from ._errors import MaasError
from ._kubernetes import Cluster
from ._objects import Key, path_of
from ._serving_reasons import Finding, telling_line
from ._serving_rollout import Verdict
from ._serving_snapshot import Snapshot

_LOG_LINES = "40"


def tell_failure(cluster: Cluster, key: Key, verdict: Verdict, snapshot: Snapshot) -> str:
    """Return why a version does not serve, with the line of its log that says most."""
    finding = verdict.finding
    if finding is None:
        return f"{key} does not serve"
    if not finding.log:
        return finding.words
    pod = snapshot.find(Key("v1", "Pod", key.namespace, finding.pod)) or {}
    line = telling_line(_read_log(cluster, key.namespace, finding), pod)
    return f'{finding.words}; its log says: "{line}"' if line else finding.words


def tell_pods(key: Key, words: str, first: bool) -> str:
    """Return what to do about a version that nothing was put back for."""
    look = f"kubectl -n {key.namespace} describe pods -l app.kubernetes.io/name={key.name}"
    if first:
        return (
            f"its first version does not serve: {words}; it is left as it is to be looked at "
            f"({look}), nothing leads to it; correct its entry in maas_models and run again"
        )
    return (
        f"it does not serve, and its version is the one that served before: {words}; look at it "
        f"({look}), then run again"
    )


def _read_log(cluster: Cluster, namespace: str, finding: Finding) -> str:
    query = [("container", finding.container), ("tailLines", _LOG_LINES)]
    if finding.log == "previous":
        query.append(("previous", "true"))
    path = path_of("v1", "Pod", namespace, finding.pod, "log")
    try:
        return str(cluster.request("GET", path, query)[1])
    except MaasError:
        return ""  # gone, or not for this user to read: the rest is told all the same
