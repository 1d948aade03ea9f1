"""Helm charts as upstream would release them, out of the Go modules that the programs come from."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import yaml

from lab import golang
from lab.recipe import RECIPES, Build, Recipe, versions

if TYPE_CHECKING:
    from pathlib import Path

GATEWAY = "github.com/envoyproxy/gateway"
KUADRANT = "github.com/kuadrant/kuadrant-operator"
KSERVE = "github.com/kserve/kserve"
# kuadrant-operator's chart depends on these. It also names dns-operator, which manages DNS records
# in clouds: the operator does without where its kinds are absent.
SUBCHARTS = ("authorino-operator", "limitador-operator")
DISCOVERY = "sigs.k8s.io/node-feature-discovery"
GPU_OPERATOR = "github.com/NVIDIA/gpu-operator"
NAMES = (
    *("gateway-helm", "kuadrant-operator", "kserve-llmisvc-crd", "kserve-llmisvc-resources"),
    *("node-feature-discovery", "gpu-operator"),
)


def _make(build: Build) -> None:
    go = golang.toolchain()

    def chart(folder: str, module: str, name: str, target: Path, place: str = "charts") -> Path:
        source = golang.module_directory(go, RECIPES / folder, module, build.log)
        # Go keeps modules read-only; whoever removes the copy needs to write to it.
        shutil.copytree(source / place / name, target, copy_function=shutil.copyfile)
        for directory in [target, *(path for path in target.rglob("*") if path.is_dir())]:
            directory.chmod(0o755)
        return target

    _fill_gateway(chart("gateway", GATEWAY, "gateway-helm", build.target / "gateway-helm"), build)
    kuadrant = chart("kuadrant", KUADRANT, "kuadrant-operator", build.target / "kuadrant-operator")
    for name in SUBCHARTS:
        chart("operators", f"github.com/kuadrant/{name}", name, kuadrant / "charts" / name)
    _keep_subcharts(kuadrant)
    for name in ("kserve-llmisvc-crd", "kserve-llmisvc-resources"):
        chart("operators", KSERVE, name, build.target / name)
    for folder, module, name, place in (
        ("gpu", DISCOVERY, "node-feature-discovery", "deployment/helm"),
        ("gpu-operator", GPU_OPERATOR, "gpu-operator", "deployments"),
    ):
        made = chart(folder, module, name, build.target / name, place)
        version = build.settings["versions"][name]
        # As their releases do.
        _edit(made, {"version": version, "appVersion": f"v{version.removeprefix('v')}"})


def _fill_gateway(chart: Path, build: Build) -> None:
    """Do what Envoy Gateway's release does: name the image and the version."""
    template = chart / "values.tmpl.yaml"
    values = template.read_text()
    for name, value in {
        "${GatewayImage}": build.settings["gateway_image"],
        "${GatewayImagePullPolicy}": "IfNotPresent",
    }.items():
        values = values.replace(name, value)
    (chart / "values.yaml").write_text(values)
    template.unlink()
    version = build.settings["versions"]["gateway-helm"]
    _edit(chart, {"version": version, "appVersion": version})


def _keep_subcharts(chart: Path) -> None:
    """Let the chart depend on what lies in it, at the versions that lie in it."""
    dependencies = []
    for name in SUBCHARTS:
        found = yaml.safe_load((chart / "charts" / name / "Chart.yaml").read_text())
        dependencies.append({"name": name, "version": found["version"]})
    _edit(chart, {"dependencies": dependencies})


def _edit(chart: Path, changes: dict[str, Any]) -> None:
    path = chart / "Chart.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes, sort_keys=False))


def recipes() -> list[Recipe]:
    """Return the recipes of this module."""
    return [
        Recipe(
            name="charts",
            make=_make,
            settings={
                "gateway_image": versions()["images"]["envoy-gateway"],
                "versions": versions()["charts"],
                "subcharts": SUBCHARTS,
            },
            inputs=tuple(
                RECIPES / folder / "go.mod"
                for folder in ("gateway", "kuadrant", "operators", "gpu", "gpu-operator")
            ),
        )
    ]
