# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What users and administrators may do, whichever way they come: by the API or the web pages."""

from __future__ import annotations

from collections import Counter as Tally

from .audit import Action, Attempt, Origin
from .catalog import Catalog
from .errors import ApiError
from .expiration import check_bounds, parse_expiration, write_go
from .history import History
from .identity import Caller, join_account_user
from .limitador import Limitador
from .messages import (
    AdminTier,
    Holder,
    Lifetimes,
    Limits,
    Me,
    PlatformBody,
    TierBody,
    TokenBody,
    UsageBody,
    UsageHistory,
)
from .models import Model
from .notes import LAST_TOKEN, TOKENS_EXPIRE, read_note
from .objects import ServiceAccount
from .policies import Policies, drift_of
from .shared._accounts import owner_of
from .shared._effective import effective_tier
from .shared._tiers import Tier
from .throttle import Throttle
from .tokens import Tokens
from .usage import usage_of
from .view import ClusterView

Expiration = str | int | float | None


class Desk:
    """Every act and every question, with its checks and its line in the audit trail.

    Args:
        view: What is known of the cluster.
        tokens: Makes them and takes them back.
        throttle: How often a user may have one made.
        limitador: Where usage is counted.
        policies: The gateway's.
        history: Usage over time.
    """

    def __init__(
        self,
        view: ClusterView,
        tokens: Tokens,
        throttle: Throttle,
        limitador: Limitador,
        policies: Policies,
        history: History,
    ) -> None:
        self._view = view
        self._tokens = tokens
        self._throttle = throttle
        self._limitador = limitador
        self._policies = policies
        self._history = history

    # For everybody

    def me(self, caller: Caller) -> Me:
        """Say who the caller is and what he may do."""
        tier = _own_tier(caller)
        return Me(
            user=caller.user,
            kind=caller.kind,
            tier=tier.name if tier else None,
            display_name=tier.display_name or tier.name if tier else None,
            limits=Limits.of(tier) if tier else None,
            token=Lifetimes.of(tier) if tier else None,
            models=self.models(caller),
            admin=caller.is_admin,
            refusal=caller.refusal or None,
        )

    def models(self, caller: Caller) -> list[Model]:
        """Return the models the caller may call."""
        return [] if caller.refusal else self._view.models.of(caller.tier)

    def model(self, caller: Caller, name: str) -> Model:
        """Return one of them; others look as if there were none."""
        for model in self.models(caller):
            if model.id == name:
                return model
        raise ApiError(404, "No model of this name that you may call.")

    def tiers(self) -> list[TierBody]:
        """Return all tiers, lowest first."""
        return [TierBody.of(tier) for tier in self._catalog().tiers]

    async def usage(self, caller: Caller) -> UsageBody:
        """Return what the caller has used of each limit of his."""
        counters = await self._limitador.counters()
        if caller.tier is None or caller.account is None:
            return UsageBody(caller.user, None, [], int(counters.as_of))
        return usage_of(caller.user, caller.account, caller.tier, caller.override, counters)

    # For those who logged in

    async def mint(self, caller: Caller, expiration: Expiration, origin: Origin) -> TokenBody:
        """Make a token for the caller."""
        attempt = Attempt.by(caller, "token.mint", origin)
        with attempt.refusals():
            _need_login(caller)
            tier = _tier_to_mint_in(caller)
            ttl_seconds = _ttl_seconds(expiration, tier)
            self._throttle.take(caller.user)
            minted = await self._tokens.mint(caller.user, tier, ttl_seconds)
        attempt.record(
            "done",
            accounts=[minted.account],
            ttl_seconds=minted.ttl_seconds,
            expires_at=minted.expires_at,
        )
        return TokenBody(
            token=minted.token.reveal(),
            expiration=write_go(minted.ttl_seconds),
            expires_at=minted.expires_at,
            user=caller.user,
            tier=tier.name,
            display_name=tier.display_name or tier.name,
            limits=Limits.of(effective_tier(tier, caller.override)),
            models=self._view.models.of(tier),
        )

    async def revoke(self, caller: Caller, origin: Origin) -> list[str]:
        """End every token of the caller; return the accounts that are gone."""
        attempt = Attempt.by(caller, "token.revoke", origin)
        with attempt.refusals():
            _need_login(caller)
            revoked = await self._tokens.revoke(caller.user, self._catalog().by_namespace)
        attempt.record("done", accounts=revoked)
        return revoked

    # For administrators

    def holders(self, caller: Caller, origin: Origin) -> list[Holder]:
        """Return every account that tokens were made for."""
        self._admit(caller, "users.list", origin)
        catalog = self._catalog()
        found = []
        for namespace, watch in self._view.accounts.watches:
            tier = catalog.by_namespace.get(namespace)
            if tier is None:
                continue
            for account in watch.items.values():
                owner = owner_of(account.as_mapping())
                if owner is not None and not account.is_terminating:
                    found.append(_holder(catalog, namespace, tier, owner, account))
        return sorted(found, key=lambda holder: (holder.user, holder.namespace))

    async def revoke_user(self, caller: Caller, user: str, origin: Origin) -> list[str]:
        """End every token of a user; return the accounts that are gone."""
        attempt = Attempt.by(caller, "token.revoke", origin, owner=user)
        with attempt.refusals():
            need_admin(caller)
            revoked = await self._tokens.revoke(user, self._catalog().by_namespace)
            if not revoked:
                raise ApiError(404, "No user of this name has tokens; GET /v1/admin/users lists.")
        attempt.record("done", accounts=revoked)
        return revoked

    async def usage_of_all(self, caller: Caller, origin: Origin) -> list[UsageBody]:
        """Return the usage of everybody who called in a window that still runs."""
        self._admit(caller, "usage.read", origin)
        catalog = self._catalog()
        counters = await self._limitador.counters()
        bodies = []
        for namespace, watch in self._view.accounts.watches:
            tier = catalog.by_namespace.get(namespace)
            for name, account in watch.items.items():
                owner = owner_of(account.as_mapping())
                username = join_account_user(namespace, name)
                if tier and owner and counters.of(username):
                    override = catalog.override(name)
                    bodies.append(usage_of(owner, username, tier, override, counters))
        return sorted(bodies, key=lambda body: (body.user, body.tier or ""))

    async def usage_over_time(
        self, caller: Caller, by: str, measure: str, hours: int, origin: Origin
    ) -> UsageHistory | None:
        """Return everybody's usage in the last hours; None where nothing keeps it."""
        self._admit(caller, "usage.read", origin)
        return await self._history.read(by, measure, hours)

    async def platform(self, caller: Caller, origin: Origin) -> PlatformBody:
        """Say whether the gateway enforces what the catalog says, and who has which tier."""
        self._admit(caller, "platform.read", origin)
        catalog = self._catalog()
        policies = await self._policies.read()
        users: Tally[str] = Tally()
        for namespace, watch in self._view.accounts.watches:
            tier = catalog.by_namespace.get(namespace)
            if tier:
                users[tier.name] += len(watch.items)
        return PlatformBody(
            catalog_revision=catalog.revision,
            drift=drift_of(catalog.revision, policies),
            policies=policies,
            tiers=[
                AdminTier(TierBody.of(tier), list(tier.groups), users[tier.name])
                for tier in catalog.tiers
            ],
        )

    def _admit(self, caller: Caller, action: Action, origin: Origin) -> None:
        """Let administrators in, and note that they looked."""
        attempt = Attempt.by(caller, action, origin)
        with attempt.refusals():
            need_admin(caller)
        attempt.record("done")

    def _catalog(self) -> Catalog:
        catalog = self._view.catalogs.current
        if catalog is None:
            raise ApiError(503, "There is no tier catalog yet; try again.")
        return catalog


def _own_tier(caller: Caller) -> Tier | None:
    return effective_tier(caller.tier, caller.override) if caller.tier else None


def _need_login(caller: Caller) -> None:
    if caller.kind != "login":
        raise ApiError(
            403, "A tier token cannot make or revoke tokens; use the token you log in with."
        )


def need_admin(caller: Caller) -> None:
    """Refuse, with ApiError 403, whoever is no administrator."""
    if not caller.is_admin:
        raise ApiError(403, "This is for administrators: members of the groups configured as such.")


def _tier_to_mint_in(caller: Caller) -> Tier:
    if caller.override is not None and caller.override.suspended:
        raise ApiError(403, caller.refusal)
    if caller.tier is None:
        raise ApiError(404, "no tier for this user: none of the user's groups leads to one")
    if caller.refusal:
        raise ApiError(404, caller.refusal)
    return caller.tier


def _ttl_seconds(expiration: Expiration, tier: Tier) -> int:
    if expiration is None:
        return tier.default_ttl_seconds
    try:
        seconds = parse_expiration(expiration)
        check_bounds(seconds, tier.max_ttl_seconds, tier.name)
    except ValueError as exc:
        raise ApiError(400, str(exc)) from exc
    return seconds


def _holder(
    catalog: Catalog, namespace: str, tier: Tier, owner: str, account: ServiceAccount
) -> Holder:
    meta = account.metadata
    times = [meta.creation_timestamp, read_note(account, LAST_TOKEN)]
    created, last, expire = [
        int(time.timestamp()) if time else None
        for time in [*times, read_note(account, TOKENS_EXPIRE)]
    ]
    override = catalog.override(meta.name)
    return Holder(
        user=owner,
        tier=tier.name,
        namespace=namespace,
        account=meta.name,
        created=created or 0,
        last_token_at=last,
        tokens_expire_at=expire,
        suspended=bool(override and override.suspended),
        former=namespace in catalog.until,
    )
