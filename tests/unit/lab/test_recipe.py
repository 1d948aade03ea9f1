import dataclasses

import pytest

from lab import recipe
from lab.recipe import Recipe, input_digest

_WORD = "a"


def _helper(_build):
    return None


def _make(build):
    _helper(build)


def _make_other(build):
    _helper(build)
    _helper(build)


@pytest.fixture
def plain(tmp_path, monkeypatch):
    monkeypatch.setattr(recipe, "CHECKOUT", tmp_path)
    (tmp_path / "input").mkdir()
    (tmp_path / "input/file").write_text("a")
    return Recipe(
        name="thing",
        make=_make,
        settings={"version": "1"},
        inputs=(tmp_path / "input",),
        needs=("base",),
        images=("quay.io/a/b:1",),
    )


def test_the_key_is_stable(plain):
    assert plain.key({"base": "k"}) == plain.key({"base": "k"})


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"make": _make_other},
        {"settings": {"version": "2"}},
        {"images": ("quay.io/a/b:2",)},
        {"inputs": ()},
        {"needs": ()},
    ],
)
def test_whatever_decides_the_result_is_in_the_key(plain, change):
    assert dataclasses.replace(plain, **change).key({"base": "k"}) != plain.key({"base": "k"})


def test_a_changed_need_changes_the_key(plain):
    assert plain.key({"base": "k"}) != plain.key({"base": "l"})


def test_the_functions_that_make_calls_are_in_the_key(plain, monkeypatch):
    before = plain.key({"base": "k"})
    real = recipe.inspect.getsource
    monkeypatch.setattr(
        recipe.inspect,
        "getsource",
        lambda value: "changed" if value is _helper else real(value),
    )
    assert plain.key({"base": "k"}) != before


def test_inputs_count_by_name_and_content_and_without_caches(tmp_path):
    (tmp_path / "a").write_text("1")
    before = input_digest(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/a.pyc").write_text("2")
    assert input_digest(tmp_path) == before
    (tmp_path / "a").rename(tmp_path / "b")
    assert input_digest(tmp_path) != before


def test_links_count_by_what_they_lead_to(tmp_path):
    (tmp_path / "real").write_text("1")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/link").symlink_to("../real")
    before = input_digest(tmp_path / "tree")
    (tmp_path / "real").write_text("2")
    assert input_digest(tmp_path / "tree") != before
