# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Wrong input stops site.yml before anything changes, and says where, what, and what is allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster import Kubectl
from running_lab import CHECKOUT

from playbooks import run_playbook

testinfra_hosts = ["local://"]

TIERS = CHECKOUT / "inventories" / "kind" / "group_vars" / "maas_platform" / "tiers.yml"


@pytest.fixture(autouse=True)
def nothing_changes(kubectl: Kubectl) -> Iterator[None]:
    """Compare the versions of everything a run would have touched."""

    def versions() -> dict[str, str]:
        kinds = (
            "configmap,role,rolebinding,deployment,gateway,httproute,authpolicy,ratelimitpolicy,"
            "tokenratelimitpolicy,llminferenceservice"
        )
        items = kubectl.get(kinds, "--all-namespaces")["items"]
        return {
            f"{item['kind']} {item['metadata']['namespace']}/{item['metadata']['name']}": str(
                item["metadata"].get("generation", item["metadata"]["uid"])
            )
            for item in items
        }

    before = versions()
    yield
    assert versions() == before


def problems(playbook: str, **variables: Any) -> list[str]:
    """Run a playbook that must stop in preflight; return the problems it names."""
    done = run_playbook(playbook, variables=variables)
    assert done.returncode != 0, done.stdout
    assert " changed=0 " in done.stdout, done.stdout
    found = re.search(r"^fatal: \[kind\]: FAILED! => (\{.*\})$", done.stdout, re.MULTILINE)
    assert found, done.stdout
    headline, *lines = json.loads(found.group(1))["msg"].splitlines()
    numbered = [line.split(". ", 1)[1] for line in lines if re.match(r"\d+\. ", line)]
    assert headline == f"kind: {len(numbered)} to correct, nothing was changed."
    return numbered


def test_every_mistake_in_the_inventory_at_once() -> None:
    tiers = yaml.safe_load(TIERS.read_text())["maas_tiers"]
    free, premium, enterprise = tiers
    free["limts"] = {}
    free["models"] = ["gemmma"]
    premium["level"] = 0
    premium["models"] = ["gemma"]
    enterprise["models"] = ["gemma"]
    enterprise.pop("limits")

    assert problems("site", maas_tiers=tiers) == [
        "maas_tiers[0].limts: value {}, allowed: no such key; the keys are name, display_name, "
        "description, level, groups, models, token, limits, enabled, priority, renamed_from, "
        "state, on_removal (did you mean limits?)",
        'maas_tiers[0].models[0]: value "gemmma", allowed: a model in maas_models: gemma, '
        "gemma-large (did you mean gemma?)",
        "maas_tiers[2].limits: value (missing), allowed: a mapping with requests and tokens",
        "maas_tiers[1].level: value 0, allowed: a level that no other tier has "
        "(so is maas_tiers[0].level)",
        'maas_models[1].name: value "gemma-large", allowed: a model that at least one tier '
        "names in its models",
    ]


def test_unreachable_cluster(kubectl: Kubectl, tmp_path: Path) -> None:
    config = admin_config(kubectl)
    # A port on this machine where nothing listens.
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    path = write(tmp_path, config)

    assert problems("site", maas_kubeconfig=path) == [
        f"cluster (kubeconfig {path}, context kind-maas): the cluster at https://127.0.0.1:1 "
        "cannot be reached: Failed to establish a new connection: [Errno 111] Connection "
        "refused; check the address, the network and the certificate authority in the kubeconfig"
    ]


def test_too_old_a_cluster(kubectl: Kubectl) -> None:
    server = admin_config(kubectl)["clusters"][0]["cluster"]["server"]
    version = kubectl.raw("/version")["gitVersion"]

    assert problems("site", preflight_kubernetes_minimum="1.99") == [
        f"cluster {server}: value Kubernetes {version} is too old; allowed: 1.99 or later, "
        "because Envoy Gateway 1.9 supports Kubernetes from 1.33 on"
    ]


def test_missing_permission(kubectl: Kubectl, viewer: str, tmp_path: Path) -> None:
    config = admin_config(kubectl)
    config["users"][0]["user"] = {"token": viewer}
    server = config["clusters"][0]["cluster"]["server"]

    found = problems("tiers", maas_kubeconfig=write(tmp_path, config))

    needed = "needed: a role that allows it, such as cluster-admin"
    assert f"cluster {server}: the account may not create namespaces; {needed}" in found
    assert all("the account may not" in problem and needed in problem for problem in found)
    assert viewer not in str(found)


@pytest.fixture
def viewer(kubectl: Kubectl) -> Iterator[str]:
    """Make an account that may look and not touch; return its token."""
    account: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "maas-test-viewer", "namespace": "default"},
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "maas-test-viewer"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "view",
        },
        "subjects": [{"kind": "ServiceAccount", **account["metadata"]}],
    }
    kubectl.apply(account, binding)
    yield kubectl.token("default", "maas-test-viewer")
    kubectl.delete(binding, account)


def admin_config(kubectl: Kubectl) -> dict[str, Any]:
    """Return the lab's kubeconfig as data."""
    return dict(json.loads(kubectl("config", "view", "--raw", "--flatten", "--output=json")))


def write(folder: Path, config: dict[str, Any]) -> str:
    """Write a kubeconfig that only its owner can read."""
    path = folder / "kubeconfig"
    path.touch(mode=0o600)
    path.write_text(json.dumps(config))
    return str(path)
