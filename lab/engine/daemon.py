"""The lab's own container engine: a ``dockerd`` apart from any other on the machine.

It has its own data, socket and processes, no default bridge and no configuration file, so nothing
else sees it. Everything here converges: a daemon that died, was killed or belongs to an earlier
boot is recognised by its record and replaced.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from lab import paths
from lab.engine import firewall
from lab.engine.client import Engine
from lab.errors import LabError
from lab.process import run, succeeds

SYS_RESOURCE = 24  # the capability's number
# Where a user's PATH leaves these out, dockerd would miss iptables and runc.
SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"
RUNTIME = "lab-runtime"
# Debian 12's Docker, and its interface.
OLD_RELEASE, OLD_API_VERSION = "20.10", "1.41"
START_SECONDS = 60
STOP_SECONDS = 40


@dataclass(frozen=True)
class Record:
    """What was started: enough to know it again, and never to take another process for it."""

    pid: int
    start_ticks: int
    boot_id: str
    firewall: firewall.Before

    def save(self) -> None:
        """Write it down beside the engine's socket."""
        paths.write_private(record_path(), json.dumps(asdict(self)))

    @classmethod
    def load(cls) -> "Record | None":
        """Return the last one written, None where there is none or it is damaged."""
        try:
            raw = json.loads(record_path().read_text(encoding="utf-8"))
            return cls(**{**raw, "firewall": firewall.Before(**raw["firewall"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    @property
    def alive(self) -> bool:
        """Say whether that very process still runs."""
        return self.boot_id == boot_id() and start_ticks(self.pid) == self.start_ticks


def record_path() -> Path:
    """Return where the record lies."""
    return paths.engine_run() / "daemon.json"


def engine() -> Engine:
    """Return the lab's own engine, whether or not it runs."""
    host = f"unix://{paths.engine_run() / 'docker.sock'}"
    return Engine(host=host, ours=True, api_version=api_version())


def api_version() -> str:
    """Return the interface's version where it is so old that new clients would not try it."""
    program = shutil.which("dockerd", path=search_path())
    said = run([program, "--version"], check=False).stdout if program else ""
    return OLD_API_VERSION if f" version {OLD_RELEASE}" in said else ""


def search_path() -> str:
    """Return where programs are looked for: root's directories, too, whoever asks."""
    return f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_PATH}"


def exists() -> bool:
    """Say whether it may run, or may hold containers."""
    containers = paths.engine_data() / "data" / "containers"
    return paths.engine_run().exists() or (containers.exists() and any(containers.iterdir()))


def start() -> Engine:
    """Start it unless it runs; return it once it answers."""
    record = Record.load()
    if record and record.alive:
        _await(engine(), record.pid)
        return engine()
    before = record.firewall if record and record.boot_id == boot_id() else firewall.look()
    directory = paths.make_private(paths.engine_run())
    paths.make_private(paths.engine_data())
    (directory / "docker.pid").unlink(missing_ok=True)
    _forget_dead(directory / "exec/containerd/containerd.pid")
    pid = _spawn(command(directory, needs_shim()), environment(directory))
    ticks = start_ticks(pid)
    if ticks is not None:
        Record(pid, ticks, boot_id(), before).save()
    _await(engine(), pid)
    return engine()


def stop() -> None:
    """Stop it and remove all of it but its data; only ever signals the process it started."""
    record = Record.load()
    if record and record.alive:
        _end(record)
    directory = paths.engine_run()
    for mount in mounts_below(directory):
        succeeds(["umount", "--lazy", mount])
    if record and record.boot_id == boot_id():
        firewall.restore(record.firewall)
    shutil.rmtree(directory, ignore_errors=True)
    for empty in (Path("/run/containerd/s"), Path("/run/containerd")):
        with contextlib.suppress(OSError):
            empty.rmdir()


def command(directory: Path, shim: bool) -> list[str]:
    """Return dockerd's command line."""
    words = [
        "dockerd",
        # An empty file, so that the machine's own daemon.json has no say.
        *("--config-file", str(directory / "daemon-config.json")),
        *("--data-root", str(paths.engine_data() / "data")),
        *("--exec-root", str(directory / "exec")),
        *("--pidfile", str(directory / "docker.pid")),
        *("--host", f"unix://{directory / 'docker.sock'}"),
        *("--bridge", "none"),
        *("--log-level", "warn"),
    ]
    if shim:
        runtime = f"lab={directory / RUNTIME}"
        words += ["--add-runtime", runtime, "--default-runtime", "lab"]
    return words


def environment(directory: Path) -> dict[str, str]:
    """Return dockerd's environment; the engine's own directory leads PATH."""
    foreign = {"DOCKER_HOST", "DOCKER_API_VERSION", "DOCKER_CONTEXT"}
    kept = {name: value for name, value in os.environ.items() if name not in foreign}
    kept["PATH"] = f"{directory}:{search_path()}"
    return kept


def needs_shim(status: Path = Path("/proc/self/status")) -> bool:
    """Say whether this machine withholds CAP_SYS_RESOURCE from everything that runs on it."""
    for line in status.read_text(encoding="utf-8").splitlines():
        if line.startswith("CapBnd:"):
            return not int(line.split()[1], 16) >> SYS_RESOURCE & 1
    return False


def boot_id() -> str:
    """Return what tells one boot of the machine from the next."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()


def start_ticks(pid: int) -> int | None:
    """Return when a process started, in ticks since boot; None when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    # The name, in brackets, may hold spaces and brackets itself; the state follows it.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


def mounts_below(directory: Path, table: Path = Path("/proc/self/mounts")) -> list[str]:
    """Return the mount points under a directory, innermost first."""
    points = [line.split()[1] for line in table.read_text(encoding="utf-8").splitlines()]
    return sorted(point for point in points if Path(directory) in Path(point).parents)[::-1]


def _spawn(words: list[str], variables: dict[str, str]) -> int:
    directory = paths.engine_run()
    paths.write_private(directory / "daemon-config.json", "{}\n")
    if needs_shim():
        _install_runtime(directory)
    _install_iptables(directory)
    log = (paths.engine_data() / "dockerd.log").open("w", encoding="utf-8")
    with log:
        try:
            started = subprocess.Popen(
                words,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Its own session: Ctrl-C in the terminal is not meant for it.
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise LabError(
                "the container engine cannot start: there is no dockerd on this machine",
                "python -m lab doctor",
            ) from error
    return started.pid


def _forget_dead(pid_file: Path) -> None:
    """Remove the file if its number is another program's by now; dockerd would believe it."""
    try:
        pid = int(pid_file.read_text(encoding="utf-8"))
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        name = ""
    if name != "containerd":
        pid_file.unlink(missing_ok=True)


def _install_runtime(directory: Path) -> None:
    """Put the shim beside the socket, so that it outlives the checkout it came from."""
    shim = directory / "shim.py"
    shutil.copyfile(Path(__file__).with_name("shim.py"), shim)
    runtime = directory / RUNTIME
    runc = shutil.which("runc", path=search_path()) or "runc"
    runtime.write_text(
        f'#!/bin/sh\nMAAS_LAB_RUNC="{runc}" exec "{sys.executable}" -IS "{shim}" "$@"\n',
        encoding="utf-8",
    )
    runtime.chmod(0o700)


def _install_iptables(directory: Path) -> None:
    """Where the kernel knows no nftables, lead dockerd to the older iptables."""
    for name in ("iptables", "ip6tables"):
        legacy = shutil.which(f"{name}-legacy", path="/usr/sbin:/sbin")
        if legacy and not succeeds([name, "--table", "nat", "--list-rules"]):
            (directory / name).unlink(missing_ok=True)
            (directory / name).symlink_to(legacy)


def _await(own: Engine, pid: int) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if own.answers():
            return
        if start_ticks(pid) is None:
            break
        time.sleep(0.3)
    log = paths.engine_data() / "dockerd.log"
    last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]
    raise LabError(
        "the lab's container engine does not answer; its last lines:\n  " + "\n  ".join(last),
        f"see {log}; python -m lab down, then up again, starts it anew",
    )


def _end(record: Record) -> None:
    os.kill(record.pid, signal.SIGTERM)
    until = time.monotonic() + STOP_SECONDS
    while record.alive and time.monotonic() < until:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(record.pid, os.WNOHANG)
        time.sleep(0.2)
    if record.alive:
        os.kill(record.pid, signal.SIGKILL)
        time.sleep(1)
