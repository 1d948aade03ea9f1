"""Bringing an archive of the cache into the engine, under a name that is the lab's alone."""

from pathlib import Path

from lab.cache import file_digest
from lab.engine.client import Engine

PREFIX = "maas-lab"


def load(engine: Engine, kind: str, reference: str, archive: Path) -> tuple[str, bool]:
    """Load an image unless that very archive is loaded already.

    The engine may be the user's, and have the published image under the archive's own name; that
    name is given back, and the lab uses one which says what the archive holds.

    Args:
        engine: Where to load it.
        kind: What the image is for; part of its name here.
        reference: The name in the archive.
        archive: The archive.

    Returns:
        The image's name in the engine, and whether it was there before.
    """
    repository = f"{PREFIX}/{kind}"
    name = f"{repository}:{file_digest(archive)[:16]}"
    if engine.inspect("image", name):
        return name, True
    stale = engine.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository)
    before = engine.inspect("image", reference)
    engine.docker("load", "--input", str(archive), timeout=600)
    engine.docker("tag", reference, name)
    if before:
        engine.docker("tag", before["Id"], reference)
    else:
        engine.docker("rmi", "--no-prune", reference)
    for old in stale.stdout.split():
        # One that a container still uses stays until the next time.
        engine.docker("rmi", old, check=False)
    return name, False
