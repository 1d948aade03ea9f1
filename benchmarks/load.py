# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Calls, one after the other, over connections that stay open."""

from __future__ import annotations

import http.client
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.lab import BenchmarkError

_BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Say hello."}]}).encode()
_WARM_SECONDS = 120.0
_WARM_CALLS = 30


@dataclass
class Caller:
    """Somebody who calls one route; how long each call took, in milliseconds."""

    name: str
    where: tuple[str, int]
    host: str
    path: str
    token: str = field(repr=False)
    times: list[float] = field(default_factory=list)
    _connection: http.client.HTTPConnection | None = None

    def call(self) -> int:
        """Call once; return the status and note the time."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(*self.where, timeout=10)
        headers = {
            "Host": self.host,
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self.token}",
        }
        started = time.perf_counter()
        try:
            self._connection.request("POST", self.path, _BODY, headers)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = None
            return 0
        self.times.append((time.perf_counter() - started) * 1000)
        return answer.status

    def warm(self) -> None:
        """Call until the route has answered many times in a row; then forget the times."""
        end, good, status = time.monotonic() + _WARM_SECONDS, 0, 0
        while good < _WARM_CALLS:
            if time.monotonic() > end:
                raise BenchmarkError(f"route {self.name} answers {status} after {_WARM_SECONDS} s")
            status = self.call()
            good = good + 1 if status == 200 else 0
            if status != 200:
                time.sleep(0.2)
        self.times.clear()

    @property
    def median(self) -> float:
        """Return the time that half of the calls took at most."""
        return statistics.median(self.times)

    @property
    def mean(self) -> float:
        """Return the mean time."""
        return statistics.fmean(self.times)

    @property
    def slow(self) -> float:
        """Return the time that 95 of 100 calls took at most."""
        return statistics.quantiles(self.times, n=20)[-1]


def take_turns(callers: Sequence[Caller], rounds: int, calls: int) -> int:
    """Let callers call in turns, so that other work on the machine meets all; return failures."""
    failures = 0
    for _round in range(rounds):
        for caller in callers:
            failures += sum(caller.call() != 200 for _call in range(calls))
    return failures
