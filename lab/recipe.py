"""A recipe: what goes into one build, and how it is made. Its key is a digest of both."""

from __future__ import annotations

import hashlib
import inspect
import json
import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lab.cache import Entry

# Goes into every key: raise it when the code that recipes share changes what they make.
FORMAT = 1
CHECKOUT = Path(__file__).resolve().parents[1]
RECIPES = Path(__file__).resolve().parent / "recipes"


@cache
def versions() -> dict[str, dict[str, str]]:
    """Return versions.toml."""
    return tomllib.loads((Path(__file__).parent / "versions.toml").read_text())


@dataclass(frozen=True)
class Build:
    """What a recipe's function works with."""

    target: Path  # the directory whose content becomes the entry
    scratch: Path  # an empty directory, gone afterwards
    log: Path  # where programs' output goes
    settings: Mapping[str, Any]
    images: tuple[str, ...]
    needed: Mapping[str, Entry]

    def take(self, recipe: str, name: str) -> Path:
        """Return a file that a needed recipe made."""
        return self.needed[recipe].file(name)


@dataclass(frozen=True)
class Recipe:
    """One entry of the cache: an image, a set of programs, a directory of charts.

    Args:
        name: Its name, in the cache and to users.
        make: Fills the build's target directory; its own code is part of the key.
        settings: The versions and references it uses.
        inputs: Files and directories of the checkout that it reads.
        needs: Recipes whose entries it uses.
        images: The references of the images in its archive.
        heavy: It keeps all cores busy by itself, so one such recipe runs at a time.
    """

    name: str
    make: Callable[[Build], None]
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[Path, ...] = ()
    needs: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    heavy: bool = False

    def key(self, needed_keys: Mapping[str, str]) -> str:
        """Return the digest of everything that decides what this recipe makes."""
        parts = {
            "format": FORMAT,
            "name": self.name,
            "code": _code(self.make),
            "settings": dict(self.settings),
            "inputs": {str(path.relative_to(CHECKOUT)): input_digest(path) for path in self.inputs},
            "images": list(self.images),
            "needs": {name: needed_keys[name] for name in self.needs},
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _code(function: Callable[..., Any]) -> list[str]:
    """Return the source of a function and of the functions of its module that it calls."""
    found: dict[str, str] = {}
    pending = [function]
    while pending:
        current = inspect.unwrap(pending.pop())
        if current.__qualname__ in found:
            continue
        found[current.__qualname__] = inspect.getsource(current)
        names = set(current.__code__.co_names)
        module = inspect.getmodule(current)
        for name, value in inspect.getmembers(module, inspect.isfunction):
            if name in names and value.__module__ == current.__module__:
                pending.append(value)
    return [found[name] for name in sorted(found)]


def input_digest(path: Path) -> str:
    """Return the digest of a file, or of a directory's files and their names.

    Links are followed: what they lead to is what gets built in.
    """
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        if "__pycache__" in file.parts:
            continue
        name = "" if file == path else file.relative_to(path).as_posix()
        content = file.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
