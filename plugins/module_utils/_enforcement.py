# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""When a change is in force: what the gateway's parts say, not what was sent to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ._errors import MaasError
from ._kubernetes import ApiError, Cluster
from ._names import API_PORT, API_SERVICE, REVISION_HEADER, TIER_CACHE_SECONDS
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
        return f"{key_of(policy)}: generation {generation} is not seen yet (seen: {seen})"
    found = conditions(policy)
    for name in _CONDITIONS:
        condition = found.get(name) or {}
        if condition.get("status") != "True":
            why = f"{condition.get('reason', 'no such condition')}: {condition.get('message', '')}"
            return f"{key_of(policy)}: not {name} ({why})"
    return ""


def wait_enforced(cluster: Cluster, keys: Sequence[Key], timeout_seconds: float) -> None:
    """Wait until Kuadrant says that every one of these policies is in force."""

    def missing() -> str:
        for key, policy in zip(keys, cluster.each(cluster.find, keys), strict=True):
            state = policy_state(policy) if policy else f"{key}: gone"
            if state:
                return state
        return ""

    cluster.wait("the policies are not in force", missing, timeout_seconds)


def wait_authorino(cluster: Cluster, namespace: str, revision: str, timeout_seconds: float) -> None:
    """Wait until every AuthConfig of ours is of this revision and Authorino serves it.

    Kuadrant's conditions may be the last generation's for a moment; the AuthConfig it writes
    carries the revision in its refusals.
    """

    def missing() -> str:
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

    cluster.wait("Authorino does not serve the new policy", missing, timeout_seconds)


def _revision_of(config: Object) -> str | None:
    response = (config.get("spec") or {}).get("response") or {}
    headers = (response.get("unauthorized") or {}).get("headers") or {}
    value = (headers.get(REVISION_HEADER) or {}).get("value")
    return str(value) if value else None


def api_pods(cluster: Cluster, namespace: str) -> list[str] | None:
    """Return the ready pods of the MaaS API; None where it is not installed."""
    deployment = cluster.find(Key("apps/v1", "Deployment", namespace, API_SERVICE))
    if deployment is None:
        return None
    labels = deployment["spec"]["selector"].get("matchLabels") or {}
    selector = ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
    pods = cluster.select("v1", "Pod", namespace, selector)
    return sorted(
        pod["metadata"]["name"]
        for pod in pods
        if (conditions(pod).get("Ready") or {}).get("status") == "True"
        and not pod["metadata"].get("deletionTimestamp")
    )


def wait_api_revision(
    cluster: Cluster, namespace: str, revision: str, timeout_seconds: float
) -> None:
    """Wait until every ready replica of the MaaS API answers from this revision's catalog.

    Policies that come before would ask replicas about tiers that those do not know yet.
    """

    def missing() -> str:
        for pod in api_pods(cluster, namespace) or []:
            seen = _ask(cluster, namespace, pod, "/health").get("revision")
            if seen != revision:
                return f"{pod} is at revision {seen}, not yet {revision}"
        return ""

    cluster.wait("the MaaS API has not read the new tiers", missing, timeout_seconds)


def wait_refused(
    cluster: Cluster, namespace: str, accounts: Iterable[tuple[str, str]], timeout_seconds: float
) -> None:
    """Wait until deleted accounts (full user name, uid) are refused at the gateway.

    The API server remembers a good token for a while after its account is gone. What refuses
    at once is the tier lookup: no replica may know the uid any more, and the gateway must have
    forgotten its last answer.
    """
    gone = list(accounts)
    if not gone:
        return

    def missing() -> str:
        for pod in api_pods(cluster, namespace) or []:
            for username, uid in gone:
                body = {"groups": [], "username": username, "uid": uid}
                status, _answer = _post(cluster, namespace, pod, "/v1/tiers/lookup", body)
                if status not in (403, 404):
                    return f"{pod} answers {status} for {username}, not yet 404"
        return ""

    cluster.wait("the accounts are deleted but not refused yet", missing, timeout_seconds)
    cluster.pause(TIER_CACHE_SECONDS + 1)


def _ask(cluster: Cluster, namespace: str, pod: str, path: str) -> dict[str, Any]:
    status, answer = _post(cluster, namespace, pod, path, None)
    return answer if status == 200 and isinstance(answer, dict) else {}


def _post(cluster: Cluster, namespace: str, pod: str, path: str, body: Any) -> tuple[int, Any]:
    method = "GET" if body is None else "POST"
    status, answer = cluster.ask_pod(namespace, pod, API_PORT, path, method, body)
    # The API server's own refusal is a Status object; the pod's would be {error, message}.
    if status in (401, 403) and isinstance(answer, dict) and answer.get("kind") == "Status":
        raise MaasError(
            f"pod {namespace}/{pod} could not be asked through the API server ({status}): "
            f"{answer.get('message')}; this user needs get and create on pods/proxy there"
        ) from ApiError(method, path, status, answer)
    return status, answer
