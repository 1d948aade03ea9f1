# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Whatever a tier owner does next, nobody is stranded, unlimited or somebody else."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._plan import LiveTiers
from ansible_collections.maas.platform.plugins.module_utils._policies import render_plan
from ansible_collections.maas.platform.plugins.module_utils._tiers import parse_inventory
from ansible_collections.maas.platform.plugins.module_utils._transitions import plan
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins.left_behind import left_behind

_START = datetime(2026, 11, 23, 8, tzinfo=UTC)
_NAMES = ("a", "b", "c", "d")
_LIMITS = st.sampled_from(["unlimited", [{"limit": 5, "window": "1m"}]])
_MODELS = [{"name": "m", "uri": "hf://x/m"}, {"name": "n", "uri": "hf://x/n"}]


@st.composite
def _lists(draw):
    """Return a list that is valid by itself: what is on the cluster decides about the rest."""
    names = draw(st.permutations(_NAMES))
    present = draw(st.integers(1, 3))
    listed = names[: present + draw(st.integers(0, len(_NAMES) - present))]
    unlisted = list(names[len(listed) :])
    entries = []
    for level, name in enumerate(listed[:present]):
        limits = {"requests": draw(_LIMITS), "tokens": draw(_LIMITS)}
        if draw(st.booleans()):
            limits["models"] = {"m": {"tokens": draw(_LIMITS)}}
        old = [unlisted.pop()] if unlisted and draw(st.booleans()) else []
        entries.append(
            {
                "name": name,
                "level": level,
                "groups": [f"{name}-users"],
                "models": ["*"],
                "enabled": draw(st.booleans()),
                "token": {"max_ttl": draw(st.sampled_from(["1h", "10h"]))},
                "renamed_from": old,
                "limits": limits,
            }
        )
    for name in listed[present:]:
        target = {"migrate_to": draw(st.sampled_from(listed[:present]))}
        how = draw(st.sampled_from(["block", {"drain": "2h"}, target]))
        entries.append({"name": name, "state": "absent", "on_removal": how})
    return entries


_runs = st.lists(st.tuples(_lists(), st.integers(0, 6)), min_size=3, max_size=6)


@given(_runs)
def test_any_run_after_any_other(runs):
    live, now, before = LiveTiers(), _START, None
    for entries, hours in runs:
        now += timedelta(hours=hours)
        inventory = parse_inventory(entries, _MODELS)
        try:
            done = plan(inventory, live, now)
        except MaasError:
            continue
        _check_plan(done, now)
        _check_objects(done)
        if before is not None:
            _check_move(before, done, now)
        live = left_behind(done)
        again = plan(inventory, live, now)
        assert again.holdings == done.holdings
        assert again.catalog == done.catalog
        assert again.doomed == ()
        assert render_plan(again) == render_plan(done)
        before = done


def _check_plan(done, now):
    known = {tier.name for tier in done.known}
    assert len(known) == len(done.known)
    assert set(done.owners.values()) <= known
    assert {tier.namespace for tier in done.tiers} <= set(done.owners)
    assert not set(done.owners) & {item.namespace for item in done.doomed}
    for former in done.former:
        assert former.until > now
        assert done.owners[former.namespace] == former.tier
        assert done.catalog.rights(former.namespace).name == former.tier
    for holding in done.holdings:
        assert (holding.until is None) == (holding.state == "present")


def _check_objects(done):
    rendered = render_plan(done)
    (auth,) = [item for item in rendered.policies if item["kind"] == "AuthPolicy"]
    rules = auth["spec"]["rules"]
    table = rules["authentication"]["tier-token"]["overrides"]["tier"]["expression"]
    owners = json.loads(table.partition("}[")[0] + "}")
    assert owners == {f"system:serviceaccount:{ns}": tier for ns, tier in done.owners.items()}
    _path, known = rules["authorization"]["known-tier"]["patternMatching"]["patterns"]
    let_in = {pattern["value"] for option in known["any"] for pattern in option["all"]}
    assert let_in - {"-"} == {tier.name for tier in done.known if tier.enabled}
    for kind, name in (
        ("requests", "gateway-rate-limits"),
        ("tokens", "gateway-token-rate-limits"),
    ):
        limits = {
            key
            for item in rendered.policies
            if item["metadata"]["name"] == name
            for key in item["spec"]["limits"]
        }
        for tier in done.known:
            assert (tier.name in limits) == (tier.quota(kind) != "unlimited")
    for tier in done.known:
        (binding,) = [
            item
            for item in rendered.access
            if item["kind"] == "RoleBinding"
            and item["metadata"]["name"] == f"maas-tier-{tier.name}"
        ]
        assert [subject["name"] for subject in binding["subjects"]] == sorted(
            f"system:serviceaccounts:{ns}"
            for ns, owner in done.owners.items()
            if owner == tier.name
        )
    labels = {
        item["metadata"]["name"]: item["metadata"]["labels"]["maas.platform/tier"]
        for item in rendered.namespaces
        if item["kind"] == "Namespace" and "maas.platform/tier" in item["metadata"]["labels"]
    }
    assert labels == done.owners


def _check_move(before, done, now):
    """Every namespace that held accounts is kept, or named among those that go, with a reason."""
    gone = {item.namespace: item.reason for item in done.doomed}
    deadlines = {former.namespace: former.until for former in before.former}
    for namespace in before.owners:
        assert namespace in done.owners or namespace in gone
        if gone.get(namespace) == "expired":
            assert deadlines[namespace] <= now or _drains(before, namespace, deadlines) <= now


def _drains(before, namespace, deadlines):
    # One that follows a draining tier ends with it.
    return min(
        [deadlines[namespace]]
        + [
            former.until
            for former in before.former
            if former.name == before.owners[namespace] and former.state == "draining"
        ]
    )
