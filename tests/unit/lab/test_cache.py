import multiprocessing
import os
from pathlib import Path

import pytest

from lab.cache import MANIFEST, Store, cache_root


def fill(text):
    def make(target: Path) -> None:
        (target / "sub").mkdir()
        (target / "sub" / "file").write_text(text)
        (target / "link").symlink_to("sub/file")

    return make


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "cache")


def never(_target):
    raise AssertionError("it is cached: nothing may build it again")


def test_what_was_built_is_found_and_not_built_again(store):
    built = store.build("thing", "k1", fill("a"))
    assert built.file("sub/file").read_text() == "a"
    again = store.build("thing", "k1", never)
    assert again.path == built.path
    assert store.find("thing", "k1") == again


def test_another_key_is_another_entry(store):
    store.build("thing", "k1", fill("a"))
    assert store.find("thing", "k2") is None
    assert store.build("thing", "k2", fill("b")).file("sub/file").read_text() == "b"
    assert store.find("thing", "k1") is not None


def cut_short(entry):
    entry.file("sub/file").write_text("")


def overwrite(entry):
    path = entry.file("sub/file")
    path.write_text("x" * path.stat().st_size)


def remove_file(entry):
    entry.file("sub/file").unlink()


def add_file(entry):
    entry.file("sub/other").write_text("")


def redirect_link(entry):
    entry.file("link").unlink()
    entry.file("link").symlink_to("elsewhere")


def cut_manifest(entry):
    manifest = entry.path / MANIFEST
    manifest.write_text(manifest.read_text()[:20])


def remove_manifest(entry):
    (entry.path / MANIFEST).unlink()


@pytest.mark.parametrize(
    "damage",
    [
        cut_short,
        overwrite,
        remove_file,
        add_file,
        redirect_link,
        cut_manifest,
        remove_manifest,
    ],
)
def test_a_damaged_entry_is_built_again(store, damage):
    entry = store.build("thing", "k1", fill("abc"))
    damage(entry)
    assert store.find("thing", "k1") is None
    assert store.build("thing", "k1", fill("abc")).file("sub/file").read_text() == "abc"
    assert store.find("thing", "k1") is not None


def test_a_copied_entry_is_whole_though_its_dates_differ(store):
    entry = store.build("thing", "k1", fill("abc"))
    os.utime(entry.file("sub/file"), (1, 1))
    assert store.find("thing", "k1") is not None


def test_a_failed_build_leaves_no_entry_and_the_next_starts_empty(store):
    def broken(target):
        (target / "half").write_text("")
        raise RuntimeError("no network")

    with pytest.raises(RuntimeError, match="no network"):
        store.build("thing", "k1", broken)
    assert store.find("thing", "k1") is None
    entry = store.build("thing", "k1", fill("a"))
    assert not entry.file("half").exists()


def test_old_entries_go_but_the_last_few_stay(store):
    for number in range(5):
        store.build("thing", f"k{number}", fill("a"))
    assert [store.find("thing", f"k{number}") is not None for number in range(5)] == [
        False,
        False,
        False,
        True,
        True,
    ]


def _build_slowly(root, results):
    def make(target):
        (target / "pid").write_text(str(os.getpid()))
        results.put(os.getpid())

    Store(root).build("thing", "k1", make)


def test_two_processes_build_one_thing_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    builders = [context.Process(target=_build_slowly, args=(tmp_path, results)) for _ in range(2)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
        assert builder.exitcode == 0
    results.get(timeout=5)
    assert results.empty()


def test_the_cache_lies_where_xdg_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root() == tmp_path / "maas-lab"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_root() == tmp_path / ".cache" / "maas-lab"
