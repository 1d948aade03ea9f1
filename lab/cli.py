"""The lab's command line."""

import json
import signal
import sys
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from lab import browser as browsing
from lab import doctor as examination
from lab import down as ending
from lab import idtoken, lock, paths, prerequisites, rust, site, supply
from lab import images as image_sources
from lab import logs as collection
from lab import status as state
from lab import up as beginning
from lab.errors import LabError
from lab.report import Report
from lab.source import choose

app = typer.Typer(
    help="The lab: a kind cluster on this machine with the whole platform on it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# Progress goes to standard error, results to standard output; colour only on a terminal.
progress = Console(stderr=True)
output = Console()

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")]
Images = Annotated[
    str | None,
    typer.Option(
        "--images",
        help="Where images come from: auto, upstream (pull) or packages (build); "
        "LAB_IMAGES says the same.",
    ),
]
# What the shell, and typer, call a program that Ctrl-C ended.
INTERRUPTED = 130


@app.command()
def up(
    *,
    with_site: Annotated[
        bool, typer.Option("--site", help="Then deploy the platform with playbooks/site.yml.")
    ] = False,
    images: Images = None,
    dry_run: DryRun = False,
) -> None:
    """Bring up engine, images, registry and cluster, from any state; safe to repeat."""
    source, why = choose(images)
    if dry_run:
        for step in beginning.plan(source, why):
            output.print(step, markup=False, highlight=False, soft_wrap=True)
        if with_site:
            output.print(f"ansible-playbook {site.PLAYBOOK} -i {site.INVENTORY}", highlight=False)
        return
    report = Report(progress)
    try:
        with lock.hold(report) as held:
            beginning.up(source, why, report, held)
            if with_site:
                site.deploy(report)
    finally:
        report.table()
    if with_site:
        site.show_trial(output)
    else:
        output.print(f"the cluster runs; to use it: set -a; . {paths.ENV}; set +a", soft_wrap=True)


@app.command()
def down(*, dry_run: DryRun = False) -> None:
    """Remove the lab's containers, network, processes and files; the cache stays."""
    if dry_run:
        for step in ending.plan() or ["nothing"]:
            output.print(f"remove {step}", markup=False, highlight=False, soft_wrap=True)
        return
    report = Report(progress)
    with lock.hold(report):
        ending.down(report)


@app.command()
def status(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False
) -> None:
    """Show what runs and how well; ends with 1 unless all is well."""
    parts = state.examine()
    described = state.describe(parts)
    if as_json:
        typer.echo(json.dumps(described, indent=2))
    else:
        table = Table(box=None, pad_edge=False)
        for title in ("component", "", ""):
            table.add_column(title, overflow="fold")
        for part in parts:
            mark = "[green]ok[/]" if part.healthy else "[red]NO[/]"
            table.add_row(part.name, mark, part.detail)
        output.print(table, highlight=False)
        output.print(f"to use it: set -a; . {paths.ENV}; set +a", highlight=False, soft_wrap=True)
    raise typer.Exit(0 if described["healthy"] else 1)


@app.command()
def images(
    names: Annotated[list[str] | None, typer.Argument(help="Only these images.")] = None,
    *,
    source: Images = None,
    dry_run: DryRun = False,
) -> None:
    """Build what is not cached of the images the lab needs."""
    chosen, why = choose(source)
    output.print(f"images: {chosen} ({why})", highlight=False)
    if dry_run:
        for planned in supply.plan(names, chosen):
            what = "cached" if planned.cached else "to be built"
            line = "  ".join([planned.name, what, *planned.images])
            output.print(line, markup=False, highlight=False, soft_wrap=True)
        return
    report = Report(progress)
    try:
        with lock.hold(report):
            beginning.prepare_builds(names, chosen, report)
            wanted = names or [planned.name for planned in supply.plan(None, chosen)]
            image_sources.build(wanted, report)
    finally:
        report.table()


@app.command()
def doctor() -> None:
    """Say what this machine lacks and what helps; ends with 1 if the lab cannot run."""
    findings = examination.examine()
    marks = {"ok": "[green]ok[/]", "later": "[cyan]up[/]", "warn": "[yellow]??[/]"}
    for finding in findings:
        mark = marks.get(finding.state, "[red]NO[/]")
        output.print(
            f"{mark}  {finding.subject}: {finding.detail}", highlight=False, soft_wrap=True
        )
        if finding.fix and finding.state != "ok":
            fix = f"      {finding.fix}"
            output.print(fix, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1 if any(finding.state == "fail" for finding in findings) else 0)


@app.command()
def logs() -> None:
    """Collect events, descriptions, pods' logs and the node's journal in .lab/logs."""
    collection.collect(paths.LOGS, Report(progress))


@app.command(name="try")
def show_trial() -> None:
    """Print the curl and the Python that call a model of the running lab."""
    site.show_trial(output)


@app.command(name="id-token")
def id_token(
    user: Annotated[str, typer.Argument(help="One of the lab's people, such as alice.")],
) -> None:
    """Sign in to the lab's Dex without a browser and print the ID token: a secret for an hour."""
    typer.echo(idtoken.obtain(user))


@app.command()
def browser() -> None:
    """Have Chromium for the browser tests, installing it where the lab may; print where it is."""
    report = Report(progress)
    machine = prerequisites.Machine.look()
    typer.echo(browsing.ensure(machine, report, beginning.LOG))


@app.command(name="test-standins")
def test_standins() -> None:
    """Run the unit tests of the lab's two stand-ins."""
    report = Report(progress)
    with report.stage("unit tests of the stand-ins", live=False):
        rust.run_tests(report.say)


def main() -> NoReturn:
    """Run the command line: an error ends with its reason and the next step, not with a trace."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        app()
    except LabError as error:
        progress.print("\n[red]failed:[/] ", end="")
        progress.print(error.what, markup=False, highlight=False, soft_wrap=True)
        if error.fix:
            progress.print(f"next: {error.fix}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
    except SystemExit as end:
        if end.code == INTERRUPTED:
            progress.print("\nstopped; the same command continues from here", highlight=False)
        raise
    sys.exit(0)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Treat a request to terminate as Ctrl-C: what runs is ended, and the state said."""
    raise KeyboardInterrupt
