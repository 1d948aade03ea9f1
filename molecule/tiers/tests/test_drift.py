# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What hands did on the cluster: told by --check --diff, repaired by a run, orphans taken away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from cluster import Kubectl
from conftest import CLOSED, PREFIX, Mint, Touch, tier_namespaces
from day2 import WIDE, Owner, tier
from people import People

testinfra_hosts = ["local://"]

LIMITED = tier(
    "drifting",
    500,
    People.group("one"),
    models=["*"],
    limits=WIDE | {"requests": [{"limit": 4321, "window": "1h"}]},
)
MANAGED = {
    "app.kubernetes.io/managed-by": "maas.platform",
    "app.kubernetes.io/part-of": "maas",
}
KINDS = "namespace,configmap,role,rolebinding,authpolicy,ratelimitpolicy,tokenratelimitpolicy"


def versions(kubectl: Kubectl) -> dict[str, str]:
    """Return the specification of everything the playbook keeps, by name."""
    items = kubectl.get(KINDS, "--all-namespaces", "--selector=app.kubernetes.io/part-of=maas")
    return {
        f"{item['kind']} {item['metadata'].get('namespace', '')}/{item['metadata']['name']}": (
            json.dumps(
                {key: item.get(key) for key in ("spec", "data", "rules", "subjects")}
                | {"labels": item["metadata"].get("labels")},
                sort_keys=True,
            )
        )
        for item in items["items"]
    }


@dataclass(frozen=True)
class Drifted:
    """What was there before hands changed it, and somebody who could call then."""

    before: dict[str, str]
    token: str


@pytest.fixture
def drifted(owner: Owner, kubectl: Kubectl, mint: Mint, touch: Touch) -> Drifted:
    """Change by hand a limit, a right, a label, and a name that users see."""
    owner.apply(LIMITED)
    before = versions(kubectl)
    token = mint("one")
    assert touch(token, CLOSED).status == 200

    edit(kubectl, "ratelimitpolicy/gateway-rate-limits", "maas-gateway", "4321", "87654")
    edit(kubectl, "configmap/tier-to-group-mapping", "maas-api", "steady-high", "by hand", 1)
    kubectl("delete", "rolebinding", "maas-tier-drifting", "--namespace=llm")
    kubectl("label", "namespace", f"{PREFIX}drifting", "maas.platform/tier-")
    assert versions(kubectl) != before
    return Drifted(before, token)


def edit(kubectl: Kubectl, name: str, namespace: str, old: str, new: str, times: int = -1) -> None:
    """Change a text in an object, as `kubectl edit` would."""
    found: Any = kubectl("get", name, f"--namespace={namespace}", "--output=json")
    assert old in found
    kubectl("replace", "--filename=-", manifest=json.loads(found.replace(old, new, times)))


def test_drift_is_told_and_then_repaired(
    drifted: Drifted, owner: Owner, kubectl: Kubectl, touch: Touch
) -> None:
    hand_made = versions(kubectl)

    told = owner.explain(LIMITED)

    assert versions(kubectl) == hand_made
    assert ("87654" in told, "4321" in told) == (True, True)
    assert "maas-tier-drifting" in told

    repaired = owner.apply_twice(LIMITED)

    assert repaired.changed == 1
    assert versions(kubectl) == drifted.before
    assert touch(drifted.token, CLOSED).status == 200
    assert "87654" not in owner.explain(LIMITED)


def test_check_mode_tells_an_edit_and_changes_nothing(owner: Owner, kubectl: Kubectl) -> None:
    owner.apply(LIMITED)
    before = versions(kubectl)

    changed = LIMITED | {"limits": WIDE | {"requests": [{"limit": 5432, "window": "1h"}]}}
    told = owner.explain(changed)

    assert versions(kubectl) == before
    assert ("4321" in told, "5432" in told) == (True, True)


@pytest.fixture
def somebodys(kubectl: Kubectl) -> Iterator[None]:
    """Make a namespace that looks like a tier's by its name, and an account: both not ours."""
    theirs = namespace(f"{PREFIX}somebodys", {}), account("somebodys", {})
    kubectl.apply(*theirs)
    yield
    kubectl.delete(*theirs)


@pytest.mark.usefixtures("somebodys")
def test_orphans_of_ours_are_told_then_taken_away_and_nothing_else(
    owner: Owner, kubectl: Kubectl
) -> None:
    ghost = {**MANAGED, "maas.platform/part": "namespaces", "maas.platform/tier": "ghost"}
    kubectl.apply(
        namespace(f"{PREFIX}ghost", ghost),
        # An account of ours that stands for nobody.
        account("nobodys", {**MANAGED, "maas.platform/account": "true"}),
    )
    where = ("get", "serviceaccounts", f"--namespace={PREFIX}steady-low", "--output=name")

    told = owner.explain(LIMITED)

    assert "1 accounts would be removed" in told
    assert f"{PREFIX}ghost" in tier_namespaces(kubectl)
    assert "serviceaccount/nobodys" in kubectl(*where).split()

    outcome = owner.apply(LIMITED)

    assert outcome.result["pruned_accounts"] == [f"{PREFIX}steady-low/nobodys"]
    assert f"{PREFIX}ghost" not in tier_namespaces(kubectl)
    accounts = kubectl(*where).split()
    assert "serviceaccount/nobodys" not in accounts
    assert "serviceaccount/somebodys" in accounts
    kept = kubectl.get("namespace", f"{PREFIX}somebodys")
    assert "deletionTimestamp" not in kept["metadata"]


def account(name: str, labels: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": f"{PREFIX}steady-low", "labels": labels}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def namespace(name: str, labels: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
