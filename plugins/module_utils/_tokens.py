# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Making users' tokens and taking them away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ._accounts import account_manifest, account_name, check_owner, tier_namespace
from ._durations import parse_seconds, write_seconds
from ._enforcement import wait_refused
from ._errors import MaasError, show
from ._kubernetes import ApiError, Cluster
from ._names import TIER_LABEL, TOKEN_AUDIENCE
from ._objects import Key, Object
from ._read_catalog import Catalog
from ._tiers import SHORTEST_TTL_SECONDS, Tier, find_tier, resolve_tier


@dataclass(frozen=True)
class Minted:
    """A token of one user. The token is the only secret in it."""

    user: str
    tier: str
    namespace: str
    account: str
    created: bool
    token: str | None
    expires_at: str | None

    def as_result(self) -> dict[str, Any]:
        """Return it as a module returns it."""
        return {
            "user": self.user,
            "tier": self.tier,
            "namespace": self.namespace,
            "account": self.account,
            "token": self.token,
            "expires_at": self.expires_at,
        }


def choose_tier(catalog: Catalog, name: str | None, groups: Iterable[str]) -> Tier:
    """Return the tier asked for, or the one that these groups belong to."""
    if name is not None:
        return find_tier(catalog.tiers, name)
    members = sorted(set(groups))
    tier = resolve_tier(catalog.tiers, members)
    if tier is None:
        raise MaasError(
            f"no tier has any of the groups {show(members)}; name a tier, or add one of these "
            "groups to a tier in maas_tiers"
        )
    return tier


def choose_ttl(tier: Tier, ttl: str | None) -> int:
    """Return the seconds a token is to live; MaasError where the tier does not allow them."""
    if ttl is None:
        return tier.default_ttl_seconds
    seconds = parse_seconds(ttl)
    if not SHORTEST_TTL_SECONDS <= seconds <= tier.max_ttl_seconds:
        raise MaasError(
            f"ttl {show(ttl)} is not allowed in tier {tier.name}; allowed: "
            f"{write_seconds(SHORTEST_TTL_SECONDS)} to {write_seconds(tier.max_ttl_seconds)}"
        )
    return seconds


def mint(
    cluster: Cluster, users: Sequence[str], tier: Tier, ttl_seconds: int, dry_run: bool = False
) -> list[Minted]:
    """Make one token for each user, and the accounts that are missing."""

    def one(user: str) -> Minted:
        created = _ensure_account(cluster, user, tier, dry_run)
        name = account_name(user)
        token = expires_at = None
        if not dry_run:
            token, expires_at = cluster.request_token(
                tier.namespace, name, TOKEN_AUDIENCE, ttl_seconds
            )
        return Minted(user, tier.name, tier.namespace, name, created, token, expires_at)

    return cluster.each(one, users)


def revoke(
    cluster: Cluster,
    users: Sequence[str],
    api_namespace: str,
    wait_seconds: float,
    dry_run: bool = False,
) -> list[str]:
    """Delete the accounts of these users in every tier, and return those who had one.

    Returns only when the gateway refuses their tokens, unless waiting is switched off.
    """
    namespaces = [
        item["metadata"]["name"] for item in cluster.select("v1", "Namespace", "", TIER_LABEL)
    ]
    pairs = [(user, namespace) for user in users for namespace in namespaces]
    found = [
        (user, account)
        for (user, _namespace), account in zip(
            pairs, cluster.each(lambda pair: _find(cluster, *pair), pairs), strict=True
        )
        if account is not None
    ]
    for user, account in found:
        check_owner(account, user)
    cluster.each(lambda pair: cluster.delete(pair[1], dry_run), found)
    if wait_seconds > 0 and not dry_run:
        gone = [(_username(account), account["metadata"]["uid"]) for _user, account in found]
        wait_refused(cluster, api_namespace, gone, wait_seconds)
    return sorted({user for user, _account in found})


def _find(cluster: Cluster, user: str, namespace: str) -> Object | None:
    return cluster.find(Key("v1", "ServiceAccount", namespace, account_name(user)))


def _username(account: Object) -> str:
    metadata = account["metadata"]
    return f"system:serviceaccount:{metadata['namespace']}:{metadata['name']}"


def _ensure_account(cluster: Cluster, user: str, tier: Tier, dry_run: bool) -> bool:
    """Return whether the account had to be made. An existing one is never written to.

    It may be another user's whose account name is the same: applying would take it over.
    """
    account = _find(cluster, user, tier.namespace)
    if account is None:
        try:
            cluster.create(account_manifest(user, tier.name), dry_run)
        except ApiError as exc:
            if exc.no_namespace:
                raise MaasError(
                    f"namespace {tier_namespace(tier.name)} of tier {tier.name} is not there; "
                    "run the playbook maas.platform.tiers"
                ) from exc
            if exc.status != 409:
                raise
            account = _find(cluster, user, tier.namespace)
        else:
            return True
    if account is None:
        raise MaasError(f"the account of {show(user)} came and went while it was made: try again")
    check_owner(account, user)
    return False
