# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Many objects: what 100 tiers with their users are, made once and then found as they are."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.maas.platform.plugins.module_utils._accounts import account_manifest

from benchmarks import CHECKOUT
from benchmarks.lab import LABELS, PREFIX, SELECTOR, Lab, namespace, stopwatch
from benchmarks.report import Report

_TIERS = 100
#: A tier is a namespace, a Role, a RoleBinding and seven users' accounts.
_USERS = 7
_PER_TIER = 3 + _USERS
#: A loop starts a process for each object: it is measured on a few, and the rest is worked out.
_LOOP_TIERS = 2
_SERVER_SIDE = {
    "apply": True,
    "server_side_apply": {"field_manager": "maas-benchmark", "force_conflicts": True},
}
_GOAL = "both runs faster than every other way"


@dataclass(frozen=True)
class Way:
    """One way to bring objects onto the cluster."""

    title: str
    #: Returns the seconds of its own work, without the program's start, where it knows them.
    apply: Callable[[Lab, Path], float | None]
    #: Of how many tiers the objects are.
    tiers: int


@dataclass(frozen=True)
class Took:
    """The seconds of one run, and of its work alone where it knows."""

    whole: float
    alone: float | None


def run(lab: Lab, small: bool) -> Report:
    """Compare four ways to converge the same kind of objects, each with a set of its own."""
    tiers = _TIERS // 10 if small else _TIERS
    report = Report(
        "objects",
        f"{tiers * _PER_TIER:,} objects ({tiers} tiers: namespaces, RBAC, accounts)",
        "our batch code as one Ansible task; a ratio above 1 is slower than that",
    )
    ways = (
        Way("our batch code, one Ansible task", _apply_ours, tiers),
        Way("kubernetes.core.k8s, one list, server-side apply", _apply_list, tiers),
        Way("kubectl apply --server-side", _apply_kubectl, tiers),
        Way("kubernetes.core.k8s, a loop", _apply_loop, min(_LOOP_TIERS, tiers)),
    )
    times: list[tuple[Took, Took]] = []
    with lab.cleaned(), tempfile.TemporaryDirectory() as folder:
        for number, way in enumerate(ways):
            file = Path(folder) / f"{number}.json"
            manifests = _manifests(f"{PREFIX}{number}", way.tiers)
            file.write_text(json.dumps(manifests))
            file.with_suffix(".yml").write_text(yaml.safe_dump_all(manifests))
            times.append((_time(lab, way, file), _time(lab, way, file)))
        start = lab.start_seconds()
    scaled = [
        (made.whole * tiers / way.tiers, again.whole * tiers / way.tiers)
        for way, (made, again) in zip(ways, times, strict=True)
    ]
    for phase, index in (("made", 0), ("found as they are", 1)):
        alone = times[0][index].alone
        if alone is not None:
            ratio = alone / scaled[0][index]
            report.add(f"{phase}: our batch code, without Ansible's part", alone, "s", ratio)
        for way, seconds in zip(ways, scaled, strict=True):
            note = ""
            if way.tiers < tiers:
                note = f"worked out from {way.tiers * _PER_TIER} objects"
            ratio = seconds[index] / scaled[0][index]
            report.add(f"{phase}: {way.title}", seconds[index], "s", ratio, note)
    report.add("of it, Ansible without any task", start, "s")
    others = scaled[1:]
    met = all(other[i] > scaled[0][i] for other in others for i in (0, 1))
    report.judge(_GOAL, met)
    return report


def _time(lab: Lab, way: Way, file: Path) -> Took:
    with stopwatch() as seconds:
        alone = way.apply(lab, file)
    return Took(seconds[0], alone)


def _apply_ours(lab: Lab, file: Path) -> float:
    options = {"src": str(file), "selector": SELECTOR, "kubeconfig": str(lab.kubeconfig)}
    library = str(CHECKOUT / "benchmarks" / "library")
    played = lab.play_json([{"name": "Converge", "apply_batch": options}], ANSIBLE_LIBRARY=library)
    [result] = played["plays"][0]["tasks"][0]["hosts"].values()
    return float(result["seconds"])


def _apply_list(lab: Lab, file: Path) -> None:
    source = {"src": str(file.with_suffix(".yml")), **_SERVER_SIDE}
    lab.play([{"name": "Apply", "kubernetes.core.k8s": source}])


def _apply_kubectl(lab: Lab, file: Path) -> None:
    lab.kube("apply", "--server-side", f"--filename={file.with_suffix('.yml')}")


def _apply_loop(lab: Lab, file: Path) -> None:
    task = {
        "name": "Apply",
        "kubernetes.core.k8s": {"definition": "{{ item }}", **_SERVER_SIDE},
        "loop": f"{{{{ lookup('ansible.builtin.file', '{file}') | from_json }}}}",
        "loop_control": {"label": "{{ item.metadata.name }}"},
    }
    lab.play([task])


def _manifests(prefix: str, tiers: int) -> list[dict[str, Any]]:
    return [item for number in range(tiers) for item in _tier(f"{prefix}-{number:03}")]


def _tier(name: str) -> list[dict[str, Any]]:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "rules": [
            {
                "apiGroups": ["serving.kserve.io"],
                "resources": ["llminferenceservices"],
                "resourceNames": [f"model-{number}" for number in range(5)],
                "verbs": ["post"],
            }
        ],
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "models"},
        "subjects": [
            {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "Group",
                "name": f"system:serviceaccounts:{name}",
            }
        ],
    }
    metadata = {"name": "models", "namespace": name, "labels": dict(LABELS)}
    accounts = [account_manifest(f"user-{number}", "any") for number in range(_USERS)]
    for account in accounts:
        account["metadata"].update(namespace=name, labels=dict(LABELS))
    inside = [{**role, "metadata": metadata}, {**binding, "metadata": metadata}, *accounts]
    return [namespace(name), *inside]
