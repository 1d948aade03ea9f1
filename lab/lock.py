"""One lab command at a time: a lock that a killed holder gives up by itself."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from lab import paths
from lab.cache import cache_root
from lab.report import Report


@contextmanager
def hold(report: Report) -> Iterator[int]:
    """Hold the lab's lock, waiting for it if need be; yields its file descriptor.

    A program that inherits the descriptor keeps the lock after this process has gone.
    """
    path = cache_root() / "lab.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, paths.PRIVATE_FILE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode().strip()
            report.say(f"waiting for another lab command (process {holder}) to finish")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)
