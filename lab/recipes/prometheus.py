"""Prometheus: Debian's build, under the name and with the start of the published image."""

from __future__ import annotations

from lab import debian, oci
from lab.recipe import Build, Recipe, versions

PROGRAMS = ("prometheus", "promtool")
CONFIGURATION = "etc/prometheus/prometheus.yml"
NOBODY = 65534


def _make(build: Build) -> None:
    root = build.scratch / "root"
    debian.make_root(build.settings["suite"], ["prometheus", "base-files"], root, build.log)
    libraries = debian.library_closure(root, [f"/usr/bin/{name}" for name in PROGRAMS])
    layer = oci.write_layer(
        build.scratch / "layer.tar",
        {
            **{f"bin/{name}": root / "usr/bin" / name for name in PROGRAMS},
            CONFIGURATION: root / CONFIGURATION,
            "prometheus": oci.Directory(0o1777),
            "tmp": oci.Directory(0o1777),
            **debian.take_files(root, libraries),
        },
    )
    start = oci.Config(
        entrypoint=("/bin/prometheus",),
        command=(f"--config.file=/{CONFIGURATION}", "--storage.tsdb.path=/prometheus"),
        environment={"PATH": "/bin"},
        user=f"{NOBODY}:{NOBODY}",
    )
    image = oci.Image(oci.Reference.parse(build.images[0]), (layer,), start)
    oci.write_archive(build.target / "image.tar", [image])


def recipes() -> list[Recipe]:
    """Return the recipes of this module."""
    return [
        Recipe(
            name="prometheus",
            make=_make,
            settings={"suite": versions()["debian"]["prometheus"]},
            images=(versions()["images"]["prometheus"],),
        )
    ]
