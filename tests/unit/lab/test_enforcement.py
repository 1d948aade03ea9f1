from types import SimpleNamespace

import pytest

from lab import enforcement, kubectl
from lab.errors import LabError
from lab.report import SilentReport


class Engine:
    """Answers as a node whose kernel has the rules from the given question on."""

    def __init__(self, after):
        self.left = after

    def docker(self, *words, **_):
        assert words[2:4] == ("nft", "list")
        self.left -= 1
        return SimpleNamespace(returncode=0 if self.left <= 0 else 1)


@pytest.fixture(autouse=True)
def cluster(monkeypatch):
    asked = []
    monkeypatch.setattr(kubectl, "ask", lambda *words, **_: asked.append(words[0:3]))
    return asked


def test_it_is_there_once_the_kernel_has_the_rules(cluster):
    engine = Engine(after=3)
    enforcement.ensure(engine, SilentReport())
    assert engine.left == 0
    assert len(cluster) == 2


def test_a_kernel_that_cannot_enforce_is_no_secret(monkeypatch):
    monkeypatch.setattr(enforcement, "RULES_SECONDS", 0)
    with pytest.raises(LabError, match="not enforced"):
        enforcement.ensure(Engine(after=100), SilentReport())
