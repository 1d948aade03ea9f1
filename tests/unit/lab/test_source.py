import pytest

from lab import source
from lab.errors import LabError


@pytest.mark.parametrize("wish", ["upstream", "packages"])
def test_a_wish_is_followed_without_asking(wish, monkeypatch):
    monkeypatch.setattr(source, "registry_answers", lambda: 1 / 0)
    assert source.choose(wish)[0] == wish


@pytest.mark.parametrize(("answers", "chosen"), [(True, "upstream"), (False, "packages")])
def test_auto_takes_what_can_be_reached(answers, chosen, monkeypatch):
    monkeypatch.setenv("LAB_IMAGES", "auto")
    monkeypatch.setattr(source, "registry_answers", lambda: answers)
    assert source.choose()[0] == chosen


def test_another_word_is_refused_with_what_is_allowed(monkeypatch):
    monkeypatch.setenv("LAB_IMAGES", "internet")
    with pytest.raises(LabError, match="'internet'") as error:
        source.choose()
    assert error.value.fix == "use one of: auto, upstream, packages"


def test_a_registry_that_cannot_be_reached_does_not_answer():
    assert not source.registry_answers("http://127.0.0.1:1/v2/", 1)
