# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What role maas_api renders: by Ansible itself, without a cluster."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles" / "maas_api"
SECRET = "a-secret-of-the-test"
PROVIDER = {"issuer": "https://login.example.test:8444/dex", "client_id": "maas"}
ENDPOINTS = {
    "resources": [
        {
            "endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["fd00::1"]}],
            "ports": [{"port": 7443}],
        }
    ]
}
WANTED = (
    *("workload", "route", "access", "autoscaler", "oidc_files"),
    *("oidc_secret", "unused_secrets"),
)

Rendered = dict[str, Any]


@pytest.fixture
def render(tmp_path: Path) -> Callable[..., Rendered]:
    """Return a way to render the role's objects with these variables."""

    def run(**variables: Any) -> Rendered:
        out = tmp_path / "rendered.json"
        wanted = ", ".join(f"'{name}': _maas_api_{name}" for name in WANTED)
        play: dict[str, Any] = {"hosts": "localhost", "gather_facts": False}
        # Variables of inventories win over the role's defaults, as in life.
        defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
        play["vars"] = {**defaults, "maas_domain": "example.test", "role_path": str(ROLE)}
        for file in sorted((ROLE / "vars/main").glob("*.yml")):
            play["vars"] |= yaml.safe_load(file.read_text())
        interpreter = {"ansible_python_interpreter": sys.executable}
        play["vars"] |= {"_maas_api_endpoints": ENDPOINTS, **interpreter, **variables}
        play["tasks"] = [
            {
                "name": "Render",
                "ansible.builtin.copy": {
                    "content": "{{ {" + wanted + "} | to_json }}",
                    "dest": str(out),
                    "mode": "0600",
                },
            }
        ]
        playbook = tmp_path / "play.yml"
        playbook.write_text(yaml.safe_dump([play]))
        program = Path(sys.executable).with_name("ansible-playbook")
        done = subprocess.run(
            [str(program), "-i", "localhost,", "-c", "local", str(playbook)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        rendered: Rendered = json.loads(out.read_text())
        return rendered

    return run


def of_kind(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(one for one in objects if one["kind"] == kind)


def pod_of(rendered: Rendered) -> dict[str, Any]:
    spec: dict[str, Any] = of_kind(rendered["workload"], "Deployment")["spec"]["template"]["spec"]
    return spec


def environment_of(rendered: Rendered) -> dict[str, str]:
    (container,) = pod_of(rendered)["containers"]
    return {entry["name"]: entry["value"] for entry in container["env"]}


def paths_of(rendered: Rendered) -> set[str]:
    (rule,) = of_kind(rendered["route"], "HTTPRoute")["spec"]["rules"]
    return {match["path"]["value"] for match in rule["matches"]}


def test_without_a_provider(render: Callable[..., Rendered]) -> None:
    rendered = render()
    environment = environment_of(rendered)
    assert not [name for name in environment if "OIDC" in name]
    assert (environment["MAAS_WEB"], environment["MAAS_KUBERNETES_LOGINS"]) == ("false", "true")
    assert (pod_of(rendered)["volumes"], rendered["oidc_files"]) == ([], {})
    assert not {"/", "/ui/"} & paths_of(rendered)
    assert not {path for path in paths_of(rendered) if "lookup" in path or "metrics" in path}


def test_with_a_provider_secrets_are_files_alone(render: Callable[..., Rendered]) -> None:
    oidc = {**PROVIDER, "client_secret": SECRET, "ca": "-----BEGIN CERTIFICATE-----"}
    rendered = render(maas_api_oidc=oidc, maas_api_admin_groups=["one group", "a,b"])
    environment = environment_of(rendered)
    assert environment["MAAS_OIDC_ISSUER"] == PROVIDER["issuer"]
    assert environment["MAAS_OIDC_CLIENT_SECRET_FILE"] == "/etc/maas-api/oidc/client-secret"
    assert environment["MAAS_OIDC_CA_FILE"] == "/etc/maas-api/oidc/ca.crt"
    assert environment["MAAS_SESSION_KEY_FILE"] == "/etc/maas-api/session/key"
    assert environment["MAAS_ADMIN_GROUPS"] == "one group\na,b"
    assert rendered["oidc_files"]["client-secret"] == SECRET
    data = rendered["oidc_secret"]["data"]
    assert {name: base64.b64decode(text).decode() for name, text in data.items()} == rendered[
        "oidc_files"
    ]
    secrets = {"oidc_files", "oidc_secret"}
    rest = json.dumps({name: part for name, part in rendered.items() if name not in secrets})
    assert SECRET not in rest
    assert data["client-secret"] not in rest
    assert {"/", "/ui/"} <= paths_of(rendered)
    (container,) = pod_of(rendered)["containers"]
    assert {mount["name"]: mount["readOnly"] for mount in container["volumeMounts"]} == {
        "oidc": True,
        "session": True,
    }


def test_connections(render: Callable[..., Rendered]) -> None:
    rendered = render(maas_api_oidc=PROVIDER, maas_api_prometheus_url="http://prometheus:9090")
    spec = of_kind(rendered["workload"], "NetworkPolicy")["spec"]
    (incoming,) = spec["ingress"]
    assert incoming["ports"] == [{"port": "http", "protocol": "TCP"}]
    cidrs = [peer["ipBlock"]["cidr"] for peer in incoming["from"] if "ipBlock" in peer]
    assert cidrs == ["10.0.0.1/32", "fd00::1/128"]
    pods = [
        peer["podSelector"]["matchLabels"] for peer in incoming["from"] if "podSelector" in peer
    ]
    assert pods == [
        {
            "gateway.envoyproxy.io/owning-gateway-name": "maas-default-gateway",
            "gateway.envoyproxy.io/owning-gateway-namespace": "maas-gateway",
        },
        {"authorino-resource": "authorino"},
    ]
    dns, anywhere, limitador = spec["egress"]
    assert {entry["port"] for entry in dns["ports"]} == {53, 5353}
    # The API server's, where it says it is and behind its Service; the provider's; Prometheus'.
    assert [entry["port"] for entry in anywhere["ports"]] == [443, 6443, 7443, 8444, 9090]
    assert limitador["ports"] == [{"port": 8080, "protocol": "TCP"}]


def test_addresses_without_ports(render: Callable[..., Rendered]) -> None:
    oidc = {**PROVIDER, "backend_url": "https://dex.login.svc"}
    rendered = render(maas_api_oidc=oidc, maas_api_prometheus_url="http://prometheus.example.test")
    anywhere = of_kind(rendered["workload"], "NetworkPolicy")["spec"]["egress"][1]
    assert [entry["port"] for entry in anywhere["ports"]] == [80, 443, 6443, 7443]


@pytest.mark.parametrize(("running", "chosen"), [(None, 3), (1, 3), (5, 5), (40, 8)])
def test_what_an_autoscaler_chose_stays(
    render: Callable[..., Rendered], running: int | None, chosen: int
) -> None:
    live = {"resources": [{"spec": {"replicas": running}}] if running else []}
    rendered = render(
        maas_api_autoscaling={"min": 3, "max": 8}, _maas_api_live=live, maas_api_replicas=1
    )
    assert of_kind(rendered["workload"], "Deployment")["spec"]["replicas"] == chosen
    spec = rendered["autoscaler"][0]["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 8)


def test_an_update_takes_nothing_away_first(render: Callable[..., Rendered]) -> None:
    rendered = render()
    spec = of_kind(rendered["workload"], "Deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    (container,) = pod_of(rendered)["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod_of(rendered)["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_rights(render: Callable[..., Rendered]) -> None:
    rules = [
        (
            one["metadata"].get("namespace"),
            rule["resources"],
            rule.get("resourceNames"),
            rule["verbs"],
        )
        for one in render()["access"]
        if "rules" in one
        for rule in one["rules"]
    ]
    assert rules == [
        (None, ["tokenreviews"], None, ["create"]),
        ("maas-api", ["configmaps"], ["tier-to-group-mapping"], ["get", "list", "watch"]),
        ("maas-api", ["events"], None, ["create"]),
        ("maas-gateway", ["authpolicies"], ["gateway-auth-policy"], ["get"]),
        ("maas-gateway", ["ratelimitpolicies"], ["gateway-rate-limits"], ["get"]),
        ("maas-gateway", ["tokenratelimitpolicies"], ["gateway-token-rate-limits"], ["get"]),
    ]


def test_models_are_listed_at_the_root_and_nothing_else_of_v1(
    render: Callable[..., Rendered],
) -> None:
    (rule,) = of_kind(render()["route"], "HTTPRoute")["spec"]["rules"]
    at_root = [
        match["path"] for match in rule["matches"] if match["path"]["value"].startswith("/v1")
    ]
    assert at_root == [
        {"type": "Exact", "value": "/v1/models"},
        {"type": "PathPrefix", "value": "/v1/models/"},
    ]


@pytest.mark.parametrize(
    ("variables", "unused"),
    [
        ({}, ["maas-api-oidc", "maas-api-session"]),
        ({"maas_api_web": True}, ["maas-api-oidc"]),
        ({"maas_api_oidc": PROVIDER}, ["maas-api-oidc"]),
        ({"maas_api_oidc": {**PROVIDER, "client_secret": SECRET}}, []),
        (
            {"maas_api_oidc": {**PROVIDER, "ca": "PEM"}, "maas_api_web": False},
            ["maas-api-session"],
        ),
    ],
)
def test_secrets_that_nothing_uses_go(
    render: Callable[..., Rendered], variables: Rendered, unused: list[str]
) -> None:
    found = render(**variables)["unused_secrets"]
    assert [(one["kind"], one["metadata"]["name"]) for one in found] == [
        ("Secret", name) for name in unused
    ]


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, "http://prometheus.maas-observability.svc.cluster.local:9090"),
        ({"observability_namespace": "mon"}, "http://prometheus.mon.svc.cluster.local:9090"),
        ({"observability_state": "absent"}, None),
        ({"observability_mode": "monitors"}, None),
        ({"maas_api_provider": "openshift"}, None),
    ],
)
def test_where_usage_over_time_is(
    render: Callable[..., Rendered], variables: dict[str, str], url: str | None
) -> None:
    assert environment_of(render(**variables)).get("MAAS_PROMETHEUS_URL") == url
