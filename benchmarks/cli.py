# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The benchmarks' command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from rich.console import Console
from rich.table import Table

from benchmarks import edit, filter_size, gateway, lookup, objects, rendering, tokens
from benchmarks.lab import BenchmarkError, Lab
from benchmarks.report import Report, machine

#: Each takes the lab and whether to do it small, and returns what it found.
Benchmark = Callable[[Lab, bool], Report]

BENCHMARKS: dict[str, tuple[str, Benchmark]] = {
    "objects": (
        "1,000 objects made and left alone, beside kubernetes.core and kubectl",
        objects.run,
    ),
    "tokens": ("1,000 tokens in one task, beside kubectl and bare requests", tokens.run),
    "rendering": ("1,000 tiers rendered", rendering.run),
    "lookup": ("tier lookups, beside a minimal Go server", lookup.run),
    "gateway": ("what the policies add to a call, beside upstream's kind and none", gateway.run),
    "filter-size": ("the filter's configuration at 25 tiers and 50 models", filter_size.run),
    "edit": ("one edited limit, by the whole playbook maas.platform.tiers", edit.run),
}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
# Progress goes to standard error, results to standard output.
progress = Console(stderr=True)
output = Console()

Names = Annotated[
    list[str] | None, typer.Argument(help=f"Which: {', '.join(BENCHMARKS)}; none lists them.")
]
All = Annotated[bool, typer.Option("--all", help="Run every benchmark, one after the other.")]
Small = Annotated[
    bool, typer.Option("--small", help="A tenth of the size, to see that a benchmark works.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
Save = Annotated[
    Path | None, typer.Option("--save", help="Write JSON into this file, and tables as well.")
]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print tables for the documentation.")]


@app.command()
def main(
    names: Names = None,
    every: All = False,
    small: Small = False,
    as_json: AsJson = False,
    as_markdown: Markdown = False,
    save: Save = None,
) -> None:
    """Measure the platform on this checkout's lab. Nothing else should run there meanwhile.

    Every benchmark measures what it is compared with in the same run, and removes what it made.
    """
    chosen = list(BENCHMARKS) if every else names or []
    unknown = [name for name in chosen if name not in BENCHMARKS]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]}: there are {', '.join(BENCHMARKS)}")
    if not chosen:
        output.print(_listing())
        return
    try:
        reports = _measure(Lab.find(), chosen, small)
    except (BenchmarkError, MaasError) as exc:
        progress.print(f"benchmarks: {exc}", style="red", markup=False)
        raise typer.Exit(1) from exc
    text = json.dumps(
        {"machine": machine(), "small": small, "benchmarks": [one.as_json() for one in reports]},
        indent=2,
    )
    if save is not None:
        save.write_text(f"{text}\n")
    if as_json:
        output.print_json(text)
        return
    for report in reports:
        if as_markdown:
            output.print(report.as_markdown(), markup=False, soft_wrap=True)
        else:
            output.print(report.as_table())


def _measure(lab: Lab, chosen: list[str], small: bool) -> list[Report]:
    reports = []
    with lab.alone():
        for name in chosen:
            title, benchmark = BENCHMARKS[name]
            progress.print(f"{name}: {title} …", markup=False)
            reports.append(benchmark(lab, small))
    return reports


def _listing() -> Table:
    table = Table(title="python -m benchmarks NAME …", title_justify="left")
    table.add_column("name")
    table.add_column("measures")
    for name, (title, _run) in BENCHMARKS.items():
        table.add_row(name, title)
    return table
