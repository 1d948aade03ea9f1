import os
import subprocess
import sys

import pytest

from lab import paths
from lab.engine import daemon, firewall

BEFORE = firewall.Before(had_chains=False, forward_policy="ACCEPT", forwarding="0")


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "engine_run", lambda: tmp_path / "run")
    monkeypatch.setattr(paths, "engine_data", lambda: tmp_path / "data")
    (tmp_path / "run").mkdir()
    return tmp_path


@pytest.fixture
def sleeper():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield child
    child.kill()
    child.wait()
    child.stdin.close()


def record(pid, ticks=None, boot=None):
    ticks = daemon.start_ticks(pid) if ticks is None else ticks
    return daemon.Record(pid, ticks, boot or daemon.boot_id(), BEFORE)


def test_a_record_survives_being_written(place):
    written = record(os.getpid())
    written.save()
    assert daemon.Record.load() == written
    assert written.alive


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"pid": 1}', '{"pid": 1, "firewall": 3}'])
def test_a_damaged_record_counts_as_none(place, damage):
    daemon.record_path().write_text(damage)
    assert daemon.Record.load() is None


def test_a_process_that_took_over_the_number_is_not_ours():
    assert not record(os.getpid(), ticks=daemon.start_ticks(os.getpid()) - 1).alive


def test_a_process_of_another_boot_is_not_ours():
    assert not record(os.getpid(), boot="another").alive


@pytest.mark.parametrize("text", ["", "not a number", "4194305", str(os.getpid())])
def test_a_pid_file_that_names_another_program_is_removed(tmp_path, text):
    pid_file = tmp_path / "containerd.pid"
    pid_file.write_text(text)
    daemon._forget_dead(pid_file)
    assert not pid_file.exists()


def test_stop_spares_a_foreign_process(place, sleeper, monkeypatch):
    monkeypatch.setattr(firewall, "restore", lambda _before: None)
    record(sleeper.pid, ticks=1).save()
    daemon.stop()
    assert sleeper.poll() is None
    assert not (place / "run").exists()


def test_stop_ends_the_process_it_started(place, sleeper, monkeypatch):
    monkeypatch.setattr(firewall, "restore", lambda _before: None)
    record(sleeper.pid).save()
    daemon.stop()
    assert daemon.start_ticks(sleeper.pid) is None


def test_ticks_survive_an_odd_process_name(sleeper):
    assert daemon.start_ticks(sleeper.pid) > 0
    assert daemon.start_ticks(2**22 + 1) is None


@pytest.mark.parametrize(
    ("bounding", "needed"), [("000001fffeffffff", True), ("000001ffffffffff", False)]
)
def test_the_shim_is_for_machines_that_withhold_the_capability(tmp_path, bounding, needed):
    status = tmp_path / "status"
    status.write_text(f"Name:\tx\nCapBnd:\t{bounding}\n")
    assert daemon.needs_shim(status) is needed


def test_the_daemon_has_everything_to_itself(place):
    words = daemon.command(place / "run", shim=False)
    own = ["--data-root", "--exec-root", "--pidfile", "--host", "--config-file"]
    values = [words[words.index(option) + 1] for option in own]
    assert all(str(place) in value for value in values)
    assert words[words.index("--bridge") + 1] == "none"
    assert "--default-runtime" not in words
    assert "--default-runtime" in daemon.command(place / "run", shim=True)


def test_the_users_engine_is_not_in_the_daemons_environment(place, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///somewhere")
    assert "DOCKER_HOST" not in daemon.environment(place)


def test_mounts_are_found_innermost_first(tmp_path):
    table = tmp_path / "mounts"
    table.write_text(
        "x /run/lab tmpfs rw\nx /run/lab/a tmpfs rw\nx /run/lab/a/b nsfs rw\nx /run/lab2 x rw\n"
    )
    found = daemon.mounts_below(daemon.Path("/run/lab"), table)
    assert found == ["/run/lab/a/b", "/run/lab/a"]
