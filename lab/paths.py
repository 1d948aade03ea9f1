"""Where the lab keeps things: in the checkout's ``.lab`` and in a cache outside the checkout."""

import hashlib
import os
from pathlib import Path

from lab.cache import cache_root

CHECKOUT = Path(__file__).resolve().parents[1]
LAB = CHECKOUT / ".lab"

ENV = LAB / "env"
FACTS = LAB / "lab.json"
KUBECONFIG = LAB / "kubeconfig"
CLUSTER = LAB / "cluster.json"
KIND_CONFIG = LAB / "kind.yaml"
CA = LAB / "ca.crt"
SIGNING_KEY = LAB / "sa.key"
LOGIN_CA = LAB / "login-ca.crt"
LOGIN_CERTIFICATE = LAB / "login.crt"
LOGIN_KEY = LAB / "login.key"
IDENTITIES = LAB / "identities"
CHARTS = LAB / "charts"
BIN = LAB / "bin"
LOGS = LAB / "logs"
MIRRORS = LAB / "certs.d"

PRIVATE_DIRECTORY = 0o700
PRIVATE_FILE = 0o600


def engine_data() -> Path:
    """Return where the lab's own container engine keeps images and containers."""
    return cache_root() / "engine"


def engine_run() -> Path:
    """Return where that engine keeps sockets and processes; socket paths have to be short."""
    return Path("/run") / f"maas-lab-{_cache_mark()}"


def bridge() -> str:
    """Return the name of the network's bridge: one for each cache, at most 15 characters."""
    return f"maas-{_cache_mark()}"


def registry_data() -> Path:
    """Return where the registry keeps what was pushed to it."""
    return cache_root() / "registry"


def _cache_mark() -> str:
    return hashlib.sha256(str(cache_root()).encode()).hexdigest()[:8]


def make_private(directory: Path) -> Path:
    """Make a directory that only its owner may enter."""
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(PRIVATE_DIRECTORY)
    return directory


def write_private(path: Path, text: str) -> None:
    """Write a file only its owner may read, whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    partial.replace(path)
