"""What this machine lacks for the lab, and for each thing the one command that helps."""

import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab import browser, paths, prerequisites
from lab.cache import cache_root
from lab.engine import daemon, find
from lab.errors import LabError
from lab.kindconfig import PORTS

GIB = 1024**3
# Measured for a cold cache: images, modules, the compiler's cache, the engine's data.
COLD_DISK_GIB = 35
WARM_DISK_GIB = 10
MEMORY_GIB = 8
OLDEST_PYTHON = (3, 11)
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Args:
        subject: What was looked at.
        state: ``ok``; ``later`` where ``up`` sees to it; ``warn``; or ``fail``, which stops ``up``.
        detail: What is the case.
        fix: What helps.
    """

    subject: str
    state: str
    detail: str
    fix: str = ""


def examine() -> list[Finding]:
    """Look at everything."""
    checks: list[Callable[[], Finding]] = [
        check_platform,
        check_python,
        check_builds,
        check_engine,
        check_browser,
        check_ports,
        check_disk,
        check_memory,
    ]
    return [check() for check in checks]


def check_platform() -> Finding:
    """The lab's programs are Linux programs for x86-64."""
    system, processor = platform.system(), platform.machine()
    if (system, processor) == ("Linux", "x86_64"):
        return Finding("platform", "ok", f"{system} {processor}, {os.cpu_count()} cores")
    return Finding(
        "platform", "fail", f"{system} {processor}", "use a Linux machine with an x86-64 processor"
    )


def check_python() -> Finding:
    """The lab's Python."""
    version = platform.python_version()
    if sys.version_info >= OLDEST_PYTHON:
        return Finding("python", "ok", version)
    return Finding("python", "fail", f"{version} is too old", "make venv PYTHON=python3.11")


def check_builds() -> Finding:
    """The programs that building images takes."""
    missing = prerequisites.missing_for_builds()
    machine = prerequisites.Machine.look()
    if not missing and not machine.root:
        detail = "complete, but images are built in root file systems, which only root makes"
        return Finding(
            "build programs", "warn", detail, "run the lab as root, or let it pull images"
        )
    if not missing:
        return Finding("build programs", "ok", "complete")
    return Finding(
        "build programs",
        "later" if machine.may_install else "warn",
        f"missing: {', '.join(missing)}"
        + ("; up installs them" if machine.may_install else "; needed unless images are pulled"),
        prerequisites.install_command(missing),
    )


def check_engine() -> Finding:
    """A container engine, or the right to start one."""
    machine = prerequisites.Machine.look()
    try:
        if daemon.exists() and daemon.engine().answers():
            return Finding("container engine", "ok", "the lab's own, running")
        found = find.foreign()
        if found:
            return Finding("container engine", "ok", found.host or "docker's default")
        prerequisites.require_engine_allowed(machine)
    except LabError as error:
        return Finding("container engine", "fail", error.what, error.fix)
    missing = prerequisites.missing_for_engine()
    if not missing:
        return Finding("container engine", "later", "none answers; up starts the lab's own")
    return Finding(
        "container engine",
        "later" if machine.may_install else "fail",
        f"none answers; missing: {', '.join(missing)}",
        prerequisites.install_command(missing),
    )


def check_browser() -> Finding:
    """Chromium, which the browser tests drive and nothing else needs."""
    missing = browser.missing()
    if not missing:
        return Finding("browser", "ok", "chromium")
    machine = prerequisites.Machine.look()
    return Finding(
        "browser",
        "later" if machine.may_install else "warn",
        f"missing for browser tests: {', '.join(missing)}"
        + ("; lab browser installs them" if machine.may_install else ""),
        prerequisites.install_command(missing),
    )


def check_ports() -> Finding:
    """The ports where the platform will listen; the lab's own node may have them already."""
    taken = [str(port) for port in PORTS if not is_free(port)]
    if not taken or paths.CLUSTER.exists():
        return Finding("ports", "ok", f"{LOOPBACK}, {', '.join(map(str, PORTS))}")
    return Finding(
        "ports",
        "fail",
        f"something listens on {LOOPBACK}, port {' and '.join(taken)}",
        f"find it and stop it: ss -ltnp 'sport = :{taken[0]}'",
    )


def check_disk() -> Finding:
    """Room for the cache."""
    cache = cache_root()
    place = next(place for place in (cache, *cache.parents) if place.exists())
    free = shutil.disk_usage(place).free / GIB
    needed = WARM_DISK_GIB if cache.exists() else COLD_DISK_GIB
    if free >= needed:
        return Finding("disk", "ok", f"{free:.0f} GiB free under {place}")
    return Finding(
        "disk",
        "warn",
        f"{free:.0f} GiB free under {place}, {needed} wanted",
        "free some, or point XDG_CACHE_HOME at a roomier disk",
    )


def check_memory() -> Finding:
    """Memory for the platform and the builds."""
    total = memory_gib(Path("/proc/meminfo").read_text(encoding="utf-8"))
    if total >= MEMORY_GIB - 0.5:
        return Finding("memory", "ok", f"{total:.0f} GiB")
    return Finding(
        "memory", "warn", f"{total:.1f} GiB, {MEMORY_GIB} wanted", "close other programs"
    )


def memory_gib(meminfo: str) -> float:
    """Return the machine's memory."""
    kibibytes = next(
        line.split()[1] for line in meminfo.splitlines() if line.startswith("MemTotal")
    )
    return int(kibibytes) * 1024 / GIB


def is_free(port: int) -> bool:
    """Say whether a port on loopback can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def require_ports(node_runs: bool) -> None:
    """Stop before a cluster is made that could not publish its ports."""
    if node_runs:
        return
    finding = check_ports()
    if finding.state == "fail":
        raise LabError(finding.detail, finding.fix)
