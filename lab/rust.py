"""Building the stand-ins with Debian's own Rust, in a private root: the host needs no compiler.

The root is unpacked, never installed, and entered by chroot in a mount namespace of its own, so
that neither the host nor the checkout changes, and nothing stays mounted whatever happens.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import tomllib
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import debian
from lab.cache import cache_root, file_digest
from lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Log = Callable[[str], None]

STANDINS = Path(__file__).resolve().parent / "standins"
# A released suite: compiler and the standard library for WebAssembly come from one source package
# there, so they always fit each other.
SUITE = "trixie"
PACKAGES = (
    *("cargo", "rustc", "rustfmt", "rust-clippy", "libstd-rust-dev-wasm32"),
    # Linkers for both targets, and the C library that the limit server is linked with.
    *("gcc", "libc6-dev", "lld-19"),
    *("bash", "coreutils"),
)
FILTER_TARGET = "wasm32-wasip1"
# The limit server runs in an image that holds nothing else.
STATIC = "-Ctarget-feature=+crt-static"
TAIL_LINES = 30

# One dependency needs a language feature that is in every later compiler without being asked for.
_WRAPPER = """\
#!/bin/bash
case " $* " in
*" --crate-name cel "*)
    export RUSTC_BOOTSTRAP=1
    exec "$@" '-Zcrate-attr=feature(trait_upcasting)' ;;
*) exec "$@" ;;
esac
"""
# Runs in the new mount namespace: root, sources, cargo's home, build output, and then a program.
_ENTER = """\
set -eu
root=$1; mount --rbind /proc "$root/proc"; mount --rbind /dev "$root/dev"
mount --bind "$2" "$root/src"; mount -o remount,bind,ro "$root/src"
mount --bind "$3" "$root/cargo"; mount --bind "$4" "$root/target"
shift 4
exec chroot "$root" "$@"
"""
# What a machine may have set up for the way to a registry.
_PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_REGISTRY_TABLES = ("http", "net", "registries", "registry", "source")
_CA_VARIABLES = ("CARGO_HTTP_CAINFO", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
_CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def build_filter(out: Path, log: Log) -> Path:
    """Build the WebAssembly filter as ``plugin.wasm`` in the directory ``out``."""
    with _toolchain(log) as toolchain:
        toolchain.cargo("build", "--release", "--package=standins-filter", target=FILTER_TARGET)
        made = toolchain.output / FILTER_TARGET / "release" / "standins_filter.wasm"
        return _copy(made, out / "plugin.wasm")


def build_limit_server(out: Path, log: Log) -> Path:
    """Build the static program ``limitador-server`` in the directory ``out``."""
    target = f"{_machine()}-unknown-linux-gnu"
    with _toolchain(log) as toolchain:
        words = ("--release", "--package=standins-limit-server")
        toolchain.cargo("build", *words, target=target, flags=STATIC)
        made = toolchain.output / target / "release" / "limitador-server"
        return _copy(made, out / "limitador-server")


def run_tests(log: Log) -> None:
    """Check format and lints of the stand-ins' sources and run their tests."""
    with _toolchain(log) as toolchain:
        toolchain.run(["cargo", "fmt", "--all", "--check"])
        deny = ("--", "--deny=warnings")
        toolchain.cargo("clippy", "--workspace", "--all-targets", *deny)
        toolchain.cargo("clippy", "--package=standins-filter", *deny, target=FILTER_TARGET)
        toolchain.cargo("test", "--workspace", "--quiet")


def source_digest() -> str:
    """Return a digest of all that decides what is built: sources, compiler and settings."""
    digest = hashlib.sha256(json.dumps([_toolchain_key(), _settings(), STATIC]).encode())
    for path in sorted(STANDINS.rglob("*")):
        name = path.relative_to(STANDINS)
        if path.is_file() and not {"target", "tests"} & set(name.parts) and path.suffix != ".md":
            digest.update(f"{name} {file_digest(path)}\n".encode())
    return digest.hexdigest()


class _Toolchain:
    """The unpacked root, ready to run programs in."""

    def __init__(self, home: Path, log: Log) -> None:
        self.root = home / _toolchain_key() / "root"
        self.output = home / _toolchain_key() / "target"
        self.registry = home / "cargo"
        self.log = log

    def prepare(self) -> None:
        """Unpack the root unless it is there, and bring the machine's network settings into it."""
        if not self.root.exists():
            self.log(f"unpacking Rust from Debian {SUITE}")
            partial = self.root.with_name("root.partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.parent.mkdir(parents=True, exist_ok=True)
            debian.make_root(SUITE, PACKAGES, partial, partial.with_name("unpack.log"))
            for name in ("src", "cargo", "target", "proc", "dev"):
                (partial / name).mkdir(exist_ok=True)
            wrapper = partial / "usr/local/bin/rustc-wrapper"
            wrapper.parent.mkdir(parents=True, exist_ok=True)
            wrapper.write_text(_WRAPPER, encoding="utf-8")
            wrapper.chmod(0o755)
            partial.rename(self.root)
        self.output.mkdir(exist_ok=True)
        self.registry.mkdir(exist_ok=True)
        (self.registry / "config.toml").write_text(_registry_settings(), encoding="utf-8")
        certificates = self.root / _CA_BUNDLE.lstrip("/")
        certificates.parent.mkdir(parents=True, exist_ok=True)
        for source, target in (
            (_certificates(), certificates),
            (Path("/etc/resolv.conf"), self.root / "etc/resolv.conf"),
            (Path("/etc/hosts"), self.root / "etc/hosts"),
        ):
            if source.exists():
                target.unlink(missing_ok=True)
                shutil.copyfile(source, target)

    def cargo(self, command: str, *words: str, target: str = "", flags: str = "") -> None:
        """Run cargo on what Cargo.lock says, having fetched it.

        Flags are for the compiler, and for what is built for ``target`` only.
        """
        self.run(["cargo", "fetch", "--locked", "--quiet"])
        wanted = [f"--target={target}"] if target else []
        extra = {f"CARGO_TARGET_{_shout(target)}_RUSTFLAGS": flags} if flags else {}
        self.run(["cargo", command, "--frozen", *wanted, *words], extra)

    def run(self, argv: Sequence[str], extra: Mapping[str, str] | None = None) -> None:
        """Run a program in the root, in the sources' directory."""
        enter = ["unshare", "--mount", "--propagation=private", "sh", "-c", _ENTER, "sh"]
        places = [str(path) for path in (self.root, STANDINS, self.registry, self.output)]
        program = ["env", "--chdir=/src", *argv]
        tail: deque[str] = deque(maxlen=TAIL_LINES)
        with subprocess.Popen(
            [*enter, *places, *program],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**_settings(), **_network(), **(extra or {})},
            text=True,
            errors="replace",
        ) as process:
            try:
                for line in process.stdout or ():
                    tail.append(line.rstrip())
                    self.log(tail[-1])
            except BaseException:
                process.kill()
                raise
        if process.returncode != 0:
            said = "\n".join(f"  {line}" for line in tail)
            raise LabError(
                f"{' '.join(argv[:2])} on lab/standins ended with {process.returncode}:\n{said}",
                "run it again if a download failed",
            )


@contextlib.contextmanager
def _toolchain(log: Log) -> Iterator[_Toolchain]:
    """Prepare the toolchain and keep it to one user at a time."""
    if os.geteuid() != 0:
        raise LabError(
            "the stand-ins are built in a chroot, which only root may enter",
            "run the lab as root, or with LAB_IMAGES=upstream",
        )
    home = cache_root() / "rust"
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        toolchain = _Toolchain(home, log)
        toolchain.prepare()
        yield toolchain


def _toolchain_key() -> str:
    settings = [SUITE, sorted(PACKAGES), _machine(), _WRAPPER]
    return hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]


def _machine() -> str:
    return {"arm64": "aarch64", "amd64": "x86_64"}.get(platform.machine(), platform.machine())


def _shout(target: str) -> str:
    return target.upper().replace("-", "_")


def _settings() -> dict[str, str]:
    """Return the environment of programs in the root."""
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/cargo",
        "CARGO_HOME": "/cargo",
        "CARGO_TARGET_DIR": "/target",
        "CARGO_INCREMENTAL": "0",
        "CARGO_TERM_COLOR": "never",
        "CARGO_HTTP_CAINFO": _CA_BUNDLE,
        "RUSTC_WRAPPER": "/usr/local/bin/rustc-wrapper",
        f"CARGO_TARGET_{_shout(_machine())}_UNKNOWN_LINUX_GNU_LINKER": "gcc",
        f"CARGO_TARGET_{_shout(FILTER_TARGET)}_LINKER": "wasm-ld-19",
    }


def _network() -> dict[str, str]:
    """Return what this machine's environment says about the way to the registry."""
    names = {*_PROXY_VARIABLES, *(name.upper() for name in _PROXY_VARIABLES)}
    return {
        name: value
        for name, value in os.environ.items()
        if name in names or name.startswith("CARGO_REGISTR")
    }


def _certificates() -> Path:
    """Return the certificate authorities that this machine trusts."""
    return next(
        (Path(os.environ[name]) for name in _CA_VARIABLES if name in os.environ), Path(_CA_BUNDLE)
    )


def _registry_settings() -> str:
    """Return what the user's own cargo configuration says about registries, as TOML.

    The rest of it, such as linkers and flags, is about the user's compiler.
    """
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    for path in (home / "config.toml", home / "config"):
        if path.is_file():
            settings = tomllib.loads(path.read_text(encoding="utf-8"))
            tables = {name: settings[name] for name in _REGISTRY_TABLES if name in settings}
            return "".join(_toml(tables))
    return ""


def _toml(tables: dict[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield tables of plain values as TOML; JSON writes strings, numbers and lists the same."""
    for name, value in tables.items():
        path = (*prefix, name)
        if isinstance(value, dict):
            yield from _toml(value, path)
        else:
            yield f"{'.'.join(json.dumps(part) for part in path)} = {json.dumps(value)}\n"


def _copy(made: Path, target: Path) -> Path:
    """Copy a product to its place, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    shutil.copyfile(made, partial)
    partial.chmod(0o755)
    return partial.replace(target)
