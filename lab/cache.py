"""A content-addressed store of what the lab builds, outside the checkout.

An entry's key says what went into it, so a key that is there never needs building again. Entries
are written beside their place and renamed into it: what a kill leaves behind is never an entry.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MANIFEST = "entry.json"
# Written after a full check: while these have not moved, the digests need not be read again.
STAMP = "checked.json"
FILES = "files"
KEPT_ENTRIES = 2


def cache_root() -> Path:
    """Where the store lies: XDG's cache directory, which all checkouts share."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "maas-lab"


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def tree_digests(root: Path) -> dict[str, str]:
    """Return what lies under root: a digest for each file, its target for each link."""
    found: dict[str, str] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            found[name] = f"link:{path.readlink()}"
        elif path.is_file():
            found[name] = f"sha256:{file_digest(path)}"
    return found


def _positions(root: Path) -> dict[str, list[int]]:
    """Return what tells cheaply that nothing under root was written since."""
    found: dict[str, list[int]] = {}
    for path in sorted(root.rglob("*")):
        if not path.is_dir() or path.is_symlink():
            stat = path.lstat()
            found[path.relative_to(root).as_posix()] = [
                stat.st_ino,
                stat.st_size,
                stat.st_mtime_ns,
                stat.st_ctime_ns,
            ]
    return found


def _read_json(path: Path) -> Any:
    """Return a file's JSON, or None where it is missing or cut short."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _write_json(path: Path, value: Any) -> None:
    """Write JSON so that it is on disk when this returns."""
    with path.open("w") as stream:
        json.dump(value, stream, indent=1, sort_keys=True)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_tree(root: Path) -> None:
    """Have the kernel write a finished tree out: a rename may outrun its data otherwise."""
    for path in [root, *root.rglob("*")]:
        if path.is_symlink():
            continue
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@dataclass(frozen=True)
class Entry:
    """One finished build."""

    name: str
    key: str
    path: Path
    seconds: float

    def file(self, name: str) -> Path:
        """Return one of the files it holds."""
        return self.path / FILES / name


class Store:
    """The entries under one directory, with a lock, a log and a temporary place for each name."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or cache_root()

    def log_path(self, name: str) -> Path:
        """Return the file that takes the output of building name."""
        return self.root / "logs" / f"{name}.log"

    def find(self, name: str, key: str) -> Entry | None:
        """Return the entry if it is there and whole."""
        path = self._place(name, key)
        manifest = _read_json(path / MANIFEST)
        if not isinstance(manifest, dict) or manifest.get("key") != key:
            return None
        try:
            whole = self._is_whole(path, manifest)
        except OSError:
            return None
        return Entry(name, key, path, float(manifest.get("seconds", 0))) if whole else None

    def build(self, name: str, key: str, make: Callable[[Path], None]) -> Entry:
        """Return the entry, calling make with an empty directory to fill where it is missing.

        Two processes asking for one name build it once: the second waits and finds it.
        """
        with self._lock(name):
            found = self.find(name, key)
            if found:
                return found
            # Of its own each time: what a killed build started may still be writing in the last.
            work = self.root / "building" / f"{name}.{os.getpid()}"
            for left in work.parent.glob(f"{name}.*"):
                _remove(left)
            (work / FILES).mkdir(parents=True)
            started = time.monotonic()
            make(work / FILES)
            seconds = round(time.monotonic() - started, 1)
            manifest = {
                "name": name,
                "key": key,
                "seconds": seconds,
                "files": tree_digests(work / FILES),
            }
            _write_json(work / MANIFEST, manifest)
            _sync_tree(work)
            place = self._place(name, key)
            _remove(place)  # one that was not whole
            place.parent.mkdir(parents=True, exist_ok=True)
            work.rename(place)
            _write_json(place / STAMP, _positions(place / FILES))
            self._retire(name)
            return Entry(name, key, place, seconds)

    def _place(self, name: str, key: str) -> Path:
        return self.root / "entries" / name / _short(key)

    def _is_whole(self, path: Path, manifest: dict[str, Any]) -> bool:
        files = path / FILES
        stamp = _positions(files)
        if stamp == _read_json(path / STAMP):
            return True
        if tree_digests(files) != manifest.get("files"):
            return False
        _write_json(path / STAMP, stamp)
        return True

    def _retire(self, name: str) -> None:
        """Remove a name's oldest entries: branches go back and forth, so a few stay."""
        places = [path for path in self._place(name, "").iterdir() if path.is_dir()]
        for path in sorted(places, key=lambda path: path.stat().st_mtime_ns)[:-KEPT_ENTRIES]:
            _remove(path)

    @contextlib.contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        path = self.root / "locks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)  # given back by the kernel, however we end
            yield


def _short(key: str) -> str:
    return key[:20]


def _remove(path: Path) -> None:
    """Remove a tree if it is there."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)
