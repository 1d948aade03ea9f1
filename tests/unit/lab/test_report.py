import io
import time

import pytest
from rich.console import Console

from lab.report import Report


@pytest.fixture
def shown():
    return io.StringIO()


@pytest.fixture
def report(shown):
    return Report(Console(file=shown, width=100))


def test_plain_lines_without_colour_where_there_is_no_terminal(report, shown):
    with report.stage("image [a]") as stage:
        stage.cached("recipe unchanged")
    (line,) = shown.getvalue().splitlines()
    assert line.startswith("ok  image [a]  0.")
    assert line.endswith("cached: recipe unchanged")
    assert "\x1b" not in shown.getvalue()


def test_a_slow_stage_says_that_it_began(report, shown, monkeypatch):
    monkeypatch.setattr("lab.report.QUIET_SECONDS", 0)
    with report.stage("cluster"):
        until = time.monotonic() + 5
        while not shown.getvalue() and time.monotonic() < until:
            time.sleep(0.01)
        assert shown.getvalue() == "... cluster\n"


def test_a_failed_stage_says_so_and_the_error_passes_on(report, shown):
    with pytest.raises(ValueError, match="why"), report.stage("cluster"):
        raise ValueError("why")
    assert "NO  cluster" in shown.getvalue()
    assert report.stages[0].state == "failed"


def test_the_table_lists_every_stage(report, shown):
    for title in ("engine", "cluster"):
        with report.stage(title):
            pass
    shown.truncate(0)
    report.table()
    assert shown.getvalue().index("engine") < shown.getvalue().index("cluster")


def test_the_table_ends_with_the_time_of_all(report, shown, monkeypatch):
    monkeypatch.setattr("lab.report.time.monotonic", lambda: report._began + 61.25)
    report.table()
    last = shown.getvalue().splitlines()[-1]
    assert " ".join(last.split()) == "all 61.2 from start to end"


def test_what_was_cached_is_summed_up(report, shown):
    for title in ("a", "b"):
        with report.stage(title) as stage:
            stage.cached()
    shown.truncate(0)
    report.table()
    assert "2 others" in shown.getvalue()


def test_a_terminal_gets_colour(shown):
    report = Report(Console(file=shown, force_terminal=True, width=100))
    with report.stage("engine"):
        pass
    assert "\x1b[" in shown.getvalue()
