"""What of the lab runs, and how well."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from lab import cluster, enforcement, environment, kubectl, paths, registry
from lab.engine import find
from lab.engine.client import Engine
from lab.errors import LabError
from lab.source import Source


@dataclass(frozen=True)
class Component:
    """One part of the lab."""

    name: str
    healthy: bool
    detail: str


def examine() -> list[Component]:
    """Look at every part; each that is missing is unhealthy."""
    try:
        engine = find.running()
    except LabError as error:
        return [Component("engine", False, error.what)]
    if engine is None:
        return [Component("engine", False, "no container engine answers")]
    kind = "the lab's own" if engine.ours else engine.host or "docker's default"
    parts = [Component("engine", True, kind), _registry(engine), _node(engine)]
    if parts[-1].healthy:
        parts += [*_policies(engine), *_workloads()]
    return parts


def describe(parts: list[Component]) -> dict[str, Any]:
    """Return all that is known: what ``.lab/env`` and ``.lab/lab.json`` say, and every part."""
    return {
        **environment.variables(),
        **environment.read_facts(),
        "healthy": all(part.healthy for part in parts),
        "components": [asdict(part) for part in parts],
    }


def workloads(listed: dict[str, Any]) -> list[Component]:
    """Return the Deployments and DaemonSets of a list as kubectl prints it, as parts."""
    parts = []
    for item in listed["items"]:
        if item["kind"] == "DaemonSet":
            wanted = item["status"].get("desiredNumberScheduled", 1)
            ready = item["status"].get("numberReady", 0)
        else:
            wanted = item["spec"].get("replicas", 1)
            ready = item["status"].get("readyReplicas", 0)
        name = f"{item['metadata']['namespace']}/{item['metadata']['name']}"
        parts.append(Component(name, ready >= wanted, f"{ready} of {wanted} ready"))
    return parts


def _registry(engine: Engine) -> Component:
    healthy = registry.answers(engine)
    known = environment.read_facts().get("registry", "")
    return Component("registry", healthy, known if healthy else "does not answer")


def _node(engine: Engine) -> Component:
    if not engine.is_running(cluster.NODE):
        return Component("node", False, f"{cluster.NODE} does not run")
    if not paths.KUBECONFIG.exists():
        return Component("node", False, "half made, or another checkout's")
    ready = cluster.is_ready()
    return Component("node", ready, "Ready" if ready else "not Ready")


def _policies(engine: Engine) -> list[Component]:
    if environment.read_facts().get("images") != Source.PACKAGES:
        return []
    active = enforcement.is_active(engine)
    return [Component("NetworkPolicies", active, "enforced" if active else "accepted only")]


def _workloads() -> list[Component]:
    kinds = "deployments,daemonsets"
    listed = kubectl.ask("get", kinds, "--all-namespaces", "--output", "json")
    return workloads(json.loads(listed.stdout))
