# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""A steady trickle of requests, and a record of every answer.

Each caller asks the same question a few times a second, on a thread and on connections of its
own, until it is stopped or its time is over: nothing here outlives a test that hangs.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

from wire import Answer

Ask = Callable[[], Answer]

#: Stands for a status where a connection broke before there was one.
NO_ANSWER = 0


@dataclass(frozen=True)
class Call:
    """One request: when it was sent and answered (seconds since 1970), and with what."""

    caller: str
    sent: float
    answered: float
    status: int
    detail: str

    def __str__(self) -> str:
        clock = time.strftime("%H:%M:%S", time.gmtime(self.sent))
        when = f"{clock}.{int(self.sent % 1 * 1000):03d}+{self.answered - self.sent:.2f}s"
        return f"{when} {self.caller}: {self.status} {self.detail}".rstrip()


class Caller:
    """Asks one question again and again."""

    def __init__(self, name: str, ask: Ask, every_seconds: float, until: float) -> None:
        self.name = name
        self._ask = ask
        self._every = every_seconds
        self._until = until
        self._calls: list[Call] = []
        self._stopped = threading.Event()
        self._heard = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def calls(self, since: float = 0.0) -> list[Call]:
        """Return every call sent at or after this time."""
        with self._heard:
            return [call for call in self._calls if call.sent >= since]

    def statuses(self, since: float = 0.0) -> list[int]:
        """Return the answers in their order, those alike in a row as one: [200, 429]."""
        return [status for status, _same in groupby(call.status for call in self.calls(since))]

    def first(self, status: int, since: float = 0.0) -> Call:
        """Return the first answer with this status."""
        return next(call for call in self.calls(since) if call.status == status)

    def hear(self, status: int, seconds: float = 10.0) -> Call:
        """Wait for the next answer to a call not yet sent; it must come to have this status."""
        start, deadline = time.time(), time.monotonic() + seconds
        with self._heard:
            while True:
                found = [call for call in self._calls if call.sent >= start]
                if found and found[-1].status == status:
                    return found[-1]
                left = deadline - time.monotonic()
                if left <= 0 or not self._heard.wait(left):
                    last = found[-1] if found else "no answer at all"
                    raise AssertionError(f"{self.name}: no {status} in {seconds} s, but {last}")

    def stop(self) -> None:
        """Ask no more; the answer under way still counts."""
        self._stopped.set()
        self._thread.join(timeout=70)

    def _run(self) -> None:
        while not self._stopped.is_set() and time.monotonic() < self._until:
            call = self._call()
            with self._heard:
                self._calls.append(call)
                self._heard.notify_all()
            self._stopped.wait(max(0.0, call.sent + self._every - time.time()))

    def _call(self) -> Call:
        sent = time.time()
        try:
            answer = self._ask()
        except (OSError, http.client.HTTPException) as exc:
            return Call(self.name, sent, time.time(), NO_ANSWER, f"{type(exc).__name__}: {exc}")
        detail = "" if answer.status == 200 else answer.body[:120].decode(errors="replace").strip()
        return Call(self.name, sent, time.time(), answer.status, detail)


class Trickle:
    """All callers of a test run; some must hear one answer always."""

    def __init__(self, every_seconds: float = 0.4, at_most_seconds: float = 1200.0) -> None:
        self._every = every_seconds
        self._until = time.monotonic() + at_most_seconds
        self._callers: list[Caller] = []
        self._expected: list[tuple[Caller, int]] = []
        self._may_fail: list[Caller] = []

    def follow(
        self, name: str, ask: Ask, every_seconds: float | None = None, *, may_fail: bool = False
    ) -> Caller:
        """Start a caller whose answers a test reads itself, each 5xx too where it may fail."""
        caller = Caller(name, ask, every_seconds or self._every, self._until)
        self._callers.append(caller)
        if may_fail:
            self._may_fail.append(caller)
        return caller

    def expect(self, name: str, ask: Ask, status: int, every_seconds: float | None = None) -> None:
        """Start a caller whose every answer must have this status, whatever changes."""
        self._expected.append((self.follow(name, ask, every_seconds), status))

    def wrong(self, since: float) -> list[str]:
        """Return every answer that was not the expected one, and every 5xx of any caller."""
        found = [
            call
            for caller, status in self._expected
            for call in caller.calls(since)
            if call.status != status
        ]
        found += [
            call
            for caller in self._callers
            if caller not in self._may_fail
            for call in caller.calls(since)
            if (call.status >= 500 or call.status == NO_ANSWER) and call not in found
        ]
        return [str(call) for call in sorted(found, key=lambda call: call.sent)]

    def heard(self, since: float) -> int:
        """Return how many calls were made."""
        return sum(len(caller.calls(since)) for caller in self._callers)

    def stop(self) -> None:
        """Stop every caller."""
        for caller in self._callers:
            caller.stop()
