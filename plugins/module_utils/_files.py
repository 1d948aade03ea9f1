# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Rendered objects as files, for those who let GitOps apply them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ._errors import MaasError
from ._objects import Object
from ._policies import PARTS

try:
    import yaml
except ImportError:  # comes with kubernetes; sanity tests read this file without it
    yaml = None  # type: ignore[assignment]

#: The first line of every file that is ours; nothing without it is written over or removed.
_MARK = "# Rendered by maas.platform.tier_policies: changes made here are lost.\n"


@dataclass(frozen=True)
class FileChange:
    """What became of one file, or would become."""

    path: Path
    action: Literal["created", "updated", "deleted"]
    before: str = ""
    after: str = ""


def write_files(
    directory: str,
    parts: Mapping[str, Sequence[Object]],
    dry_run: bool = False,
    order: Sequence[str] = PARTS,
) -> list[FileChange]:
    """Make a directory hold exactly these objects of these parts, one to a file.

    Files of others and of other parts are left alone; order numbers the parts.
    """
    root = Path(directory)
    folders = {part: root / f"{order.index(part) + 1}-{part}" for part in parts}
    wanted = {
        folders[part] / _name(item): _text(item) for part, items in parts.items() for item in items
    }
    try:
        ours = _ours(folders.values())
        changes = _compare(wanted, ours)
        if not dry_run:
            for change in changes:
                _write(change)
    except (OSError, UnicodeDecodeError) as exc:
        raise MaasError(f"directory {root} cannot hold the rendered objects: {exc}") from exc
    return changes


def _name(item: Object) -> str:
    metadata = item["metadata"]
    # No name of ours has a dot in it: the parts of a file's name cannot run into each other.
    names = (item["kind"].lower(), metadata.get("namespace"), metadata["name"])
    return ".".join(name for name in names if name) + ".yaml"


def _text(item: Object) -> str:
    return _MARK + str(
        yaml.dump(item, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=100)
    )


def _dumper() -> Any:
    class Dumper(yaml.SafeDumper):
        """Writes texts of many lines as such."""

    def write_text(dumper: Any, text: str) -> Any:
        style = "|" if "\n" in text else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    Dumper.add_representer(str, write_text)
    return Dumper


def _ours(folders: Iterable[Path]) -> dict[Path, str]:
    found = {}
    for path in sorted(path for folder in folders for path in folder.glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        if text.startswith(_MARK):
            found[path] = text
    return found


def _compare(wanted: Mapping[Path, str], ours: Mapping[Path, str]) -> list[FileChange]:
    changes = []
    for path, text in wanted.items():
        if path in ours:
            if ours[path] != text:
                changes.append(FileChange(path, "updated", ours[path], text))
        elif path.exists():
            raise MaasError(
                f"{path} is there and was not rendered by this module, so nothing was written: "
                "move it away, or choose another directory"
            )
        else:
            changes.append(FileChange(path, "created", "", text))
    gone = [path for path in ours if path not in wanted]
    return changes + [FileChange(path, "deleted", ours[path], "") for path in gone]


def _write(change: FileChange) -> None:
    if change.action == "deleted":
        change.path.unlink()
        return
    change.path.parent.mkdir(parents=True, exist_ok=True)
    # Whoever reads meanwhile sees the old file or the new one, never half of one.
    draft = change.path.with_suffix(".tmp")
    draft.write_text(change.after, encoding="utf-8")
    os.replace(draft, change.path)
