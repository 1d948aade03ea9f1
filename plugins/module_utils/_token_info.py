# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a token is good, and why not.

The API server decides; nothing here lets a token pass. Its words, or the token's own claims
where its words say too little, are read only to tell people why it said no.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ._accounts import owner_of, split_account_user
from ._kubernetes import Cluster
from ._names import TOKEN_AUDIENCE
from ._objects import Key, Object
from ._read_catalog import LiveCatalog
from ._times import write_time
from ._tokens import describe

_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"

#: Why a token is none that works -> what a person reads.
REASONS = {
    "expired": "the token has expired",
    "revoked": "the account that the token was made for is gone: it was revoked",
    "wrong_audience": "the token was made for another audience than the gateway",
    "forged": "this cluster did not sign the token",
    "no_tier": "the token's account is in no tier",
    "suspended": "the user is suspended",
    "disabled": "the tier is disabled",
    "ended": "the tier was removed or renamed, and the time its tokens still had is over",
}

#: Words in the API server's refusal -> the reason. It checks the signature before all else.
_WORDS = (
    ("cryptographic", "forged"),
    ("signature", "forged"),
    ("has expired", "expired"),
    ("token audiences", "wrong_audience"),
    ('" not found', "revoked"),
    ("has been deleted", "revoked"),
    ("does not match claim", "revoked"),
)


@dataclass(frozen=True)
class Claims:
    """What a token says of itself; true only where the API server took it."""

    audiences: tuple[str, ...] = ()
    expires: int | None = None
    username: str = ""

    @classmethod
    def read(cls, token: str) -> Claims | None:
        """Return a JWT's claims, unverified; None where it is no JWT."""
        parts = token.split(".")
        if len(parts) != 3:
            return None
        try:
            raw = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        except (ValueError, binascii.Error):
            return None
        if not isinstance(raw, Mapping):
            return None
        said = raw.get("aud")
        audiences: Sequence[Any] = said if isinstance(said, list) else [said]
        expires = raw.get("exp")
        return cls(
            tuple(entry for entry in audiences if isinstance(entry, str)),
            int(expires) if isinstance(expires, (int, float)) and _is_time(expires) else None,
            str(raw.get("sub") or ""),
        )


@dataclass(frozen=True)
class Finding:
    """What was found out about a token."""

    reason: str | None
    claims: Claims | None
    username: str = ""
    account: Object | None = None


def inspect(cluster: Cluster, catalog: LiveCatalog, token: str, now: datetime) -> dict[str, Any]:
    """Return a module's result about a token."""
    finding = _find_out(cluster, catalog, token, now)
    namespace, name = split_account_user(finding.username) or ("", "")
    tier = catalog.content.rights(namespace) if namespace else None
    override = catalog.content.override(name) if name else None
    expires = finding.claims.expires if finding.claims else None
    left = expires - int(now.timestamp()) if expires is not None else 0
    result: dict[str, Any] = {
        "valid": finding.reason is None,
        "reason": finding.reason,
        "message": REASONS[finding.reason] if finding.reason else "the token is good",
        "user": owner_of(finding.account) if finding.account else None,
        "namespace": namespace or None,
        "account": name or None,
        "tier": tier.name if tier else None,
        "limits": None,
        "models": None,
        "expires_at": None,
        "remaining_seconds": max(left, 0) if finding.reason is None else 0,
    }
    if expires is not None and finding.reason != "forged":
        result["expires_at"] = write_time(datetime.fromtimestamp(expires, now.tzinfo))
    if tier is not None:
        result.update(describe(tier, override))
    return result


def _find_out(cluster: Cluster, catalog: LiveCatalog, token: str, now: datetime) -> Finding:
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, "audiences": [TOKEN_AUDIENCE]},
    }
    status = cluster.request("POST", _REVIEWS, (), review)[1].get("status") or {}
    claims = Claims.read(token)
    if not status.get("authenticated") or TOKEN_AUDIENCE not in (status.get("audiences") or []):
        reason = _why(str(status.get("error") or ""), claims, now)
        # A forged token says what its maker liked; the others were signed by this cluster.
        username = claims.username if claims and reason != "forged" else ""
        return Finding(reason, claims, username)
    user = status.get("user") or {}
    username = str(user.get("username") or "")
    place = split_account_user(username)
    if place is None or catalog.content.rights(place[0]) is None:
        ended = place is not None and catalog.content.former_in(place[0]) is not None
        return Finding("ended" if ended else "no_tier", claims, username)
    account = cluster.find(Key("v1", "ServiceAccount", *place))
    # The API server remembers a good token for some seconds after its account is gone.
    if account is None or account["metadata"].get("uid") != user.get("uid"):
        return Finding("revoked", claims, username)
    return Finding(_barred(catalog, place, now), claims, username, account)


def _barred(catalog: LiveCatalog, place: tuple[str, str], now: datetime) -> str | None:
    """Return why the account of a good token may not call; None where it may."""
    namespace, name = place
    until = catalog.content.until(namespace)
    override = catalog.content.override(name)
    tier = catalog.content.rights(namespace)
    if until is not None and until <= now:
        return "ended"
    if override is not None and override.suspended:
        return "suspended"
    return "disabled" if tier is not None and not tier.enabled else None


def _why(words: str, claims: Claims | None, now: datetime) -> str:
    if claims is None:
        return "forged"
    for part, reason in _WORDS:
        if part in words:
            return reason
    if TOKEN_AUDIENCE not in claims.audiences:
        return "wrong_audience"
    if claims.expires is not None and claims.expires <= now.timestamp():
        return "expired"
    return "forged"


def _is_time(value: float) -> bool:
    """Return whether a calendar can write these seconds: a forger may say anything."""
    return 0 <= value < 253_402_300_800
