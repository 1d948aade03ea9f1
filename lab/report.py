"""Progress by stage: what runs, how long it took, what was cached.

On a terminal the running stages are shown live; anywhere else there is a plain line when a stage
ends, and one before that for a stage that takes a while: fit for a log.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

TRIVIAL_SECONDS = 1
# A log gets a line when a stage starts only if it takes longer than this.
QUIET_SECONDS = 2


@dataclass
class Stage:
    """One step of the work; whoever does it may say more about it."""

    title: str
    seconds: float = 0.0
    state: str = "running"
    notes: list[str] = field(default_factory=list)

    def cached(self, why: str = "") -> None:
        """Say that nothing had to be done."""
        self.state = "cached"
        if why:
            self.note(why)

    def note(self, text: str) -> None:
        """Add a short remark."""
        self.notes.append(text)

    @property
    def is_trivial(self) -> bool:
        """Say whether it is worth no line of its own in the table."""
        return self.state == "cached" and self.seconds < TRIVIAL_SECONDS

    @property
    def remark(self) -> str:
        """All remarks in one line."""
        return ", ".join(self.notes)


class Report:
    """Shows stages on a console; threads may share it."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.stages: list[Stage] = []
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._running = 0
        self._live = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
        )

    def say(self, text: str) -> None:
        """Print a line as it is."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def stage(self, title: str, *, live: bool = True) -> Iterator[Stage]:
        """Run the body as a stage: show when it starts and how it ends.

        Args:
            title: The stage's name.
            live: Whether a terminal may show its progress; not where the body itself prints.
        """
        stage = Stage(title)
        started = time.monotonic()
        with self._lock:
            self.stages.append(stage)
        try:
            with self._shown(stage, live):
                yield stage
            if stage.state == "running":
                stage.state = "done"
        except BaseException as error:
            stage.state = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
            raise
        finally:
            stage.seconds = time.monotonic() - started
            self._end(stage)

    def table(self) -> None:
        """Print every stage with its time; stages that ran side by side overlap."""
        cached = [stage for stage in self.stages if stage.is_trivial]
        table = Table(box=None, pad_edge=False)
        table.add_column("stage")
        table.add_column("seconds", justify="right")
        table.add_column("")
        for stage in self.stages:
            if stage.is_trivial:
                continue
            outcome = "" if stage.state == "done" else stage.state
            remark = ": ".join(filter(None, [outcome, stage.remark]))
            table.add_row(escape(stage.title), f"{stage.seconds:.1f}", escape(remark))
        if cached:
            seconds = sum(stage.seconds for stage in cached)
            table.add_row(f"{len(cached)} others", f"{seconds:.1f}", "cached")
        table.add_row("all", f"{time.monotonic() - self._began:.1f}", "from start to end")
        self.console.print(table, highlight=False)

    @contextmanager
    def _shown(self, stage: Stage, live: bool) -> Iterator[None]:
        if not live:
            self.say(f"... {stage.title}")
            yield
            return
        if not self.console.is_terminal:
            starting = threading.Timer(QUIET_SECONDS, self.say, [f"... {stage.title}"])
            starting.daemon = True
            starting.start()
            try:
                yield
            finally:
                starting.cancel()
            return
        with self._lock:
            if self._running == 0:
                self._live.start()
            self._running += 1
            task = self._live.add_task(escape(stage.title), total=None)
        try:
            yield
        finally:
            with self._lock:
                self._live.remove_task(task)
                self._running -= 1
                if self._running == 0:
                    self._live.stop()

    def _end(self, stage: Stage) -> None:
        mark, style = {
            "done": ("ok ", "green"),
            "cached": ("ok ", "green"),
            "stopped": ("-- ", "yellow"),
        }.get(stage.state, ("NO ", "red"))
        outcome = "" if stage.state == "done" else stage.state
        remark = ": ".join(filter(None, [outcome, stage.remark]))
        self.console.print(
            f"[{style}]{mark}[/] {escape(stage.title)}  {stage.seconds:.1f} s"
            + (f"  [dim]{escape(remark)}[/]" if remark else ""),
            highlight=False,
            soft_wrap=True,
        )


class SilentReport(Report):
    """Keeps the stages and prints nothing."""

    def __init__(self) -> None:
        super().__init__(Console(quiet=True))
