"""The node's own files: what can be said of them without a node."""

import json
import os
import subprocess
import tomllib

import pytest

from lab.recipe import RECIPES, versions

NODE = RECIPES / "node"
FILES = NODE / "files"
SCRIPTS = [
    NODE / "preload",
    FILES / "usr/local/bin/entrypoint",
    FILES / "usr/local/bin/delegate-cgroups",
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_parse_and_can_be_run(script):
    assert os.access(script, os.X_OK)
    shell = script.read_text().splitlines()[0].removeprefix("#!")
    subprocess.run([shell, "-n", script], check=True)


def test_containerd_finds_mirrors_networks_and_the_preloaded_sandbox():
    text = (FILES / "etc/containerd/config.toml").read_text()
    config = tomllib.loads(text.replace("SANDBOX_IMAGE", versions()["images"]["pause"]))
    plugin = config["plugins"]["io.containerd.grpc.v1.cri"]
    assert plugin["sandbox_image"] == versions()["images"]["pause"]
    assert plugin["registry"]["config_path"] == "/etc/containerd/certs.d"
    assert plugin["cni"]["conf_dir"] == "/etc/cni/net.d"


def test_pods_get_addresses_of_the_cluster():
    network = json.loads((FILES / "etc/cni/net.d/10-lab.conflist").read_text())
    ranges = network["plugins"][0]["ipam"]["ranges"]
    assert ranges == [[{"subnet": "10.244.0.0/24"}]]


def test_kinds_log_line_is_printed_before_systemd_starts():
    text = (FILES / "usr/local/bin/entrypoint").read_text()
    assert "detected cgroup v1" in text
    assert "detected cgroup v2" in text
    assert text.rstrip().endswith('exec "$@"')
