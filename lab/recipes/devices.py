"""Images for GPU nodes: Node Feature Discovery, and a stand-in for a device plugin."""

from __future__ import annotations

from lab import oci
from lab.recipe import Build, Recipe, versions

PROGRAMS = "go-gpu"
DISCOVERY = ("nfd-gc", "nfd-master", "nfd-worker")


def _make_discovery(build: Build) -> None:
    """Its chart calls the programs by their names alone, and says as whom."""
    layer = oci.write_layer(
        build.scratch / "layer.tar",
        {f"usr/bin/{name}": build.take(PROGRAMS, name) for name in build.settings["programs"]},
    )
    start = oci.Config(environment={"PATH": "/usr/bin"}, user="65534:65534")
    image = oci.Image(oci.Reference.parse(build.images[0]), (layer,), start)
    oci.write_archive(build.target / "image.tar", [image])


def _make_stand_in(build: Build) -> None:
    layer = oci.write_layer(
        build.scratch / "layer.tar",
        {"device-plugin": build.take(PROGRAMS, "device-plugin"), "run/lab-gpu": oci.Directory()},
    )
    start = oci.Config(
        entrypoint=("/device-plugin",),
        # The kubelet's socket is root's.
        user="0:0",
        labels={
            "org.opencontainers.image.description": (
                "The maas.platform lab's stand-in: a device plugin without devices"
            )
        },
    )
    image = oci.Image(oci.Reference.parse(build.images[0]), (layer,), start)
    oci.write_archive(build.target / "image.tar", [image])


def recipes() -> list[Recipe]:
    """Return the recipes of this module."""
    images = versions()["images"]
    return [
        Recipe(
            name="node-feature-discovery",
            make=_make_discovery,
            settings={"programs": DISCOVERY},
            needs=(PROGRAMS,),
            images=(images["node-feature-discovery"],),
        ),
        Recipe(
            name="lab-device-plugin",
            make=_make_stand_in,
            needs=(PROGRAMS,),
            images=(images["lab-device-plugin"],),
        ),
    ]
