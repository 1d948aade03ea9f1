# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Whose proxies the NetworkPolicies let in: those of our Gateways, wherever these are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.maas.platform.plugins.module_utils._model_namespaces import (
    render_namespaces,
)
from ansible_collections.maas.platform.plugins.module_utils._model_settings import ServingSettings
from ansible_collections.maas.platform.plugins.module_utils._models import Model

ROLES = Path(__file__).resolve().parents[3] / "roles"
SPACE = "kubernetes.io/metadata.name"
EG = "gateway.envoyproxy.io/owning-gateway-"
ISTIO = "gateway.networking.k8s.io/gateway-name"
# What each role would ask the cluster, or is told by another role, before it renders.
TOLD = {"serving_certificate_ca_pem": "", "maas_domain": "example.test", "maas_models": []}


@pytest.fixture
def render(tmp_path: Path) -> Any:
    """Return a way to see what a role's variables say."""

    def run(role: str, expression: str, gateway: dict[str, str]) -> Any:
        out = tmp_path / "rendered.json"
        defaults = yaml.safe_load((ROLES / role / "defaults/main.yml").read_text())
        variables: dict[str, Any] = {**defaults, **TOLD, "maas_gateway": gateway}
        for file in sorted((ROLES / role / "vars/main").glob("*.yml")):
            variables |= yaml.safe_load(file.read_text())
        copy = {"content": "{{ (" + expression + ") | to_json }}", "dest": str(out), "mode": "0600"}
        play = {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": {
                **variables,
                "role_path": str(ROLES / role),
                "ansible_python_interpreter": sys.executable,
            },
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
            cwd=ROLES.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(out.read_text())

    return run


ENVOY = {"provider": "envoy_gateway", "namespace": "edge"}
OPENSHIFT = {"provider": "openshift", "namespace": "edge"}


@pytest.mark.parametrize(
    ("gateway", "pods", "space"),
    [
        (
            ENVOY,
            {f"{EG}name": "maas-internal", f"{EG}namespace": "edge"},
            "envoy-gateway-system",
        ),
        (OPENSHIFT, {ISTIO: "maas-internal"}, "edge"),
    ],
)
def test_models_let_in_our_internal_gateway_alone(gateway, pods, space):
    settings = ServingSettings(provider=gateway["provider"], gateway_namespace=gateway["namespace"])
    _namespace, guard = render_namespaces([Model("m", "llm", "hf://x/y")], settings)
    (peer,) = guard["spec"]["ingress"][0]["from"]
    assert peer == {
        "namespaceSelector": {"matchLabels": {SPACE: space}},
        "podSelector": {"matchLabels": pods},
    }


@pytest.mark.parametrize(
    ("gateway", "labels"),
    [
        (ENVOY, {f"{EG}name": "maas-default-gateway", f"{EG}namespace": "edge"}),
        (OPENSHIFT, {ISTIO: "maas-default-gateway"}),
    ],
)
def test_the_maas_api_lets_in_our_public_gateway_alone(render, gateway, labels):
    assert render("maas_api", "_maas_api_proxy_labels[maas_api_provider]", gateway) == labels


@pytest.mark.parametrize(
    ("gateway", "key", "rest"),
    [(ENVOY, f"{EG}name", {f"{EG}namespace": "edge"}), (OPENSHIFT, ISTIO, {})],
)
def test_the_internal_gateway_lets_in_our_public_one_alone(render, gateway, key, rest):
    guards = render("gateway_api", "_gateway_api_guards", gateway)
    (policy,) = [item["spec"] for item in guards if item["kind"] == "NetworkPolicy"]
    assert policy["podSelector"]["matchLabels"] == {key: "maas-internal", **rest}
    (peer,) = policy["ingress"][0]["from"]
    assert peer == {"podSelector": {"matchLabels": {key: "maas-default-gateway", **rest}}}


@pytest.mark.parametrize(
    ("gateway", "space"),
    [
        (ENVOY, "envoy-gateway-system"),
        (OPENSHIFT, "edge"),
        ({"provider": "openshift"}, "openshift-ingress"),
    ],
)
def test_kuadrant_lets_in_proxies_from_where_they_run(render, gateway, space):
    (expression,) = render("kuadrant", "_kuadrant_proxies", gateway)[0]["namespaceSelector"][
        "matchExpressions"
    ]
    assert expression == {"key": SPACE, "operator": "In", "values": [space]}
