# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""When a change is in force: what the gateway's parts say, not what was sent to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._errors import MaasError
from ._kubernetes import ApiError, Cluster
from ._names import API_PORT, API_SERVICE, REVISION_HEADER
from ._objects import Key, Object, conditions, key_of

#: The kinds of policies that we write.
POLICY_KINDS = (
    ("kuadrant.io/v1", "AuthPolicy"),
    ("kuadrant.io/v1", "RateLimitPolicy"),
    ("kuadrant.io/v1alpha1", "TokenRateLimitPolicy"),
)

#: Kuadrant's conditions on a policy; both of the present generation.
_CONDITIONS = ("Accepted", "Enforced")


def policy_state(policy: Object) -> str:
    """Return what a policy still lacks to be in force; nothing where it is."""
    generation = policy["metadata"].get("generation")
    seen = (policy.get("status") or {}).get("observedGeneration")
    if seen != generation:
        return (
            f"{key_of(policy)}: generation {generation} is not seen yet by kuadrant-operator "
            f"(seen: {seen})"
        )
    found = conditions(policy)
    for name in _CONDITIONS:
        condition = found.get(name) or {}
        if condition.get("status") != "True":
            why = f"{condition.get('reason', 'no such condition')}: {condition.get('message', '')}"
            return f"{key_of(policy)}: not {name} ({why})"
    return ""


def missing_policies(cluster: Cluster, wanted: Sequence[Object]) -> str:
    """Return what keeps these policies from being in force, by Kuadrant's word."""
    keys = [key_of(item) for item in wanted]
    for key, policy in zip(keys, cluster.each(cluster.find, keys), strict=True):
        state = policy_state(policy) if policy else f"{key}: gone"
        if state:
            return state
    return ""


def missing_in_authorino(cluster: Cluster, namespace: str, revision: str) -> str:
    """Return what keeps Authorino from serving this revision.

    Kuadrant's conditions may be the last generation's for a moment; the AuthConfig it writes
    carries the revision in its refusals.
    """
    ours = 0
    for config in cluster.select("authorino.kuadrant.io/v1beta3", "AuthConfig", namespace):
        stamp = _revision_of(config)
        if stamp is None:
            continue
        ours += 1
        name = config["metadata"]["name"]
        if stamp != revision:
            return f"AuthConfig {name} is of revision {stamp}, not yet {revision}"
        if not ((config.get("status") or {}).get("summary") or {}).get("ready"):
            return f"AuthConfig {name} is not ready"
    return "" if ours else f"no AuthConfig in {namespace} carries the revision {revision}"


def _revision_of(config: Object) -> str | None:
    response = (config.get("spec") or {}).get("response") or {}
    headers = (response.get("unauthorized") or {}).get("headers") or {}
    value = (headers.get(REVISION_HEADER) or {}).get("value")
    return str(value) if value else None


def api_pods(cluster: Cluster, namespace: str) -> list[str] | None:
    """Return the ready pods of the MaaS API; None where it is not installed."""
    deployment = _api(cluster, namespace)
    return None if deployment is None else _ready_pods(cluster, deployment)


def api_is_silent(cluster: Cluster, namespace: str) -> bool:
    """Return whether the MaaS API is installed and no replica of it is ready."""
    return api_pods(cluster, namespace) == []


def missing_replica(cluster: Cluster, namespace: str) -> str:
    """Return that no replica is ready of a MaaS API that is to run."""
    deployment = _api(cluster, namespace)
    if deployment is None or not _runs(deployment) or _ready_pods(cluster, deployment):
        return ""
    return f"no replica of Deployment {namespace}/{API_SERVICE} is ready"


def _api(cluster: Cluster, namespace: str) -> Object | None:
    return cluster.find(Key("apps/v1", "Deployment", namespace, API_SERVICE))


def _runs(deployment: Object) -> bool:
    # Without a number, Kubernetes runs one.
    return bool(deployment["spec"].get("replicas", 1))


def _ready_pods(cluster: Cluster, deployment: Object) -> list[str]:
    namespace = deployment["metadata"]["namespace"]
    labels = deployment["spec"]["selector"].get("matchLabels") or {}
    selector = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
    pods = cluster.select("v1", "Pod", namespace, selector)
    return sorted(
        pod["metadata"]["name"]
        for pod in pods
        if (conditions(pod).get("Ready") or {}).get("status") == "True"
        and not pod["metadata"].get("deletionTimestamp")
    )


def missing_in_api(cluster: Cluster, namespace: str, revision: str) -> str:
    """Return which ready replica of the MaaS API does not answer from this catalog yet.

    Policies that come before would ask replicas about tiers that those do not know. Where none is
    ready there is nobody to ask, and nobody is let in.
    """
    for pod in api_pods(cluster, namespace) or []:
        seen = _ask(cluster, namespace, pod, "/health").get("revision")
        if seen != revision:
            return f"{pod} is at revision {seen}, not yet {revision}"
    return ""


def _ask(cluster: Cluster, namespace: str, pod: str, path: str) -> dict[str, Any]:
    status, answer = ask_api(cluster, namespace, pod, path, None)
    return answer if status == 200 and isinstance(answer, dict) else {}


def ask_api(cluster: Cluster, namespace: str, pod: str, path: str, body: Any) -> tuple[int, Any]:
    """Return what one replica of the MaaS API says, asked through the API server."""
    method = "GET" if body is None else "POST"
    status, answer = cluster.ask_pod(namespace, pod, API_PORT, path, method, body)
    # The API server's own refusal is a Status object; the pod's would be {error, message}.
    if status in (401, 403) and isinstance(answer, dict) and answer.get("kind") == "Status":
        raise MaasError(
            f"pod {namespace}/{pod} could not be asked through the API server ({status}): "
            f"{answer.get('message')}; this user needs get and create on pods/proxy there"
        ) from ApiError(method, path, status, answer)
    return status, answer
