# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Taking accounts away, and knowing when the gateway refuses their tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ._accounts import account_name, owner_of, tier_of_namespace
from ._enforcement import api_pods, ask_api
from ._errors import MaasError
from ._kubernetes import CONCURRENCY, Cluster
from ._names import TIER_CACHE_SECONDS, TIER_LABEL
from ._objects import Key, Object
from ._read_catalog import read_catalog

#: What the MaaS API says of an account that is no longer live.
_REFUSED = (403, 404)


def tier_namespaces(cluster: Cluster, api_namespace: str) -> dict[str, str]:
    """Return the tier of every namespace that holds accounts: present tiers' and former ones'.

    Nobody's account may be missed because a namespace lost a label, so what the labels say and
    what the catalog says are taken together.
    """
    found = {
        item["metadata"]["name"]: tier
        for item in cluster.select("v1", "Namespace")
        if (tier := _tier_of(item)) is not None
    }
    try:
        catalog = read_catalog(cluster, api_namespace).content
    except MaasError:
        # Without one, the names and labels are all there is.
        return found
    for namespace in catalog.namespaces:
        rights = catalog.rights(namespace)
        found.setdefault(namespace, tier_of_namespace(namespace) or "")
        if rights is not None:
            found[namespace] = rights.name
    return found


def _tier_of(namespace: Object) -> str | None:
    metadata = namespace["metadata"]
    label = (metadata.get("labels") or {}).get(TIER_LABEL)
    return label or tier_of_namespace(metadata["name"])


def users_accounts(
    cluster: Cluster, users: Sequence[str], namespaces: Iterable[str]
) -> list[tuple[str, Object]]:
    """Return (user, account) for each account of these users' names in these namespaces.

    One may be somebody else's, or nobody's.
    """
    where = sorted(namespaces)
    wanted = {account_name(user): user for user in users}
    # A few are asked for by name; more cost less as one list of each namespace.
    if len(wanted) <= CONCURRENCY:
        keys = [Key("v1", "ServiceAccount", here, name) for here in where for name in wanted]
        accounts = [item for item in cluster.each(cluster.find, keys) if item is not None]
    else:
        accounts = list_accounts(cluster, where)
    return [
        (wanted[item["metadata"]["name"]], item)
        for item in accounts
        if item["metadata"]["name"] in wanted
    ]


def everybodys_accounts(cluster: Cluster, namespaces: Iterable[str]) -> list[tuple[str, Object]]:
    """Return (user, account) for every user's account in these namespaces."""
    owned = [(owner_of(item), item) for item in list_accounts(cluster, sorted(namespaces))]
    return [(user, item) for user, item in owned if user is not None]


def list_accounts(cluster: Cluster, namespaces: Sequence[str]) -> list[Object]:
    """Return the ServiceAccounts in these namespaces, one list for each.

    Not by label: an account that lost its label still has tokens.
    """
    found = cluster.each(lambda here: cluster.select("v1", "ServiceAccount", here), namespaces)
    return [item for items in found for item in items]


def revoke_accounts(
    cluster: Cluster,
    accounts: Sequence[Object],
    api_namespace: str,
    wait_seconds: float,
    dry_run: bool = False,
) -> None:
    """Delete accounts; return only when the gateway refuses every token of theirs.

    With wait_seconds 0 nothing is waited for.
    """
    cluster.each(lambda account: cluster.delete(account, dry_run), accounts)
    if wait_seconds <= 0 or dry_run:
        return
    if accounts:
        _wait_refused(cluster, accounts, api_namespace, wait_seconds)
    # Also where nothing was found: a run that was killed may have deleted them a moment ago.
    cluster.pause(TIER_CACHE_SECONDS + 1)


def _wait_refused(
    cluster: Cluster, accounts: Sequence[Object], api_namespace: str, timeout_seconds: float
) -> None:
    """Wait until no replica of the MaaS API knows these accounts.

    The API server remembers a good token for a while after its account is gone, so what refuses
    at once is the tier lookup. Every replica is asked about every account, each until it
    refuses: thousands of them are one round of questions, not one for each look.
    """
    refused: set[tuple[str, str]] = set()

    def missing() -> str:
        pods = api_pods(cluster, api_namespace) or []
        left = [
            (pod, account)
            for pod in pods
            for account in accounts
            if (pod, account["metadata"]["uid"]) not in refused
        ]

        def ask(question: tuple[str, Object]) -> int:
            pod, account = question
            return _ask(cluster, api_namespace, pod, account)

        waiting = ""
        for (pod, account), status in zip(left, cluster.each(ask, left), strict=True):
            if status in _REFUSED:
                refused.add((pod, account["metadata"]["uid"]))
            else:
                waiting = f"{pod} answers {status} for {username(account)}, not yet 404"
        return waiting

    cluster.wait("the accounts are deleted but not refused yet", missing, timeout_seconds)


def _ask(cluster: Cluster, api_namespace: str, pod: str, account: Object) -> int:
    body = {"groups": [], "username": username(account), "uid": account["metadata"]["uid"]}
    status, _answer = ask_api(cluster, api_namespace, pod, "/v1/tiers/lookup", body)
    return status


def username(account: Mapping[str, Mapping[str, str]]) -> str:
    """Return the full user name that the API server gives an account."""
    metadata = account["metadata"]
    return f"system:serviceaccount:{metadata['namespace']}:{metadata['name']}"
