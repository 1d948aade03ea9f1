"""Bringing a changed image to where its older self runs.

A tag keeps its name when the lab builds its image anew, so neither the node nor a Deployment would
notice: the node forgets the old image, and the pods that run it start again.
"""

import json
from typing import Any

from lab import cluster, kubectl
from lab.engine.client import Engine
from lab.report import Report

# The filter is fetched by Envoy Gateway, which remembers it, and runs in its Envoys.
FILTER_REPOSITORY = "kuadrant/wasm-shim"
FILTER_NAMESPACE = "envoy-gateway-system"


def refresh(engine: Engine, changed: list[str], report: Report) -> None:
    """Have nothing in the cluster run an older image of these names."""
    forget(engine, changed)
    listed = kubectl.ask("get", "pods", "--all-namespaces", "--output", "json").stdout
    stale = affected(json.loads(listed), changed)
    if not stale:
        return
    with report.stage("restart what runs a changed image") as stage:
        for namespace, pod in stale:
            kubectl.ask("delete", "pod", pod, "--namespace", namespace, "--wait=false", check=False)
        stage.note(f"{len(stale)} pods")


def forget(engine: Engine, changed: list[str]) -> None:
    """Have the node pull these images anew when it next starts one."""
    # Every node has containerd's own client; Debian's packages bring no other.
    images = ("exec", cluster.NODE, "ctr", "--namespace", "k8s.io", "images")
    known = engine.docker(*images, "list", "--quiet").stdout.split()
    names = {full_name(name) for name in changed}
    # Once under its tag and once under its digest.
    stale = [name for name in known if name in names or _is_digest_of(name, names)]
    if stale:
        engine.docker(*images, "remove", *stale)


def _is_digest_of(name: str, names: set[str]) -> bool:
    repository, mark, _ = name.partition("@")
    return bool(mark) and repository in {full.rpartition(":")[0] for full in names}


def affected(pods: dict[str, Any], changed: list[str]) -> list[tuple[str, str]]:
    """Return the pods, by namespace and name, that run one of the changed images."""
    names = {full_name(name) for name in changed}
    filter_changed = any(FILTER_REPOSITORY in name for name in names)
    found = []
    for pod in pods["items"]:
        namespace, spec = pod["metadata"]["namespace"], pod["spec"]
        containers = [*spec["containers"], *spec.get("initContainers", [])]
        images = {full_name(container["image"]) for container in containers}
        if images & names or (filter_changed and namespace == FILTER_NAMESPACE):
            found.append((namespace, pod["metadata"]["name"]))
    return found


def full_name(image: str) -> str:
    """Return an image's name with its registry and without a digest, as containerd completes it."""
    name = image.partition("@")[0]
    host, slash, _ = name.partition("/")
    if slash and ("." in host or ":" in host or host == "localhost"):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"
