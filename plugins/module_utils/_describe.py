# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Tiers, changes and drift in the words of the person who owns the tiers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._catalog import Catalog, Former
from ._drift import ABSENT, Path, differences, write_path
from ._durations import write_seconds
from ._errors import show
from ._names import REVISION_ANNOTATION
from ._objects import Change, clean
from ._overrides import Override
from ._quotas import UNLIMITED, ModelLimits, Quota
from ._tier import Tier
from ._times import write_time


def describe_catalog(catalog: Catalog | None) -> str:
    """Return what holds by a catalog: tiers by level, then exceptions, then what is on its way.

    Every line names whom it is about, so that the lines of a diff can be read alone.
    """
    if catalog is None:
        return ""
    lines = [
        f"tier {tier.name}: {label} {text}"
        for tier in sorted(catalog.tiers, key=lambda tier: tier.level)
        for label, text in _facts(tier).items()
    ]
    lines += [describe_override(item) for item in catalog.overrides]
    lines += [describe_former(item) for item in catalog.former]
    return "".join(f"{line}\n" for line in lines)


def describe_moves(before: Catalog | None, after: Catalog | None) -> list[str]:
    """Return what one catalog changes of another, one line for each fact."""
    was, will_be = before or Catalog(()), after or Catalog(())
    old = {tier.name: _facts(tier) for tier in was.tiers}
    new = {tier.name: _facts(tier) for tier in will_be.tiers}
    lines = []
    for name, facts in new.items():
        if name not in old:
            lines.append(
                f"tier {name} is new: requests {facts['requests']}, tokens {facts['tokens']}"
            )
            continue
        for label in dict.fromkeys([*old[name], *facts]):
            left, right = old[name].get(label, "none"), facts.get(label, "none")
            if left != right:
                lines.append(f"tier {name}: {label} {left} -> {right}")
    lines += [f"tier {name} is no longer offered" for name in old if name not in new]
    left_lines = [*map(describe_override, was.overrides), *map(describe_former, was.former)]
    right_lines = [
        *map(describe_override, will_be.overrides),
        *map(describe_former, will_be.former),
    ]
    lines += [line for line in right_lines if line not in left_lines]
    lines += [f"no more: {line}" for line in left_lines if line not in right_lines]
    return lines


def _facts(tier: Tier) -> dict[str, str]:
    """Return what a tier is, by the word that people call it."""
    facts = {
        "display name": show(tier.display_name),
        "level": str(tier.level),
        "description": show(tier.description),
        "groups": ", ".join(tier.groups) or "none",
        "models": ", ".join(f"{ref.namespace}/{ref.name}" for ref in tier.models) or "none",
        "token lifetime": f"{write_seconds(tier.default_ttl_seconds)}, at most "
        f"{write_seconds(tier.max_ttl_seconds)}",
        "requests": describe_quota(tier.requests),
        "tokens": describe_quota(tier.tokens),
        **_model_limits(tier.model_limits),
    }
    if not tier.description:
        del facts["description"]
    if not tier.enabled:
        facts["calls and new tokens"] = "refused (disabled)"
    if tier.priority:
        facts["priority"] = str(tier.priority)
    return facts


def describe_quota(quota: Quota) -> str:
    """Return a quota as people say it: 5 per 2m."""
    if quota == UNLIMITED:
        return UNLIMITED
    return ", ".join(f"{rate.limit} per {write_seconds(rate.window_seconds)}" for rate in quota)


def describe_override(override: Override) -> str:
    """Return what is special about one user."""
    facts = []
    if override.suspended:
        facts.append(f"suspended ({override.reason})" if override.reason else "suspended")
    if override.requests is not None:
        facts.append(f"requests {describe_quota(override.requests)}")
    if override.tokens is not None:
        facts.append(f"tokens {describe_quota(override.tokens)}")
    facts += [f"{label} {text}" for label, text in _model_limits(override.model_limits).items()]
    return f"user {override.user}: {'; '.join(facts) or 'nothing special'}"


def describe_former(former: Former) -> str:
    """Return what becomes of a namespace of old."""
    until = write_time(former.until)
    what = {
        "renamed": f"is {former.tier} now; accounts made before have its rights until {until}",
        "migrated": f"is gone; accounts made there act as {former.tier} until {until}",
        "draining": f"is going; its accounts are served until {until}, and nobody gets a token",
    }
    return f"tier {former.name}: {what.get(former.state, former.state)}"


def describe_changes(changes: Iterable[Change]) -> dict[str, str]:
    """Return the changed objects field by field, before and after.

    That a revision moved on says nothing: it is in every object of the policies.
    """
    before: list[str] = []
    after: list[str] = []
    for change in changes:
        if change.before is None:
            after.append(f"{change.key}: {change.action}")
            continue
        if change.after is None:
            before.append(f"{change.key}")
            continue
        for path, old, new in _fields(change.before, change.after):
            where = f"{change.key}: {write_path(path)}"
            if old is not ABSENT:
                before.append(f"{where} = {old}")
            if new is not ABSENT:
                after.append(f"{where} = {new}")
    return {
        "before": "".join(f"{line}\n" for line in before),
        "after": "".join(f"{line}\n" for line in after),
    }


def _fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[Path, Any, Any]]:
    stamps = {_stamp(before), _stamp(after)} - {""}
    fields = []
    for item in differences(clean(before), clean(after)):
        old, new = _shown(item.before, stamps), _shown(item.after, stamps)
        if old != new:
            fields.append((item.path, old, new))
    return fields


def _stamp(item: Mapping[str, Any]) -> str:
    return str((item["metadata"].get("annotations") or {}).get(REVISION_ANNOTATION) or "")


def _shown(value: Any, stamps: Iterable[str]) -> Any:
    if value is ABSENT:
        return ABSENT
    # The catalog is a text of many lines; the tiers' own diff tells what it says.
    text = f"{len(value.splitlines())} lines" if _is_long(value) else show(value)
    for stamp in stamps:
        text = text.replace(stamp, "<revision>")
    return text


def _is_long(value: Any) -> bool:
    return isinstance(value, str) and value.count("\n") > 1


def _model_limits(limits: Iterable[ModelLimits]) -> dict[str, str]:
    return {
        f"{kind} for {item.model.namespace}/{item.model.name}": describe_quota(quota)
        for item in limits
        for kind, quota in (("requests", item.requests), ("tokens", item.tokens))
        if quota is not None
    }
