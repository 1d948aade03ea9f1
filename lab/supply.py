"""What the lab builds itself and what it takes as published, by the images' source."""

from pathlib import Path

from lab import images
from lab.recipe import versions
from lab.report import Report
from lab.source import (
    Source,
)  # The programs and charts that are built from Go modules whatever the source.

TOOL_RECIPES = ("go-host-tools", "go-kubernetes", "charts")
# Published by nobody but this project: the lab builds these whatever the source.
OWN = ("maas-api", "lab-gemma", "lab-device-plugin")


def built(source: Source) -> list[str]:
    """Return the recipes of the images that the registry serves."""
    return images.image_names() if source is Source.PACKAGES else list(OWN)


def plan(names: list[str] | None, source: Source) -> list[images.Planned]:
    """Say of everything that is built whether it is cached; all that the lab needs by default."""
    wanted = names
    if wanted is None:
        wanted = [*built(source), *TOOL_RECIPES]
        if source is Source.PACKAGES:
            wanted += images.ENGINE_IMAGES
    return images.plan(wanted)


def node(source: Source, report: Report) -> tuple[str, Path | None]:
    """Return the node image's name, and its archive unless it is pulled."""
    return images.node_image(report) if source is Source.PACKAGES else (reference("node"), None)


def registry(source: Source, report: Report) -> tuple[str, Path | None]:
    """Return the registry image's name, and its archive unless it is pulled."""
    if source is Source.PACKAGES:
        return images.registry_image(report)
    return reference("registry"), None


def dns_image(source: Source) -> tuple[str, str] | None:
    """Return CoreDNS's repository and tag; None where kubeadm's own choice can be pulled."""
    if source is Source.UPSTREAM:
        return None
    name, _, tag = reference("coredns").rpartition(":")
    # kubeadm appends the image's own name, coredns.
    return name.rpartition("/")[0], tag


def reference(name: str) -> str:
    """Return an image's published name."""
    return versions()["images"][name]
