"""The programs the lab's users need, linked into ``.lab/bin`` from the cache."""

from pathlib import Path

from lab import paths


def link(tools: dict[str, Path]) -> None:
    """Link programs by name; a link appears whole, whatever was there."""
    paths.BIN.mkdir(parents=True, exist_ok=True)
    for name, target in tools.items():
        partial = paths.BIN / f".{name}.partial"
        partial.unlink(missing_ok=True)
        partial.symlink_to(target)
        partial.replace(paths.BIN / name)
