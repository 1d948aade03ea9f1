"""Root file systems made of Debian packages, by mmdebstrap, from the mirror apt is set up with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from lab.process import run

if TYPE_CHECKING:
    from collections.abc import Sequence

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_FIX = "apt-get install mmdebstrap debian-archive-keyring"
# Documentation and translations are of no use in a container.
_LEAN = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "man", "locale", "info")]


def mirror() -> str | None:
    """Return the Debian mirror of the host's apt; None (mmdebstrap's own choice) elsewhere."""
    listed = run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)"], check=False
    )
    found = re.search(r"^Debian Debian (\S+)$", listed.stdout, re.MULTILINE)
    return found[1] if found else None


def make_root(
    suite: str,
    packages: Sequence[str],
    target: Path,
    log: Path,
    *,
    variant: str = "extract",
    keep_old_index: bool = False,
) -> None:
    """Make a root of these packages and what they depend on.

    Args:
        suite: The Debian suite.
        packages: The packages by name.
        target: A directory, or a file ending in .tar.
        log: The file that takes the output.
        variant: mmdebstrap's; `extract` unpacks without running any package's scripts.
        keep_old_index: Take an index whose date is over; its signature is checked all the same.
            Mirrors of unreleased suites can lag behind by more than such an index's week.
    """
    options = [f"--variant={variant}", f"--include={','.join(packages)}"]
    options += ["--aptopt=APT::Install-Recommends false", "--aptopt=Acquire::Languages none"]
    if variant != "extract":
        options += _LEAN
    if keep_old_index:
        options.append("--aptopt=Acquire::Check-Valid-Until false")
    source = mirror()
    sources = [f"deb [signed-by={KEYRING}] {source} {suite} main"] if source else []
    if source and suite not in {"sid", "unstable"}:
        sources.append(f"deb [signed-by={KEYRING}] {source} {suite}-updates main")
    run(
        ["mmdebstrap", *options, suite, target, *sources],
        # Its working directory is as large as the root: with the build, it goes with the build.
        env={"TMPDIR": str(target.parent)},
        log=log,
        fix=_FIX,
    )


def library_closure(root: Path, programs: Sequence[str]) -> list[str]:
    """Return the shared libraries, by path in the root, that these programs load; loader included.

    The root's own loader lists them, so that the host's libraries never decide.
    """
    found: set[str] = set()
    for program in programs:
        listed = run(["chroot", root, "/lib64/ld-linux-x86-64.so.2", "--list", program]).stdout
        found.update(re.findall(r"(?:=> |^\s*)(/\S+) \(0x", listed, re.MULTILINE))
    return sorted(found)


def take_files(root: Path, paths: Sequence[str]) -> dict[str, Path]:
    """Return files of a root by their path in an image, links followed without leaving the root."""
    return {path.strip("/"): _resolve(root, path) for path in paths}


def _resolve(root: Path, path: str) -> Path:
    """Follow links as a process inside the root would."""
    place = root
    parts = [part for part in path.split("/") if part]
    while parts:
        part = parts.pop(0)
        if part == "..":
            place = place.parent if place != root else root
            continue
        step = place / part
        if step.is_symlink():
            target = str(step.readlink())
            place = root if target.startswith("/") else place
            parts = [name for name in target.split("/") if name not in {"", "."}] + parts
        else:
            place = step
    return place
