"""Images of the two stand-ins: Kuadrant's filter and its limit server have no package.

They answer to the published names and are used nowhere but in the lab.
"""

from __future__ import annotations

from lab import oci, rust
from lab.recipe import Build, Recipe, versions


def _make_filter(build: Build) -> None:
    """One gzipped layer with one file: the form in which Envoy Gateway fetches filters."""
    made = rust.build_filter(build.scratch, _log_to(build))
    layer = oci.write_layer(build.scratch / "layer.tar", {"plugin.wasm": made})
    image = oci.Image(
        oci.Reference.parse(build.images[0]), (layer,), oci.Config(labels=_label("filter"))
    )
    oci.write_archive(build.target / "image.tar", [image])


def _make_limit_server(build: Build) -> None:
    made = rust.build_limit_server(build.scratch, _log_to(build))
    folder = "home/limitador/bin"
    layer = oci.write_layer(build.scratch / "layer.tar", {f"{folder}/limitador-server": made})
    start = oci.Config(
        command=("limitador-server",),
        environment={"PATH": f"/{folder}:/usr/bin"},
        user="1000:1000",
        labels=_label("limit server"),
    )
    image = oci.Image(oci.Reference.parse(build.images[0]), (layer,), start)
    oci.write_archive(build.target / "image.tar", [image])


def _label(what: str) -> dict[str, str]:
    """Say on the image itself what it is: its name is that of the real one."""
    return {"org.opencontainers.image.description": f"The maas.platform lab's stand-in: {what}"}


def _log_to(build: Build) -> rust.Log:
    def write(line: str) -> None:
        with build.log.open("a") as log:
            log.write(line.rstrip("\n") + "\n")

    return write


def recipes() -> list[Recipe]:
    """Return the recipes of this module."""
    images = versions()["images"]
    settings = {"source": rust.source_digest()}
    return [
        Recipe(
            name="wasm-shim",
            make=_make_filter,
            settings=settings,
            images=(images["wasm-shim"],),
            heavy=True,
        ),
        Recipe(
            name="limitador",
            make=_make_limit_server,
            settings=settings,
            images=(images["limitador"],),
            heavy=True,
        ),
    ]
