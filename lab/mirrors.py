"""How the node's containerd finds the lab's images under their published names.

Each registry gets a ``hosts.toml`` that puts the lab's registry in front of it, as a disconnected
site would do. With images of the lab's own making nothing is asked of the outside; with published
ones the lab's registry holds only what is not published, and the real registry has the rest.
"""

import shutil
from pathlib import Path

# Registry names as image references write them, and where they really answer.
REGISTRIES = {
    "docker.io": "https://registry-1.docker.io",
    "gcr.io": "https://gcr.io",
    "ghcr.io": "https://ghcr.io",
    "nvcr.io": "https://nvcr.io",
    "public.ecr.aws": "https://public.ecr.aws",
    "quay.io": "https://quay.io",
    "registry.k8s.io": "https://registry.k8s.io",
}


def render(registry: str, with_upstream: bool) -> dict[str, str]:
    """Return the ``hosts.toml`` of each registry name.

    Args:
        registry: The lab registry's address and port in the container network.
        with_upstream: Whether what the lab's registry lacks may come from the real one.
    """
    mirror = f"http://{registry}"
    rendered = {
        name: _hosts(upstream if with_upstream else mirror, mirror)
        for name, upstream in REGISTRIES.items()
    }
    rendered[registry] = _hosts(mirror, mirror)
    if not with_upstream:
        # Any other name, too: no pull leaves the machine.
        rendered["_default"] = _hosts(mirror, mirror)
    return rendered


def write(directory: Path, registry: str, with_upstream: bool) -> None:
    """Write the files below a directory, and remove others; containerd reads them at each pull."""
    rendered = render(registry, with_upstream)
    directory.mkdir(parents=True, exist_ok=True)
    for stale in directory.iterdir():
        if stale.name not in rendered:
            shutil.rmtree(stale)
    for name, text in rendered.items():
        (directory / name).mkdir(exist_ok=True)
        (directory / name / "hosts.toml").write_text(text, encoding="utf-8")


def _hosts(server: str, mirror: str) -> str:
    return f'server = "{server}"\n\n[host."{mirror}"]\n  capabilities = ["pull", "resolve"]\n'
