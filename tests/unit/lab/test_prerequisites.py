import pytest

from lab import prerequisites
from lab.engine import client, find
from lab.errors import LabError
from lab.prerequisites import Machine
from lab.report import SilentReport


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("ID=debian\n", True),
        ("ID=ubuntu\nID_LIKE=debian\n", True),
        ('ID=pop\nID_LIKE="ubuntu debian"\n', True),
        ('ID="rhel"\nID_LIKE="fedora"\n', False),
        ("", False),
    ],
)
def test_debian_and_its_derivatives_have_apt(release, expected):
    assert prerequisites.is_debian(release) is expected


@pytest.mark.parametrize(("apt", "root"), [(True, False), (False, True), (False, False)])
def test_packages_are_installed_by_root_on_debian_only(apt, root, tmp_path, monkeypatch):
    monkeypatch.setattr(prerequisites, "run", lambda *_, **__: 1 / 0)
    machine = Machine(apt=apt, root=root, forbidden=False)
    with pytest.raises(LabError, match="mmdebstrap") as error:
        prerequisites.install(["mmdebstrap"], machine, SilentReport(), tmp_path / "log")
    assert "apt-get install" in error.value.fix
    assert "sudo" not in error.value.fix


def test_the_engine_can_be_forbidden():
    with pytest.raises(LabError, match="LAB_INSTALL_ENGINE=0"):
        prerequisites.require_engine_allowed(Machine(apt=True, root=True, forbidden=True))


def test_only_root_starts_an_engine():
    with pytest.raises(LabError, match="only root"):
        prerequisites.require_engine_allowed(Machine(apt=True, root=False, forbidden=False))


def test_another_machines_engine_is_refused(monkeypatch):
    monkeypatch.setattr(client, "configured_host", lambda: "tcp://build-farm:2375")
    with pytest.raises(LabError, match="another machine"):
        find.foreign()
