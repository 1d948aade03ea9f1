"""Bringing the lab up, from whatever state it was left in."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network
from pathlib import Path

from lab import (
    cluster,
    dns,
    doctor,
    down,
    enforcement,
    environment,
    gpus,
    images,
    kindconfig,
    loading,
    login,
    mirrors,
    network,
    oci,
    paths,
    prerequisites,
    refresh,
    registry,
    resource_metrics,
    supply,
    tools,
)
from lab.engine import daemon
from lab.engine.client import Engine
from lab.errors import LabError
from lab.report import Report, SilentReport
from lab.source import Source

LOG = paths.LOGS / "install.log"


def plan(source: Source, why: str) -> list[str]:
    """Say what ``up`` would do, a line for each step, and change nothing."""
    steps = [f"images: {source} ({why})"]
    steps += [
        f"{finding.subject}: {finding.detail}"
        for finding in doctor.examine()
        if finding.state != "ok"
    ]
    steps += [
        f"{planned.name}: {'cached' if planned.cached else 'to be built'}"
        for planned in supply.plan(None, source)
    ]
    steps += [
        f"registry {registry.NAME} and kind cluster {kindconfig.CLUSTER} on network {network.NAME}",
        f"ports {', '.join(map(str, kindconfig.PORTS))} of 127.0.0.1",
        f"files in {paths.LAB}",
    ]
    return steps


def up(source: Source, why: str, report: Report, lock: int) -> None:
    """Bring up the engine, the images, the registry and the bare cluster."""
    report.say(f"images: {source} ({why})")
    for check in (doctor.check_platform, doctor.check_python):
        finding = check()
        if finding.state == "fail":
            raise LabError(f"{finding.subject}: {finding.detail}", finding.fix)
    paths.make_private(paths.LAB)
    prepare_builds(None, source, report)
    engine = _engine(report)
    doctor.require_ports(engine.is_running(cluster.NODE))
    images.build([planned.name for planned in supply.plan(None, source)], report)
    # All is cached now: what asks again says nothing.
    archives = images.ensure(supply.built(source), SilentReport())
    programs = images.tools(SilentReport())
    tools.link(programs)
    _copy_charts()
    subnet = network.ensure(engine)
    _registry(engine, subnet, source, report)
    shape = _shape(engine, subnet, source, report)
    made = cluster.Cluster(engine, programs["kind"], kindconfig.render(shape), lock)

    def make_cluster() -> bool:
        with report.stage(f"kind cluster {kindconfig.CLUSTER}") as stage:
            return made.ensure(stage)

    with ThreadPoolExecutor() as pool:
        making = pool.submit(make_cluster)
        pushing = pool.submit(_push, engine, archives, report)
    kept, pushed = making.result(), pushing.result()
    if kept:
        refresh.refresh(engine, pushed, report)
    _additions(engine, source, report)
    environment.write(
        environment.facts(
            wasm_shim_image=_filter_image(subnet, source),
            images=source.value,
            registry=registry.address(subnet),
            engine_host=engine.host,
        )
    )


def _additions(engine: Engine, source: Source, report: Report) -> None:
    """Have in the cluster what the platform expects of one; none waits for another."""
    additions: list[Callable[[], None]] = [
        lambda: dns.ensure(login.HOSTS, report),
        lambda: login.ensure(report),
        lambda: resource_metrics.ensure(report),
        lambda: gpus.ensure(report),
    ]
    if source is Source.PACKAGES:
        # Published node images come with kind's own network, which enforces policies itself.
        additions.append(lambda: enforcement.ensure(engine, report))
    with ThreadPoolExecutor(len(additions)) as pool:
        for addition in [pool.submit(addition) for addition in additions]:
            addition.result()


def prepare_builds(names: list[str] | None, source: Source, report: Report) -> None:
    """Have the programs that building takes, if anything will be built."""
    if any(not planned.cached for planned in supply.plan(names, source)):
        machine = prerequisites.Machine.look()
        prerequisites.install(prerequisites.missing_for_builds(), machine, report, LOG)


def _engine(report: Report) -> Engine:
    with report.stage("container engine") as stage:
        engine, started = prerequisites.connect(report, LOG)
        stage.note("the lab's own" if engine.ours else engine.host or "the one that is here")
        if not started:
            stage.cached("it runs")
    other = down.elsewhere(engine)
    if other and started:
        # It came back with the engine: nobody has used it since the engine went.
        report.say(f"replacing the stopped lab of {other}")
    elif other:
        raise LabError(
            f"the lab of {other} runs in this engine, and both would use the same names and ports",
            f"make -C {other} lab-down",
        )
    if network.owner(engine) not in (None, paths.CHECKOUT):
        with report.stage("remove what another checkout's lab left"):
            for container in (cluster.NODE, registry.NAME):
                engine.remove_container(container)
            engine.remove_network(network.NAME)
    return engine


def _registry(engine: Engine, subnet: IPv4Network, source: Source, report: Report) -> None:
    reference, archive = supply.registry(source, SilentReport())
    with report.stage("start the registry") as stage:
        image = reference
        if archive:
            image, _ = loading.load(engine, "registry", reference, archive)
        if registry.ensure(engine, image, subnet):
            stage.cached("it runs")
        stage.note(registry.address(subnet))


def _shape(engine: Engine, subnet: IPv4Network, source: Source, report: Report) -> kindconfig.Shape:
    reference, archive = supply.node(source, SilentReport())
    image = reference
    if archive:
        with report.stage("load the node image") as stage:
            image, there = loading.load(engine, "node", reference, archive)
            if there:
                stage.cached("loaded")
    upstream = source is Source.UPSTREAM
    mirrors.write(paths.MIRRORS, registry.address(subnet), with_upstream=upstream)
    return kindconfig.Shape(
        image=image,
        identities=paths.IDENTITIES,
        mirrors=paths.MIRRORS,
        own_images=not upstream,
        dns_image=supply.dns_image(source),
        unprivileged=daemon.needs_shim(),
    )


def _push(engine: Engine, archives: dict[str, Path], report: Report) -> list[str]:
    with report.stage("push images to the registry") as stage:
        address = registry.push_address(engine)
        pushed = [name for name, archive in archives.items() if oci.push(archive, address)]
        if not pushed:
            stage.cached("it has all")
            return []
        stage.note(f"new: {', '.join(pushed)}")
        return [str(reference) for name in pushed for reference in oci.references(archives[name])]


def _copy_charts() -> None:
    for name, folder in images.charts(SilentReport()).items():
        target = paths.CHARTS / name
        if target.is_symlink() or target.is_file():
            target.unlink()
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(folder, target, symlinks=True)


def _filter_image(subnet: IPv4Network, source: Source) -> str:
    """Return where the gateway fetches the filter: an address, for plain HTTP is refused to names.

    See the registry's network for why it has a fixed address.
    """
    reference = supply.reference("wasm-shim")
    if source is Source.UPSTREAM:
        return reference
    return f"{registry.address(subnet)}/{reference.partition('/')[2]}"
