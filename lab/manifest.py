"""Manifests of what the lab adds to its cluster: files beside this, with a few values filled in."""

import json
from collections.abc import Iterable
from pathlib import Path
from string import Template
from typing import Any

import yaml

from lab import kubectl

MANIFESTS = Path(__file__).resolve().parent / "manifests"
MANAGER = "maas-lab"


def read(name: str, **values: str) -> list[dict[str, Any]]:
    """Return the objects of a manifest with its ``$names`` replaced; ``$$`` is a dollar sign."""
    text = (MANIFESTS / f"{name}.yml").read_text(encoding="utf-8")
    return list(yaml.safe_load_all(Template(text).substitute(values)))


def secret(namespace: str, name: str, data: dict[str, str]) -> dict[str, Any]:
    """Return a Secret; it must go to the cluster through standard input only."""
    metadata = {"namespace": namespace, "name": name}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}


def apply(objects: Iterable[dict[str, Any]]) -> None:
    """Have the cluster hold these objects as they are here."""
    listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    options = ("--server-side", "--force-conflicts", "--field-manager", MANAGER)
    kubectl.ask("apply", *options, "--filename", "-", stdin=json.dumps(listed))
