"""Go programs. Each folder beside this file that has a go.mod is one graph of modules.

Programs share a graph where their requirements allow it, so that Go compiles what they have in
common once: Kubernetes' client alone is a minute and a half on two cores.
"""

from __future__ import annotations

from lab import golang
from lab.recipe import RECIPES, Build, Recipe, versions

_VERSION = "k8s.io/component-base/version"
_NFD_VERSION = "sigs.k8s.io/node-feature-discovery/pkg/version.version"

# For each recipe: the folder with its go.mod, and the package of each program.
PACKAGES: dict[str, tuple[str, dict[str, str]]] = {
    "kubernetes": ("kubernetes", {"kubernetes": "maas.platform/lab/recipes/kubernetes"}),
    "host-tools": (
        "gateway",
        {"kind": "sigs.k8s.io/kind", "helm": "helm.sh/helm/v3/cmd/helm"},
    ),
    "operators": (
        "operators",
        {
            "coredns": "./coredns",
            "pause": "./pause",
            "llmisvc": "github.com/kserve/kserve/cmd/llmisvc",
            "authorino-operator": "github.com/kuadrant/authorino-operator",
            "limitador-operator": "github.com/kuadrant/limitador-operator",
        },
    ),
    # Newer controller libraries refuse the two controllers of one name that Authorino has.
    "authorino": ("authorino", {"authorino": "github.com/kuadrant/authorino"}),
    "kuadrant-operator": (
        "kuadrant",
        {
            "kuadrant-operator": "github.com/kuadrant/kuadrant-operator/cmd",
            "telemetry-policy": (
                "github.com/kuadrant/kuadrant-operator/cmd/extensions/telemetry-policy"
            ),
        },
    ),
    "envoy-gateway": (
        "gateway",
        {"envoy-gateway": "github.com/envoyproxy/gateway/cmd/envoy-gateway"},
    ),
    "addons": (
        "addons",
        {
            "dex": "github.com/dexidp/dex/cmd/dex",
            "kube-network-policies": (
                "sigs.k8s.io/kube-network-policies/cmd/kube-network-policies/standard"
            ),
            "metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server",
        },
    ),
    "prometheus-adapter": (
        "addons",
        {"prometheus-adapter": "sigs.k8s.io/prometheus-adapter/cmd/adapter"},
    ),
    "gpu": (
        "gpu",
        {
            "device-plugin": "./device-plugin",
            "nfd-gc": "sigs.k8s.io/node-feature-discovery/cmd/nfd-gc",
            "nfd-master": "sigs.k8s.io/node-feature-discovery/cmd/nfd-master",
            "nfd-worker": "sigs.k8s.io/node-feature-discovery/cmd/nfd-worker",
        },
    ),
}

# What a recipe builds with a file of ours in it: the module, its file, ours in the graph's folder.
PATCHES: dict[str, tuple[str, str, str]] = {
    "addons": ("github.com/google/nftables", "expr/queue.go", "overlay/queue.go"),
    "prometheus-adapter": (
        "sigs.k8s.io/prometheus-adapter",
        "cmd/adapter/run.go",
        "overlay/adapter/run.go",
    ),
}


def _make(build: Build) -> None:
    settings = build.settings
    golang.build(
        golang.toolchain(),
        RECIPES / settings["folder"],
        settings["packages"],
        build.target,
        build.log,
        link=settings["link"],
    )


def _make_patched(build: Build) -> None:
    """Build programs of a graph in one of whose modules a file of ours takes another's place."""
    settings = build.settings
    go, folder = golang.toolchain(), RECIPES / settings["folder"]
    path, file, ours = settings["patch"]
    golang.build(
        go,
        golang.patch(go, folder, path, {file: folder / ours}, build.scratch, build.log),
        settings["packages"],
        build.target,
        build.log,
        link=settings["link"],
    )


def _link_settings() -> dict[str, list[str]]:
    """Return what each program is told its version is; kubeadm refuses to work without one."""
    version = versions()["kubernetes"]["version"]
    major, minor, _ = version.removeprefix("v").split(".")
    tags = {name: image.rpartition(":")[2] for name, image in versions()["images"].items()}
    settings = {
        name: [f"main.version={tags[name]}"]
        for name in ("authorino", "authorino-operator", "limitador-operator", "kuadrant-operator")
    }
    settings |= {
        name: [f"{_NFD_VERSION}={tags['node-feature-discovery']}"]
        for name in ("nfd-gc", "nfd-master", "nfd-worker")
    }
    return settings | {
        "kubernetes": [
            f"{_VERSION}.gitVersion={version}",
            f"{_VERSION}.gitMajor={major}",
            f"{_VERSION}.gitMinor={minor}",
            f"{_VERSION}.gitTreeState=clean",
            f"{_VERSION}.gitCommit=lab",
            f"k8s.io/client-go/pkg/version.gitVersion={version}",
        ],
        "envoy-gateway": [
            "github.com/envoyproxy/gateway/internal/cmd/version.envoyGatewayVersion="
            + tags["envoy-gateway"]
        ],
        "dex": [f"main.version={tags['dex']}"],
        "helm": [f"helm.sh/helm/v3/internal/version.version={versions()['tools']['helm']}"],
    }


def recipes() -> list[Recipe]:
    """Return the recipes of this module."""
    told = _link_settings()
    return [
        Recipe(
            name=f"go-{name}",
            make=_make_patched if name in PATCHES else _make,
            settings={
                **({"patch": PATCHES[name]} if name in PATCHES else {}),
                "folder": folder,
                "packages": packages,
                "link": {program: told[program] for program in packages if program in told},
            },
            inputs=(RECIPES / folder,),
            heavy=True,
        )
        for name, (folder, packages) in PACKAGES.items()
    ]
