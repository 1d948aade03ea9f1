"""What the lab needs from the machine's package manager, and installing it where it may."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from lab.engine import daemon, find
from lab.engine.client import Engine
from lab.errors import LabError
from lab.process import run
from lab.report import Report

FORBID_VARIABLE = "LAB_INSTALL_ENGINE"
# Programs that building images takes, and the Debian packages which have them.
BUILD_PROGRAMS = {"mmdebstrap": "mmdebstrap", "git": "git"}
BUILD_FILES = {"/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring"}
ENGINE_PROGRAMS = {"dockerd": "docker.io", "docker": "docker.io", "iptables": "iptables"}


@dataclass(frozen=True)
class Machine:
    """What is allowed here."""

    apt: bool
    root: bool
    forbidden: bool

    @classmethod
    def look(cls) -> "Machine":
        """Look at this machine."""
        release = Path("/etc/os-release")
        text = release.read_text(encoding="utf-8") if release.exists() else ""
        return cls(
            apt=is_debian(text) and shutil.which("apt-get") is not None,
            root=os.geteuid() == 0,
            forbidden=os.environ.get(FORBID_VARIABLE, "") == "0",
        )

    @property
    def may_install(self) -> bool:
        """Say whether the lab may install packages by itself."""
        return self.apt and self.root


def is_debian(os_release: str) -> bool:
    """Say whether an os-release file is Debian's or a derivative's."""
    values = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    words = f"{values.get('ID', '')} {values.get('ID_LIKE', '')}".replace('"', " ").split()
    return "debian" in words or "ubuntu" in words


def missing_for_builds() -> list[str]:
    """Return the Debian packages that building images still needs."""
    programs = [package for name, package in BUILD_PROGRAMS.items() if not shutil.which(name)]
    files = [package for path, package in BUILD_FILES.items() if not Path(path).exists()]
    return sorted({*programs, *files})


def missing_for_engine() -> list[str]:
    """Return the Debian packages that the lab's own engine still needs."""
    search = daemon.search_path()
    return sorted(
        {
            package
            for name, package in ENGINE_PROGRAMS.items()
            if not shutil.which(name, path=search)
        }
    )


def install_command(packages: list[str]) -> str:
    """Return the command that installs packages, for people to run."""
    return f"apt-get update && apt-get install --yes --no-install-recommends {' '.join(packages)}"


def install(packages: list[str], machine: Machine, report: Report, log: Path) -> None:
    """Install packages, or say who has to."""
    if not packages:
        return
    if not machine.may_install:
        who = "as root" if machine.apt else "(Debian's names; use your distribution's)"
        raise LabError(
            f"missing from this machine: {', '.join(packages)}",
            f"{who}: {install_command(packages)}",
        )
    report.say(f"installing from this machine's package sources: {', '.join(packages)}")
    with report.stage(f"install {', '.join(packages)}"):
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
        if run(command, env=quiet, log=log, check=False).returncode != 0:
            # The package lists may be missing or old, as in a fresh container.
            run(["apt-get", "update"], env=quiet, log=log)
            run(command, env=quiet, log=log, fix=install_command(packages))


def connect(report: Report, log: Path) -> tuple[Engine, bool]:
    """Return an engine that answers, and whether it had to be started.

    The lab's own where it runs already, else the one that is there, else the lab's own anew.
    """
    running = find.running()
    if running:
        return running, False
    machine = Machine.look()
    require_engine_allowed(machine)
    install(missing_for_engine(), machine, report, log)
    # On a machine with an init system the package has started one.
    other = find.foreign()
    if other:
        return other, False
    return daemon.start(), True


def require_engine_allowed(machine: Machine) -> None:
    """Refuse to install or start an engine where that is not wanted or not possible."""
    if machine.forbidden:
        raise LabError(
            f"no container engine answers, and {FORBID_VARIABLE}=0 forbids starting one",
            "start Docker, or set DOCKER_HOST to an engine on this machine",
        )
    if not machine.root:
        raise LabError(
            "no container engine answers, and only root can start one",
            "start Docker and let this user use it, or run the lab as root",
        )
