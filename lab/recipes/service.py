"""The MaaS API's image: Debian's Python, the pinned wheels, and service/ as it stands."""

from __future__ import annotations

import shutil
import sys

from lab import debian, oci
from lab.process import run
from lab.recipe import CHECKOUT, Build, Recipe, versions

HOME = "opt/maas-api"
PACKAGES = ("python3-minimal", "libpython3-stdlib")
REQUIREMENTS = CHECKOUT / "service/requirements.txt"
SOURCE = CHECKOUT / "service/src/maas_api"


def _make_python(build: Build) -> None:
    """Python and the wheels: what a change of the service leaves alone."""
    root = build.scratch / "root"
    debian.make_root(build.settings["suite"], build.settings["packages"], root, build.log)
    for name in ("doc", "man", "locale", "lintian", "bash-completion"):
        shutil.rmtree(root / "usr/share" / name, ignore_errors=True)
    run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps"),
            *("--target", root / HOME, "--only-binary", ":all:"),
            # For the image's Python, whatever runs the lab.
            *("--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"),
            *("--abi", "abi3", "--abi", "none"),
            *("--platform", "manylinux_2_28_x86_64", "--platform", "manylinux_2_17_x86_64"),
            *("--platform", "manylinux2014_x86_64", "--platform", "any"),
            *("--requirement", REQUIREMENTS),
        ],
        log=build.log,
    )
    # The image has no place to write them to; without them each start compiles everything.
    run(
        [
            *("chroot", root, "/usr/bin/python3.11", "-m", "compileall", "-q"),
            *("--invalidation-mode", "unchecked-hash", f"/{HOME}", "/usr/lib/python3.11"),
        ],
        log=build.log,
        check=False,
    )
    oci.write_layer(build.target / "layer.tar", {"": root, "tmp": oci.Directory(0o1777)})


def _make_image(build: Build) -> None:
    service = build.scratch / "maas_api"
    # Links lead to the collection's own modules; the image takes what they lead to.
    shutil.copytree(SOURCE, service, ignore=shutil.ignore_patterns("__pycache__"))
    layer = oci.write_layer(build.scratch / "service.tar", {f"{HOME}/maas_api": service})
    start = oci.Config(
        entrypoint=("/usr/bin/python3.11", "-m", "maas_api"),
        environment={
            "PATH": "/usr/bin",
            "PYTHONPATH": f"/{HOME}",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        user="1001:1001",
    )
    image = oci.Image(
        oci.Reference.parse(build.images[0]),
        (build.take("maas-api-python", "layer.tar"), layer),
        start,
    )
    oci.write_archive(build.target / "image.tar", [image])


def recipes() -> list[Recipe]:
    """Return the recipes of this module."""
    return [
        Recipe(
            name="maas-api-python",
            make=_make_python,
            settings={"suite": versions()["debian"]["node"], "packages": PACKAGES},
            inputs=(REQUIREMENTS,),
        ),
        Recipe(
            name="maas-api",
            make=_make_image,
            inputs=(SOURCE,),
            needs=("maas-api-python",),
            images=(versions()["images"]["maas-api"],),
        ),
    ]
