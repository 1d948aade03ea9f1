# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What NVIDIA GPU Operator and Node Feature Discovery are told of the pools."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLE = Path(__file__).resolve().parents[3] / "roles/gpu_nodes"
POOLS: list[dict[str, Any]] = [
    {
        "name": "whole",
        "selector": {"kind": "a"},
        "taints": [{"key": "team", "value": "ml", "effect": "NoExecute"}],
    },
    {"name": "turns", "selector": {"kind": "b"}, "sharing": {"time_slicing": 4}},
    {"name": "cuts", "selector": {"kind": "c"}, "sharing": {"mig": "1g.10gb"}},
    {"name": "claims", "selector": {"kind": "d"}, "sharing": {"dra": "gpu.nvidia.com"}},
]
EXPRESSIONS = {
    "operator": "_gpu_nodes_operator_values",
    "discovery": "_gpu_nodes_discovery_values",
    "wanted": "[_gpu_nodes_wanted, _gpu_nodes_with_operator, _gpu_nodes_with_discovery,"
    " _gpu_nodes_with_claims]",
}


@pytest.fixture
def render(tmp_path: Path) -> Any:
    """Return a way to see what the role's variables say."""

    def run(names: list[str], **changes: Any) -> dict[str, Any]:
        variables: dict[str, Any] = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
        for file in sorted((ROLE / "vars/main").glob("*.yml")):
            variables |= yaml.safe_load(file.read_text())
        out = tmp_path / "rendered.json"
        asked = ", ".join(f"'{name}': {EXPRESSIONS[name]}" for name in names)
        copy = {"content": "{{ {" + asked + "} | to_json }}", "dest": str(out), "mode": "0600"}
        play = {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": {**variables, **changes, "ansible_python_interpreter": sys.executable},
            "tasks": [{"name": "Render", "ansible.builtin.copy": copy}],
        }
        playbook = tmp_path / "play.yml"
        playbook.write_text(yaml.safe_dump([play], sort_keys=False))
        done = subprocess.run(
            [
                Path(sys.executable).with_name("ansible-playbook"),
                "--inventory=localhost,",
                "--connection=local",
                playbook,
            ],
            cwd=ROLE.parents[1],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(out.read_text())
        return found

    return run


def test_the_operator_learns_how_each_pool_shares(render: Any) -> None:
    said = render(["operator", "discovery", "wanted"], gpu_nodes_pools=POOLS)
    values = said["operator"]
    assert values["mig"] == {"strategy": "mixed"}
    assert values["driver"] == {"enabled": True}
    config = values["devicePlugin"]["config"]
    assert (config["create"], config["default"], sorted(config["data"])) == (
        True,
        "whole",
        ["turns", "whole"],
    )
    assert yaml.safe_load(config["data"]["turns"]) == {
        "version": "v1",
        "flags": {"migStrategy": "mixed"},
        "sharing": {
            "timeSlicing": {
                "renameByDefault": False,
                "failRequestsGreaterThanOne": True,
                "resources": [{"name": "nvidia.com/gpu", "replicas": 4}],
            }
        },
    }
    bears = {"key": "team", "operator": "Exists", "effect": "NoExecute"}
    assert bears in values["daemonsets"]["tolerations"]
    assert bears in said["discovery"]["worker"]["tolerations"]
    assert said["wanted"] == [True, True, True, True]


def test_a_mirror_and_the_nodes_own_driver(render: Any) -> None:
    said = render(
        ["operator", "discovery"],
        gpu_nodes_pools=POOLS[:1],
        gpu_nodes_image_mirror="mirror.example.com",
        _gpu_nodes_seen={"driver": "host"},
    )
    values = said["operator"]
    assert values["driver"]["enabled"] is False
    assert values["driver"]["manager"] == {"repository": "mirror.example.com/nvidia/cloud-native"}
    assert values["devicePlugin"] == {
        "repository": "mirror.example.com/nvidia",
        "config": {"create": False, "name": "", "default": "", "data": {}},
    }
    repository = "mirror.example.com/nfd/node-feature-discovery"
    assert said["discovery"]["image"] == {"repository": repository}


@pytest.mark.parametrize(
    "changes",
    [{"gpu_nodes_pools": []}, {"gpu_nodes_pools": POOLS, "gpu_nodes_state": "absent"}],
)
def test_without_pools_or_when_it_goes_nothing_is_wanted(render: Any, changes: Any) -> None:
    assert render(["wanted"], **changes)["wanted"] == [False, False, False, False]


def test_gpus_that_nodes_offer_already_need_no_operator(render: Any) -> None:
    said = render(["wanted"], gpu_nodes_pools=POOLS, gpu_nodes_provider="none")
    assert said["wanted"] == [True, False, True, False]
