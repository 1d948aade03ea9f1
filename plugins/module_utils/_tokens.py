# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Making users' tokens and taking them away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ._accounts import account_manifest, account_name, check_owner
from ._catalog import Former, catalog_entries
from ._effective import effective_tier
from ._errors import MaasError, show
from ._kubernetes import CONCURRENCY, ApiError, Cluster
from ._names import TOKEN_AUDIENCE
from ._objects import Key, Object
from ._overrides import Override
from ._read_catalog import LiveCatalog
from ._revocation import (
    everybodys_accounts,
    list_accounts,
    revoke_accounts,
    tier_namespaces,
    users_accounts,
)
from ._tiers import Tier
from ._times import write_time
from ._token_wishes import Grant, Wish, grant_wishes


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
    limits: dict[str, Any]
    models: list[dict[str, str]]

    def as_result(self) -> dict[str, Any]:
        """Return it as a module returns it."""
        return {
            "user": self.user,
            "tier": self.tier,
            "namespace": self.namespace,
            "account": self.account,
            "token": self.token,
            "expires_at": self.expires_at,
            "limits": self.limits,
            "models": self.models,
        }


def grant(catalog: LiveCatalog, wishes: Sequence[Wish]) -> list[Grant]:
    """Return what every user is to get; MaasError lists everybody who may not have it."""
    suspended = {entry.user: entry.reason for entry in catalog.overrides if entry.suspended}
    try:
        return grant_wishes(catalog.tiers, wishes, suspended)
    except MaasError as exc:
        named = {wish.tier for wish in wishes}
        hints = sorted({_became(former) for former in catalog.former if former.name in named})
        if not hints:
            raise
        raise MaasError(f"{exc.message} ({'; '.join(hints)})", exc.problems) from exc


def describe(tier: Tier, override: Override | None) -> dict[str, Any]:
    """Return a user's limits and models in a tier, as the catalog writes them."""
    entry = catalog_entries([effective_tier(tier, override)])[0]
    return {"limits": entry["limits"], "models": entry["models"]}


def mint(
    cluster: Cluster, catalog: LiveCatalog, grants: Sequence[Grant], dry_run: bool = False
) -> list[Minted]:
    """Make one token for each grant, and the accounts that are missing."""
    accounts = _accounts(cluster, grants)
    # A thousand users of a tier without anything special share one description.
    usual = {tier.name: describe(tier, None) for tier in {grant.tier for grant in grants}}

    def one(grant: Grant) -> Minted:
        tier, name = grant.tier, account_name(grant.user)
        known = accounts.get((tier.namespace, name))
        override = catalog.content.override(name)
        created = _ensure_account(cluster, grant.user, tier, known, dry_run)
        token = expires_at = None
        if not dry_run:
            token, expires_at = cluster.request_token(
                tier.namespace, name, TOKEN_AUDIENCE, grant.ttl_seconds
            )
        return Minted(
            user=grant.user,
            tier=tier.name,
            namespace=tier.namespace,
            account=name,
            created=created,
            token=token,
            expires_at=expires_at,
            **(describe(tier, override) if override else usual[tier.name]),
        )

    return cluster.each(one, grants)


def revoke_users(
    cluster: Cluster,
    users: Sequence[str],
    api_namespace: str,
    wait_seconds: float,
    dry_run: bool = False,
) -> list[str]:
    """Delete these users' accounts in every tier, former ones too; return who had one.

    An account that is not the user's keeps nobody else from being revoked: it is told afterwards.
    """
    accounts, had, foreign = [], set(), []
    for user, account in users_accounts(cluster, users, tier_namespaces(cluster, api_namespace)):
        try:
            check_owner(account, user)
        except MaasError as exc:
            foreign.append(str(exc))
        else:
            accounts.append(account)
            had.add(user)
    revoke_accounts(cluster, accounts, api_namespace, wait_seconds, dry_run)
    if foreign:
        many = "1 account was" if len(foreign) == 1 else f"{len(foreign)} accounts were"
        raise MaasError(
            f"{many} left alone; revoked: {', '.join(sorted(had)) or '(nobody)'}", foreign
        )
    return sorted(had)


def revoke_tier(
    cluster: Cluster,
    tier: str,
    api_namespace: str,
    wait_seconds: float,
    dry_run: bool = False,
) -> list[str]:
    """Delete the accounts of everybody in a tier; return who had one.

    Its namespaces carry its name: its own, and those that a rename or a migration brought it.
    """
    owner = tier_namespaces(cluster, api_namespace)
    mine = [namespace for namespace, name in owner.items() if name == tier]
    if not mine:
        raise MaasError(
            f"there is no tier {show(tier)}, so nobody was revoked; the tiers with users on this "
            f"cluster are {', '.join(sorted(set(owner.values()))) or '(none)'}"
        )
    found = everybodys_accounts(cluster, mine)
    accounts = [account for _user, account in found]
    revoke_accounts(cluster, accounts, api_namespace, wait_seconds, dry_run)
    return sorted({user for user, _account in found})


def _became(former: Former) -> str:
    if former.state == "draining":
        return f"tier {former.name} ends at {write_time(former.until)} and makes no more tokens"
    return f"tier {former.name} is now {former.tier}"


def _accounts(cluster: Cluster, grants: Sequence[Grant]) -> dict[tuple[str, str], Object]:
    """Return the accounts that are there. A few are asked for; more cost less as a list."""
    wanted = {(grant.tier.namespace, account_name(grant.user)) for grant in grants}
    if len(wanted) <= CONCURRENCY:
        keys = [Key("v1", "ServiceAccount", *which) for which in sorted(wanted)]
        found = [item for item in cluster.each(cluster.find, keys) if item is not None]
    else:
        found = list_accounts(cluster, sorted({namespace for namespace, _name in wanted}))
    return {which: _identity(item) for item in found if (which := _place(item)) in wanted}


def _place(account: Object) -> tuple[str, str]:
    return account["metadata"]["namespace"], account["metadata"]["name"]


def _identity(account: Object) -> Object:
    """Return what says whose an account is: thousands are kept while tokens are made."""
    kept = ("namespace", "name", "labels", "annotations")
    return {"metadata": {key: account["metadata"].get(key) for key in kept}}


def _ensure_account(
    cluster: Cluster, user: str, tier: Tier, known: Object | None, dry_run: bool
) -> bool:
    """Return whether the account had to be made. An existing one is never written to.

    It may be another user's whose account name is the same: applying would take it over.
    """
    account = known
    if account is None:
        try:
            cluster.create(account_manifest(user, tier.name), dry_run)
        except ApiError as exc:
            if exc.no_namespace:
                raise MaasError(
                    f"namespace {tier.namespace} of tier {tier.name} is not there; "
                    "run the playbook maas.platform.tiers"
                ) from exc
            if exc.status != 409:
                raise
            account = cluster.find(Key("v1", "ServiceAccount", tier.namespace, account_name(user)))
        else:
            return True
    if account is None:
        raise MaasError(f"the account of {show(user)} came and went while it was made: try again")
    check_owner(account, user)
    return False
