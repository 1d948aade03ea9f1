import json

import pytest
from typer.testing import CliRunner

from lab import cli, doctor, down, lock, paths, source, status, supply, up
from lab.doctor import Finding
from lab.errors import LabError
from lab.images import Planned
from lab.status import Component

PLANNED = [Planned("node", ("docker.io/kindest/node:v1",), True), Planned("maas-api", (), False)]


@pytest.fixture(autouse=True)
def machine(tmp_path, monkeypatch):
    """Nothing here may reach an engine, and nothing may be written."""
    monkeypatch.setattr(source, "registry_answers", lambda: False)
    monkeypatch.setattr(supply, "plan", lambda *_: PLANNED)
    monkeypatch.setattr(doctor, "examine", lambda: [Finding("engine", "later", "up starts it")])
    monkeypatch.setattr(lock, "hold", lambda _report: 1 / 0)
    monkeypatch.setattr(paths, "LAB", tmp_path / ".lab")
    monkeypatch.delenv("LAB_IMAGES", raising=False)
    return tmp_path


def call(*arguments):
    return CliRunner().invoke(cli.app, list(arguments))


def test_every_command_has_help():
    listed = call("--help").stdout
    commands = "up down status images doctor logs try id-token browser"
    for command in commands.split():
        assert command in listed
        assert call(command, "--help").exit_code == 0


def test_up_says_what_it_would_do_and_changes_nothing(machine):
    said = call("up", "--site", "--dry-run").stdout
    assert "images: packages (no container registry can be reached)" in said
    assert "engine: up starts it" in said
    assert "maas-api: to be built" in said
    assert "node: cached" in said
    assert "ansible-playbook playbooks/site.yml -i inventories/kind" in said
    assert not list(machine.iterdir())


def test_down_says_what_it_would_remove(monkeypatch):
    monkeypatch.setattr(down, "plan", lambda: ["network maas-lab"])
    assert call("down", "--dry-run").stdout == "remove network maas-lab\n"


def test_images_says_what_it_would_build():
    lines = call("images", "--dry-run", "--images", "packages").stdout.splitlines()
    assert lines[1:] == ["node  cached  docker.io/kindest/node:v1", "maas-api  to be built"]


@pytest.mark.parametrize(("healthy", "code"), [(True, 0), (False, 1)])
def test_status_tells_programs_and_ends_accordingly(healthy, code, monkeypatch):
    monkeypatch.setattr(status, "examine", lambda: [Component("engine", healthy, "why")])
    result = call("status", "--json")
    assert result.exit_code == code
    described = json.loads(result.stdout)
    assert described["MAAS_URL"] == "https://maas.lab.test:8443"
    assert described["components"] == [{"name": "engine", "healthy": healthy, "detail": "why"}]


@pytest.mark.parametrize(("state", "code"), [("warn", 0), ("fail", 1)])
def test_doctor_names_the_fix(state, code, monkeypatch):
    found = [Finding("disk", state, "1 GiB free", "free some")]
    monkeypatch.setattr(doctor, "examine", lambda: found)
    result = call("doctor")
    assert result.exit_code == code
    assert "disk: 1 GiB free" in result.stdout
    assert "free some" in result.stdout


def test_an_error_is_shown_with_its_next_step_and_no_trace(monkeypatch, capsys):
    def fail(*_):
        raise LabError("the engine does not answer", "python -m lab doctor")

    monkeypatch.setattr(up, "plan", fail)
    monkeypatch.setattr("sys.argv", ["lab", "up", "--dry-run"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    said = capsys.readouterr().err
    assert "the engine does not answer" in said
    assert "next: python -m lab doctor" in said
    assert "Traceback" not in said


def test_ctrl_c_says_that_the_command_can_be_repeated(monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(up, "plan", stop)
    monkeypatch.setattr("sys.argv", ["lab", "up", "--dry-run"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 130
    assert "the same command continues" in capsys.readouterr().err
