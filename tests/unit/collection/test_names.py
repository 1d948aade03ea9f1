# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Names that roles, modules, the service and documents share, compared with the one that counts.

Roles cannot import plugins/module_utils/_names.py, so they repeat some of it.
"""

from __future__ import annotations

import re
import runpy
from typing import Any

import jinja2
import pytest
import yaml
from ansible_collections.maas.platform.plugins.module_utils import (
    _convergence,
    _model_entry,
    _model_namespaces,
    _model_runtime,
    _models,
    _names,
    _overrides,
    _quotas,
    _tier_entries,
    _tiers,
)
from ansible_collections.maas.platform.plugins.module_utils._durations import write_seconds
from ansible_collections.maas.platform.plugins.module_utils._model_settings import ServingSettings

from lab import environment, kindconfig

from .conftest import ROOT


def variables(role: str) -> dict[str, Any]:
    """Return what a role's defaults and vars say, expressions as they are written."""
    folder = ROOT / "roles" / role
    found: dict[str, Any] = {}
    for file in [folder / "defaults/main.yml", *sorted((folder / "vars").rglob("*.yml"))]:
        found |= yaml.safe_load(file.read_text()) or {}
    return found


def options(role: str, entry: str = "main") -> dict[str, Any]:
    """Return the options of one entry point of a role."""
    file = ROOT / "roles" / role / "meta" / "argument_specs.yml"
    return dict(yaml.safe_load(file.read_text())["argument_specs"][entry]["options"])


GATEWAY = variables("gateway_api")
API = variables("maas_api")
SERVING = variables("model_serving")
MODEL = _models.Model("m", "llm", "hf://x/y")
(_NAMESPACE, GUARD) = _model_namespaces.render_namespaces([MODEL], ServingSettings())
(ENVOYS,) = GUARD["spec"]["ingress"][0]["from"]


@pytest.mark.parametrize(
    ("repeated", "name"),
    [
        (GATEWAY["_gateway_api_public"], _names.GATEWAY_NAME),
        (GATEWAY["_gateway_api_routes"][0]["metadata"]["name"], _names.ROUTE_NAME),
        (
            GATEWAY["_gateway_api_gateways"][1]["spec"]["listeners"][0]["name"],
            _names.HTTPS_LISTENER,
        ),
        (GATEWAY["gateway_api_route_namespaces"], [_names.API_NAMESPACE]),
        (GATEWAY["_gateway_api_model_label"], {_names.MODELS_LABEL: "true"}),
        (API["_maas_api_name"], _names.API_SERVICE),
        (API["_maas_api_http_port"], _names.API_PORT),
        (API["maas_api_namespace"], _names.API_NAMESPACE),
        (variables("kuadrant")["kuadrant_api_namespace"], _names.API_NAMESPACE),
        (API["_maas_api_access"][3]["rules"][0]["resourceNames"], [_names.CATALOG_NAME]),
        (API["_maas_api_route"][0]["spec"]["parentRefs"][0]["name"], _names.GATEWAY_NAME),
        (API["_maas_api_route"][0]["spec"]["parentRefs"][0]["sectionName"], _names.HTTPS_LISTENER),
        (variables("tiers")["tiers_api_namespace"], _names.API_NAMESPACE),
        (variables("verify")["verify_api_namespace"], _names.API_NAMESPACE),
    ],
)
def test_roles_repeat_the_names_of_the_modules(repeated: Any, name: Any) -> None:
    assert repeated == name


@pytest.mark.parametrize(
    ("role", "variable"),
    [
        ("gateway_api", "_gateway_api_labels"),
        ("kuadrant", "_kuadrant_labels"),
        ("maas_api", "_maas_api_shared_labels"),
        ("model_serving", "_model_serving_labels"),
        ("serving_certificate", "_serving_certificate_labels"),
    ],
)
def test_every_role_labels_what_it_makes_alike(role: str, variable: str) -> None:
    assert _names.MANAGED_LABELS.items() <= variables(role)[variable].items()


@pytest.mark.parametrize(
    ("gateway", "namespace"),
    [
        (None, _names.GATEWAY_NAMESPACE),
        ({"provider": "openshift"}, "openshift-ingress"),
        ({"provider": "openshift", "namespace": "edge"}, "edge"),
    ],
)
@pytest.mark.parametrize(
    ("role", "variable"),
    [
        ("gateway_api", "gateway_api_namespace"),
        ("maas_api", "maas_api_gateway_namespace"),
        ("model_serving", "model_serving_gateway_namespace"),
        ("preflight", "preflight_gateway_namespace"),
        ("tiers", "tiers_gateway_namespace"),
        ("verify", "verify_gateway_namespace"),
    ],
)
def test_every_role_finds_the_gateways_in_the_same_namespace(
    role: str, variable: str, gateway: dict[str, str] | None, namespace: str
) -> None:
    provider = f"{role}_provider"
    inventory: dict[str, Any] = {} if gateway is None else {"maas_gateway": gateway}
    # The roles' own providers come from the inventory, too.
    inventory[provider] = (gateway or {}).get("provider", "envoy_gateway")
    template = jinja2.Template(variables(role)[variable])
    assert template.render(inventory).strip() == namespace


def test_kuadrants_namespace_is_the_same_everywhere() -> None:
    assert {
        variables("kuadrant")["kuadrant_namespace"],
        variables("tiers")["tiers_kuadrant_namespace"],
        API["maas_api_kuadrant_namespace"],
    } == {_convergence.Run().kuadrant_namespace}


def test_envoys_are_let_in_from_where_they_run() -> None:
    namespace = GATEWAY["gateway_api_controller_namespace"]
    assert ENVOYS["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] == namespace
    assert API["_maas_api_proxy_namespaces"]["envoy_gateway"] == [namespace]
    label = GATEWAY["_gateway_api_classes"]["envoy_gateway"]["gateway_label"]
    assert ENVOYS["podSelector"]["matchLabels"][label] == GATEWAY["_gateway_api_internal"]


def test_models_hang_on_the_internal_gateway() -> None:
    assert GATEWAY["_gateway_api_internal"] == _names.INTERNAL_GATEWAY


def test_clients_cannot_set_the_mark() -> None:
    prefixes = tuple(GATEWAY["gateway_api_removed_header_prefixes"])
    assert _names.PASSED_HEADER.startswith(prefixes)


@pytest.mark.parametrize(
    ("image", "mirrored"),
    [
        ("docker.io/envoyproxy/envoy:1", "envoyproxy/envoy:1"),
        ("192.0.2.1:5000/a/b@sha256:0", "a/b@sha256:0"),
        ("localhost/a:1", "a:1"),
        ("library/a:1", "library/a:1"),
        ("a:1", "a:1"),
    ],
)
def test_a_mirror_replaces_the_same_part_of_every_image(image: str, mirrored: str) -> None:
    rendered = runpy.run_path(str(ROOT / "roles/helm_release/files/post_render.py"))
    found = [
        rendered["REGISTRY"].sub("", image),
        re.sub(GATEWAY["_gateway_api_image_host"], "", image),
        re.sub(SERVING["_model_serving_image_host"], "", image),
        ServingSettings(image_mirror="mirror").mirrored(image).removeprefix("mirror/"),
    ]
    assert found == [mirrored] * len(found)


def test_the_ca_is_read_where_it_is_published() -> None:
    published = [
        item["metadata"]["name"]
        for item in GATEWAY["_gateway_api_guards"]
        if item["kind"] == "ConfigMap"
    ]
    readers = ("verify/tasks/state.yml", "lab_cluster/tasks/certificate.yml")
    read = [
        task["kubernetes.core.k8s_info"]["name"]
        for reader in readers
        for task in yaml.safe_load((ROOT / "roles" / reader).read_text())
        if task.get("kubernetes.core.k8s_info", {}).get("kind") == "ConfigMap"
    ]
    assert read == published * len(readers)


def test_models_without_a_namespace_are_in_the_same_one() -> None:
    written = {
        namespace
        for file in (ROOT / "roles").rglob("*")
        if file.suffix in {".yml", ".j2"}
        for namespace in re.findall(
            r"attribute='namespace', default='([^']+)'|model\.namespace \| default\('([^']+)'",
            file.read_text(),
        )
    }
    assert {name for pair in written for name in pair if name} == {_names.MODEL_NAMESPACE}


def test_tiers_have_the_keys_that_the_modules_read() -> None:
    documented = options("tiers")["tiers_definitions"]["options"]
    assert documented.keys() == _tier_entries.KEYS.keys()
    assert documented["limits"]["options"].keys() == _quotas.KEYS.keys()
    assert options("tiers")["tiers_overrides"]["options"].keys() == _overrides.KEYS.keys()
    assert {name: ttl["default"] for name, ttl in documented["token"]["options"].items()} == {
        "default_ttl": write_seconds(_tiers.DEFAULT_TTL_SECONDS),
        "max_ttl": write_seconds(_tiers.DEFAULT_MAX_TTL_SECONDS),
    }


@pytest.mark.parametrize("inventory", ["kubernetes", "openshift"])
def test_every_key_of_a_model_is_shown_where_one_starts(inventory: str) -> None:
    example = (ROOT / f"inventories/{inventory}/group_vars/maas_platform/models.yml").read_text()
    entry = example[: example.index("# Entries to start from")]
    shown = re.findall(r"^ {2}[ -] (?:# )?([a-z_]+):(?: |$)", entry, re.MULTILINE)
    assert sorted(shown) == sorted(_model_entry.KEYS)
    runtime = re.findall(r"^ {4}#   ([a-z_]+):(?: |$)", entry, re.MULTILINE)
    assert set(_model_runtime.KEYS) < set(runtime)
    guide = (ROOT / "docs/models.md").read_text()
    assert [key for key in _model_entry.KEYS if not re.search(rf"\b{key}\b", guide)] == []


def test_the_labs_inventory_is_the_labs_cluster() -> None:
    folder = ROOT / "inventories/kind/group_vars/maas_platform"
    inventory = yaml.safe_load((folder / "cluster.yml").read_text())
    gateway = inventory["maas_gateway"]
    assert inventory["maas_context"] == f"kind-{kindconfig.CLUSTER}"
    assert inventory["maas_domain"] == environment.DOMAIN
    ports = (gateway["port"], gateway["service"]["https_node_port"])
    assert ports == (kindconfig.HTTPS_PORT, kindconfig.HTTPS_NODE_PORT)
    assert gateway["service"]["http_node_port"] == kindconfig.HTTP_NODE_PORT
