from pathlib import Path

import pytest

from lab import browser, prerequisites
from lab.errors import LabError
from lab.prerequisites import Machine
from lab.report import SilentReport

ROOT = Machine(apt=True, root=True, forbidden=False)


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A machine with neither a browser nor a font; apt-get puts a browser on it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(browser, "FONT_FILE", tmp_path / "font")
    monkeypatch.delenv("LAB_INSTALL_BROWSER", raising=False)
    called = []

    def install(argv, **_):
        called.append(argv)
        for name in ("chromium", "certutil"):
            (tmp_path / name).touch(mode=0o755)
        (tmp_path / "font").touch()
        return type("Done", (), {"returncode": 0})

    monkeypatch.setattr(prerequisites, "run", install)
    return called


def test_what_is_missing_is_installed_once(bare, tmp_path):
    log = tmp_path / "log"
    assert browser.ensure(ROOT, SilentReport(), log) == tmp_path / "chromium"
    packages = ["chromium", "libnss3-tools", "fonts-liberation"]
    assert [command[-3:] for command in bare] == [packages]
    assert browser.ensure(ROOT, SilentReport(), log) == tmp_path / "chromium"
    assert len(bare) == 1


def test_only_root_installs_it(bare, tmp_path):
    with pytest.raises(LabError, match="chromium") as error:
        browser.ensure(Machine(apt=True, root=False, forbidden=False), SilentReport(), tmp_path)
    assert error.value.fix.startswith("as root: apt-get")
    assert bare == []


def test_it_can_be_forbidden(bare, monkeypatch):
    monkeypatch.setenv("LAB_INSTALL_BROWSER", "0")
    with pytest.raises(LabError, match="LAB_INSTALL_BROWSER=0"):
        browser.ensure(ROOT, SilentReport(), Path("log"))
    assert bare == []
