import json
import os
import subprocess
import tomllib

import pytest

from lab import rust
from lab.errors import LabError


@pytest.fixture
def sources(monkeypatch, tmp_path):
    """A tree of sources in the stand-ins' place."""
    tree = tmp_path / "standins"
    (tree / "filter" / "src").mkdir(parents=True)
    (tree / "filter" / "src" / "lib.rs").write_text("// one\n")
    monkeypatch.setattr(rust, "STANDINS", tree)
    return tree


@pytest.fixture
def toolchain(monkeypatch, tmp_path, sources):
    """A toolchain whose programs are only looked at."""
    calls = []

    class Process:
        returncode = 0
        stdout = ("one line\n", "another\n")

        def __init__(self, argv, env, **_options):
            calls.append((argv, env))

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def kill(self):
            pass

    monkeypatch.setattr(subprocess, "Popen", Process)
    lines = []
    made = rust._Toolchain(tmp_path / "home", lines.append)
    return made, calls, lines, Process


def test_the_digest_is_of_what_is_built(sources, monkeypatch):
    first = rust.source_digest()
    (sources / "README.md").write_text("words\n")
    (sources / "filter" / "tests").mkdir()
    (sources / "filter" / "tests" / "a.rs").write_text("// test\n")
    (sources / "target").mkdir()
    (sources / "target" / "made").write_text("made\n")
    assert rust.source_digest() == first
    (sources / "filter" / "src" / "lib.rs").write_text("// two\n")
    second = rust.source_digest()
    assert second != first
    monkeypatch.setattr(rust, "SUITE", "another")
    assert rust.source_digest() != second


def test_cargo_keeps_to_the_lock_file_and_enters_a_namespace_of_its_own(toolchain):
    made, calls, lines, _ = toolchain
    made.cargo("build", "--release", target="wasm32-wasip1")
    (fetch, _), (build, environment) = calls
    assert fetch[:3] == ["unshare", "--mount", "--propagation=private"]
    assert fetch[-4:] == ["cargo", "fetch", "--locked", "--quiet"]
    assert build[-5:] == ["cargo", "build", "--frozen", "--target=wasm32-wasip1", "--release"]
    assert environment["CARGO_TARGET_WASM32_WASIP1_LINKER"] == "wasm-ld-19"
    assert not [name for name in environment if name.endswith("_RUSTFLAGS")]
    assert lines == ["one line", "another"] * 2


def test_flags_are_for_the_target_only(toolchain):
    made, calls, _, _ = toolchain
    made.cargo("build", target="x86_64-unknown-linux-gnu", flags=rust.STATIC)
    (_, fetch), (_, build) = calls
    name = "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS"
    assert name not in fetch
    assert build[name] == rust.STATIC


def test_the_machines_own_rust_settings_stay_outside_and_its_network_comes_in(
    toolchain, monkeypatch
):
    monkeypatch.setenv("RUSTFLAGS", "--cfg=surprise")
    monkeypatch.setenv("CARGO_BUILD_TARGET", "riscv64gc-unknown-linux-gnu")
    monkeypatch.setenv("CARGO_REGISTRIES_OURS_TOKEN", "not-for-argv")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    made, calls, _, _ = toolchain
    made.run(["cargo", "version"])
    argv, environment = calls[0]
    assert "RUSTFLAGS" not in environment
    assert "CARGO_BUILD_TARGET" not in environment
    assert environment["HTTPS_PROXY"] == "http://proxy.test:3128"
    assert environment["CARGO_REGISTRIES_OURS_TOKEN"] == "not-for-argv"
    assert "not-for-argv" not in json.dumps(argv)


def test_a_failure_says_what_failed_and_repeats_the_last_lines(toolchain):
    made, _, _, process = toolchain
    process.returncode = 101
    with pytest.raises(
        LabError, match=r"cargo version on lab/standins ended with 101:\n  one line"
    ):
        made.run(["cargo", "version"])


def test_of_the_users_cargo_settings_only_registries_are_taken(monkeypatch, tmp_path):
    monkeypatch.setenv("CARGO_HOME", str(tmp_path))
    assert rust._registry_settings() == ""
    (tmp_path / "config.toml").write_text(
        "[build]\nrustflags = ['-C', 'x']\n[source.crates-io]\nreplace-with = 'ours'\n"
        "[source.ours]\nregistry = 'sparse+https://mirror.test/index/'\n[net]\nretry = 5\n"
    )
    assert tomllib.loads(rust._registry_settings()) == {
        "source": {
            "crates-io": {"replace-with": "ours"},
            "ours": {"registry": "sparse+https://mirror.test/index/"},
        },
        "net": {"retry": 5},
    }


def test_only_root_can_build(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match="only root may enter") as caught:
        rust.build_filter(tmp_path, print)
    assert "LAB_IMAGES=upstream" in caught.value.fix


def test_a_product_is_copied_whole_and_can_be_run(tmp_path):
    made = tmp_path / "made"
    made.write_bytes(b"program")
    target = rust._copy(made, tmp_path / "out" / "limitador-server")
    assert target.read_bytes() == b"program"
    assert target.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in target.parent.iterdir()] == ["limitador-server"]
