# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""User accounts: the ServiceAccounts that stand for users in their tier's namespace. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from ._errors import MaasError, show
from ._names import (
    ACCOUNT_LABEL,
    MANAGED_LABELS,
    TIER_LABEL,
    TIER_NAMESPACE_PREFIX,
    USER_ANNOTATION,
)

_LONGEST = 63
_HASH_DIGITS = 8
_LONGEST_USER = 1024
_USER_PREFIX = "system:serviceaccount:"


def check_user(user: Any) -> str:
    """Return the user name where it is one; MaasError otherwise."""
    named = isinstance(user, str) and user.strip() == user != "" and user.isprintable()
    if named and len(user) <= _LONGEST_USER:
        return str(user)
    raise MaasError(
        f"{show(user)} is no user name; allowed: 1 to {_LONGEST_USER} printable characters, "
        "no space at either end"
    )


def account_name(user: str) -> str:
    """Return the ServiceAccount name of a user: readable, and the same on every machine."""
    checked = check_user(user)
    # The hash tells apart users whose readable parts are the same; it protects nothing.
    digest = hashlib.sha1(checked.encode(), usedforsecurity=False).hexdigest()[:_HASH_DIGITS]
    readable = re.sub(r"[^a-z0-9]+", "-", checked.lower()).strip("-") or "user"
    return f"{readable[: _LONGEST - _HASH_DIGITS - 1].rstrip('-')}-{digest}"


def tier_namespace(tier: str) -> str:
    """Return the namespace that holds a tier's accounts."""
    return TIER_NAMESPACE_PREFIX + tier


def tier_of_namespace(namespace: str) -> str | None:
    """Return the tier a namespace would belong to by its name, or None."""
    if not namespace.startswith(TIER_NAMESPACE_PREFIX):
        return None
    return namespace[len(TIER_NAMESPACE_PREFIX) :] or None


def split_account_user(username: str) -> tuple[str, str] | None:
    """Return namespace and name of a ServiceAccount's full user name, or None."""
    if not username.startswith(_USER_PREFIX):
        return None
    namespace, found, name = username[len(_USER_PREFIX) :].partition(":")
    return (namespace, name) if namespace and found and name else None


def account_user(user: str, tier: str) -> str:
    """Return the full user name that the API server gives a user's account."""
    return f"{_USER_PREFIX}{tier_namespace(tier)}:{account_name(user)}"


def account_manifest(user: str, tier: str) -> dict[str, Any]:
    """Render the ServiceAccount of a user in a tier. It holds no token and mounts none."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {
            "name": account_name(user),
            "namespace": tier_namespace(tier),
            "labels": {**MANAGED_LABELS, TIER_LABEL: tier, ACCOUNT_LABEL: "true"},
            "annotations": {USER_ANNOTATION: user},
        },
        "automountServiceAccountToken": False,
    }


def owner_of(account: Mapping[str, Any]) -> str | None:
    """Return the user an account says it stands for; None where it is no account of ours."""
    metadata = account.get("metadata") or {}
    if (metadata.get("labels") or {}).get(ACCOUNT_LABEL) != "true":
        return None
    user = (metadata.get("annotations") or {}).get(USER_ANNOTATION)
    return user if isinstance(user, str) else None


def check_owner(account: Mapping[str, Any], user: str) -> None:
    """Refuse an existing account that stands for somebody else.

    Names carry 32 bits of hash only, so somebody who may choose a user name can look for one
    that shares another user's account name. The annotation holds the whole user name.
    """
    owner = owner_of(account)
    if owner != user:
        metadata = account.get("metadata") or {}
        where = f"{metadata.get('namespace')}/{metadata.get('name')}"
        raise MaasError(
            f"ServiceAccount {where} exists and does not belong to user {show(user)} "
            f"(annotation {USER_ANNOTATION} is {show(owner)}), so it is left alone; delete that "
            "account if nobody uses it, or rename one of the two users"
        )
