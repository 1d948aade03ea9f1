import subprocess
import sys

import pytest

from lab import lock, paths
from lab.report import SilentReport

HOLD = """
import sys, time
from pathlib import Path
from lab import lock
from lab.report import SilentReport
lock.cache_root = lambda: Path(sys.argv[1])
with lock.hold(SilentReport()):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "cache_root", lambda: tmp_path)
    return tmp_path


def test_a_killed_holder_leaves_the_lock_to_the_next(cache):
    command = [sys.executable, "-c", HOLD, str(cache)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=paths.CHECKOUT) as holder:
        assert holder.stdout.readline() == b"held\n"
        holder.kill()
    with lock.hold(SilentReport()):
        pass


def test_the_lock_can_be_taken_again():
    for _ in range(2):
        with lock.hold(SilentReport()) as descriptor:
            assert descriptor > 0
