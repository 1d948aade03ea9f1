# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What is special about single users: maas_user_overrides. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ._accounts import account_name, check_user
from ._checks import Problems, keys, mapping, sequence, shown_text, switch
from ._errors import MaasError
from ._models import Model
from ._quotas import Limits, ModelLimits, Quota, read_limits

KEYS = {
    "user": "a user's name, as the identity provider writes it",
    "suspended": "true or false",
    "reason": "one line of text",
    "limits": "a mapping with requests, tokens or models",
}


@dataclass(frozen=True)
class Override:
    """A user who is suspended, or has limits of their own in whatever tier.

    A quota of one kind replaces all the tier's quotas of that kind, those of single models
    included; quotas of models are exceptions to it or, without it, to the tier's.
    """

    user: str
    account: str
    suspended: bool = False
    reason: str = ""
    requests: Quota | None = None
    tokens: Quota | None = None
    model_limits: tuple[ModelLimits, ...] = ()

    @property
    def limits_anything(self) -> bool:
        """Return whether any limit differs from the tier's."""
        return self.requests is not None or self.tokens is not None or bool(self.model_limits)

    def quota(self, kind: str) -> Quota | None:
        """Return the common quota of this kind, requests or tokens."""
        return self.requests if kind == "requests" else self.tokens


def read_overrides(
    problems: Problems, raw: Any, models: Sequence[Model], path: str = "maas_user_overrides"
) -> list[Override]:
    """Return the overrides that could be read, by user."""
    read: dict[str, Override] = {}
    where: dict[str, str] = {}
    for index, entry in enumerate(sequence(problems, path, raw, "a list of users") or []):
        here = f"{path}[{index}]"
        override = _read(problems, here, entry, models)
        if override is None:
            continue
        # By account: two names that share one could not be told apart at the gateway.
        if override.account in where:
            allowed = "each user once"
            problems.found(f"{here}.user", override.user, allowed, where[override.account])
            continue
        where[override.account] = f"{here}.user is the same"
        read[override.user] = override
    return [read[user] for user in sorted(read)]


def _read(problems: Problems, path: str, entry: Any, models: Sequence[Model]) -> Override | None:
    raw = mapping(problems, path, entry, f"a mapping with {', '.join(KEYS)}")
    if raw is None:
        return None
    before = len(problems)
    keys(problems, path, raw, KEYS, required=("user",))
    user = _read_user(problems, f"{path}.user", raw["user"]) if "user" in raw else None
    suspended = switch(problems, f"{path}.suspended", raw.get("suspended", False))
    reason = ""
    if raw.get("reason", "") != "":
        reason = shown_text(problems, f"{path}.reason", raw["reason"]) or ""
    limits = Limits()
    if "limits" in raw:
        names = {model.name: model.ref for model in models}
        limits = read_limits(problems, f"{path}.limits", raw["limits"], names)
        if len(problems) == before and limits == Limits():
            problems.found(f"{path}.limits", raw["limits"], KEYS["limits"])
    if len(problems) == before and "suspended" not in raw and "limits" not in raw:
        problems.found(path, entry, "suspended or limits: what is special about this user")
    if len(problems) > before or user is None:
        return None
    return Override(
        user=user,
        account=account_name(user),
        suspended=bool(suspended),
        reason=reason,
        requests=limits.requests,
        tokens=limits.tokens,
        model_limits=limits.models,
    )


def _read_user(problems: Problems, path: str, raw: Any) -> str | None:
    try:
        return check_user(raw)
    except MaasError:
        problems.found(path, raw, "1 to 1024 printable characters, no space at either end")
        return None
