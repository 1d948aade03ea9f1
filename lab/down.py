"""Taking the lab down: what it made goes, the cache stays."""

import shutil

from lab import cluster, network, paths, registry
from lab.cache import cache_root
from lab.engine import daemon, find
from lab.engine.client import Engine
from lab.report import Report


def plan() -> list[str]:
    """Return what ``down`` would remove."""
    steps = []
    if daemon.exists():
        steps.append("the lab's own container engine with its containers and networks")
    else:
        engine = find.foreign()
        names = [cluster.NODE, registry.NAME]
        found = [name for name in names if engine and engine.inspect("container", name)]
        steps += [f"container {name}" for name in found]
        if engine and engine.inspect("network", network.NAME):
            steps.append(f"network {network.NAME}")
    if paths.LAB.exists():
        steps.append(f"directory {paths.LAB}")
    return steps


def down(report: Report) -> None:
    """Remove containers, network, processes and files; leave the cache."""
    other = ""
    if daemon.exists():
        with report.stage("wake the engine, to clean up in it") as stage:
            own = daemon.engine()
            slept = not own.answers()
            if slept:
                own = daemon.start()
            else:
                stage.cached("it runs")
        # What came back with the engine just now, nobody uses.
        other = "" if slept else elsewhere(own)
        if not other:
            _clean(own, report)
            with report.stage("stop the engine"):
                daemon.stop()
    engine = find.foreign()
    if engine:
        other = elsewhere(engine) or other
        if not other:
            _clean(engine, report)
    if paths.LAB.exists():
        shutil.rmtree(paths.LAB)
    if other:
        report.say(f"the lab that runs belongs to {other} and stays: take it down there")
        return
    report.say(f"the lab is down; the cache stays in {cache_root()}")


def _clean(engine: Engine, report: Report) -> None:
    """Remove the lab's containers and network."""
    with report.stage("remove containers and network") as stage:
        gone = []
        node = engine.inspect("container", cluster.NODE)
        if node and cluster.is_ours(node):
            engine.remove_container(cluster.NODE)
            gone.append(cluster.NODE)
        if registry.is_there(engine):
            engine.remove_container(registry.NAME)
            gone.append(registry.NAME)
        if engine.ours:
            # Whatever else was started in the lab's own engine ends with it.
            for other in engine.docker("ps", "--all", "--quiet").stdout.split():
                engine.remove_container(other)
                gone.append(other)
        if network.owner(engine):
            engine.remove_network(network.NAME)
            gone.append(f"network {network.NAME}")
        stage.note(", ".join(gone) or "there were none")


def elsewhere(engine: Engine) -> str:
    """Return the other checkout whose lab runs in this engine, empty without one.

    A lab whose checkout or whose own record is gone, or whose node is not running, is nobody's.
    """
    owner = network.owner(engine)
    if owner is None or owner == paths.CHECKOUT or not engine.is_running(cluster.NODE):
        return ""
    record = owner / paths.CLUSTER.relative_to(paths.CHECKOUT)
    return str(owner) if record.exists() else ""
