# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Minting and revoking. Nothing is stored but the accounts; tokens come from TokenRequest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from .accounts import Accounts, account_path
from .errors import ApiError
from .kubernetes import Kubernetes, KubernetesError
from .metrics import Metrics
from .notes import AccountNotes
from .objects import ServiceAccount, TokenRequest
from .secret import Secret
from .shared._accounts import account_manifest, account_name, check_owner, owner_of
from .shared._errors import MaasError
from .shared._tiers import Tier

log = structlog.get_logger()

_TRIES = 8
_PAUSE_SECONDS = 0.25
#: How far another replica's watch may be behind ours.
LAG_SECONDS = 0.5
#: How long our own watch may take to show a deletion before that is an error.
_SEEN_SECONDS = 5.0


@dataclass(frozen=True)
class Minted:
    """A token and what may be said about it."""

    token: Secret
    ttl_seconds: int
    expires_at: int
    account: str


class Tokens:
    """Makes tokens and takes them back."""

    def __init__(
        self,
        kubernetes: Kubernetes,
        accounts: Accounts,
        metrics: Metrics,
        *,
        audience: str,
        tier_cache_seconds: float,
    ) -> None:
        self._kubernetes = kubernetes
        self._accounts = accounts
        self._metrics = metrics
        self._audience = audience
        self._in_force_seconds = tier_cache_seconds + LAG_SECONDS
        self._notes = AccountNotes(kubernetes)

    async def close(self) -> None:
        """Finish what goes on after answers."""
        await self._notes.close()

    async def mint(self, user: str, tier: Tier, ttl_seconds: int) -> Minted:
        """Return a new token of the user in this tier."""
        name = _name(user)
        account = self._accounts.shown(tier.namespace, name)
        for _ in range(_TRIES):
            account = account or await self._ensure(user, tier)
            if account is not None:
                _check(account, user)
                minted = await self._request(tier, name, ttl_seconds)
                if minted is not None:
                    self._metrics.minted.labels(tier.name).inc()
                    self._notes.note(account, tier.namespace, minted.expires_at)
                    return minted
            # It is being deleted, or was deleted under our hands: a revocation is going on.
            account = None
            await asyncio.sleep(_PAUSE_SECONDS)
        raise ApiError(503, "Your tokens are being revoked at this moment; try again.")

    async def _ensure(self, user: str, tier: Tier) -> ServiceAccount | None:
        """Create the account unless it exists; return None while an old one is going away."""
        try:
            return await self._kubernetes.create(
                account_path(tier.namespace), account_manifest(user, tier.name), ServiceAccount
            )
        except KubernetesError as exc:
            if exc.status != 409:
                raise
        account = await self._get(tier.namespace, _name(user))
        return None if account is None or account.is_terminating else account

    async def _get(self, namespace: str, name: str) -> ServiceAccount | None:
        try:
            return await self._kubernetes.get(account_path(namespace, name), ServiceAccount)
        except KubernetesError as exc:
            if exc.status == 404:
                return None
            raise

    async def _request(self, tier: Tier, name: str, ttl_seconds: int) -> Minted | None:
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": [self._audience], "expirationSeconds": ttl_seconds},
        }
        path = f"{account_path(tier.namespace, name)}/token"
        try:
            made = await self._kubernetes.create(path, body, TokenRequest)
        except KubernetesError as exc:
            if exc.status == 404:
                return None
            raise
        return Minted(
            token=Secret(made.status.token),
            # What was granted: a cluster may cap what was asked for.
            ttl_seconds=made.spec.expiration_seconds,
            expires_at=int(made.status.expiration_timestamp.timestamp()),
            account=f"{tier.namespace}/{name}",
        )

    async def revoke(self, user: str, namespaces: Mapping[str, Tier]) -> list[str]:
        """Delete the user's accounts in these namespaces; return them once no token works.

        The gateway may have asked about an account just before it died, and remembers the
        answer; so this ends when what it remembers must have expired.
        """
        name = _name(user)
        results = await asyncio.gather(
            *(
                self._delete(user, namespace, name, tier.name)
                for namespace, tier in namespaces.items()
            ),
            return_exceptions=True,
        )
        # Every namespace was tried before the first failure is told.
        for result in results:
            if isinstance(result, BaseException):
                raise result
        revoked = [result for result in results if isinstance(result, str)]
        deaths = [self._accounts.last_death(namespace, name) for namespace in namespaces]
        # Somebody who asks twice waits for the first revocation too.
        last = max((death for death in deaths if death is not None), default=float("-inf"))
        if revoked:
            last = time.monotonic()
        await asyncio.sleep(max(0.0, last + self._in_force_seconds - time.monotonic()))
        return revoked

    async def _delete(self, user: str, namespace: str, name: str, tier: str) -> str | None:
        """Delete the user's account in one namespace, and see it go."""
        path = account_path(namespace, name)
        for _ in range(_TRIES):
            account = await self._get(namespace, name)
            if account is None or owner_of(account.as_mapping()) != user:
                return None
            uid = account.metadata.uid
            body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
            try:
                await self._kubernetes.delete(path, body)
            except KubernetesError as exc:
                # Replaced by another of the same name: look again.
                if exc.status == 409:
                    continue
                if exc.status != 404:
                    raise
            await self._see_gone(namespace, name, uid)
            self._metrics.revoked.labels(tier).inc()
            return f"{namespace}/{name}"
        raise ApiError(503, "Tokens are being made as fast as they are revoked; try again.")

    async def _see_gone(self, namespace: str, name: str, uid: str) -> None:
        deadline = time.monotonic() + _SEEN_SECONDS
        while self._accounts.known(namespace, name, uid) is not None:
            if time.monotonic() > deadline:
                raise ApiError(503, "The deletion was not confirmed in time; try again.")
            await asyncio.sleep(0.02)


def _name(user: str) -> str:
    try:
        return account_name(user)
    except MaasError as exc:
        raise ApiError(400, str(exc)) from exc


def _check(account: ServiceAccount, user: str) -> None:
    try:
        check_owner(account.as_mapping(), user)
    except MaasError as exc:
        # The text names the other user: for the log, not for the caller.
        log.warning("account of another user", reason=str(exc))
        message = "Another user's account has the name yours would have; ask an administrator."
        raise ApiError(409, message) from exc
