# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What a benchmark found, as a table for people and as JSON for programs."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One thing measured. The ratio says how many times the baseline it is."""

    what: str
    value: float
    unit: str
    ratio: float | None = None
    note: str = ""


@dataclass
class Report:
    """The outcome of one benchmark."""

    name: str
    title: str
    #: What the ratios are to; measured in the same run.
    baseline: str
    rows: list[Row] = field(default_factory=list)
    goal: str = ""
    met: bool | None = None
    remarks: list[str] = field(default_factory=list)

    def add(
        self, what: str, value: float, unit: str, ratio: float | None = None, note: str = ""
    ) -> None:
        """Add a row."""
        self.rows.append(Row(what, value, unit, ratio, note))

    def judge(self, goal: str, met: bool) -> None:
        """Say what was to be reached, and whether it was."""
        self.goal, self.met = goal, met

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "name": self.name,
            "title": self.title,
            "baseline": self.baseline,
            "rows": [vars(row) for row in self.rows],
            "goal": self.goal,
            "met": self.met,
            "remarks": self.remarks,
        }

    def as_table(self) -> Table:
        """Return a table for a terminal."""
        table = Table(title=f"{self.name}: {self.title}", title_justify="left", caption=self._end())
        table.caption_justify = "left"
        for header in ("what", "measured", "of baseline", "note"):
            table.add_column(header, justify="right" if header in _NUMBERS else "left")
        for row in self.rows:
            ratio = "" if row.ratio is None else write_number(row.ratio)
            table.add_row(row.what, f"{write_number(row.value)} {row.unit}", ratio, row.note)
        return table

    def as_markdown(self) -> str:
        """Return a table for the documentation."""
        lines = ["| What | Measured | Of baseline | Note |", "|---|---:|---:|---|"]
        for row in self.rows:
            ratio = "" if row.ratio is None else write_number(row.ratio)
            value = f"{write_number(row.value)} {row.unit}"
            lines.append(f"| {row.what} | {value} | {ratio} | {row.note} |")
        return "\n".join([f"### {self.title}", "", *lines, "", self._end().replace("\n", "  \n")])

    def _end(self) -> str:
        lines = [f"Baseline: {self.baseline}."] if self.baseline else []
        if self.goal:
            lines.append(f"Goal: {self.goal}: {'reached' if self.met else 'NOT reached'}.")
        return "\n".join([*lines, *self.remarks])


_NUMBERS = ("measured", "of baseline")


def write_number(value: float) -> str:
    """Return a number with as many digits as a measurement is worth."""
    if value != 0 and abs(value) < 0.01:
        return f"{value:.4f}"
    if abs(value) < 10:
        return f"{value:.2f}"
    return f"{value:.1f}" if abs(value) < 100 else f"{value:,.0f}"


def machine() -> dict[str, Any]:
    """Return what the numbers depend on."""
    memory = next(_values("/proc/meminfo", "MemTotal"), "")
    return {
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "processor": next(_values("/proc/cpuinfo", "model name"), platform.processor()),
        "cores": os.cpu_count(),
        "memory": memory,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": list(os.getloadavg()),
    }


def _values(file: str, key: str) -> Iterator[str]:
    lines = Path(file).read_text().splitlines() if Path(file).exists() else []
    return iter([line.partition(":")[2].strip() for line in lines if line.startswith(key)])
