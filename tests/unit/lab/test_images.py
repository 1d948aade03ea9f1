import threading

import pytest

from lab import images
from lab.cache import Store
from lab.errors import LabError
from lab.recipe import Recipe
from lab.report import SilentReport


@pytest.fixture
def book(monkeypatch, tmp_path):
    """Three small recipes in place of the real ones: image needs program, other stands alone."""
    calls = []

    def write(build):
        calls.append(build.target.parent.name.partition(".")[0])
        name = images.ARCHIVE if build.images else "program"
        taken = "".join(entry.file("program").read_text() for entry in build.needed.values())
        (build.target / name).write_text(build.settings.get("text", "") + taken)
        (build.scratch / "waste").write_text("")
        build.log.write_text("said\n")
        if build.settings.get("fails"):
            raise LabError("the compiler is missing")

    def recipes(**program):
        found = [
            Recipe("program", write, settings={"text": "p", **program}, heavy=True),
            Recipe("image", write, needs=("program",), images=("quay.io/a/b:1",)),
            Recipe("other", write, images=("quay.io/a/c:1",)),
        ]
        return {recipe.name: recipe for recipe in found}

    def use(**program):
        known = {}
        for name, recipe in recipes(**program).items():
            known[name] = recipe.key(known)
        monkeypatch.setattr(images, "recipes", lambda: recipes(**program))
        monkeypatch.setattr(images, "keys", lambda: known)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    use()
    return calls, use


def states(names=None):
    return {planned.name: planned.cached for planned in images.plan(names)}


def test_building_makes_what_is_needed_first_and_once(book):
    calls, _ = book
    archives = images.ensure(None, SilentReport())
    assert set(archives) == {"image", "other"}
    assert archives["image"].read_text() == "p"
    assert calls.index("program") < calls.index("image")
    images.ensure(None, SilentReport())
    assert sorted(calls) == ["image", "other", "program"]


def test_the_plan_builds_nothing_and_knows_what_is_cached(book):
    calls, _ = book
    assert states() == {"program": False, "image": False, "other": False}
    assert calls == []
    images.ensure(["other"], SilentReport())
    assert states() == {"program": False, "image": False, "other": True}
    assert states(["image"]) == {"program": False, "image": False}


def test_a_changed_recipe_rebuilds_it_and_what_needs_it_only(book):
    calls, use = book
    images.ensure(None, SilentReport())
    calls.clear()
    use(text="q")
    assert images.ensure(None, SilentReport())["image"].read_text() == "q"
    assert calls == ["program", "image"]


def test_a_failure_keeps_what_was_finished_and_the_next_run_goes_on(book):
    calls, use = book
    images.ensure(["other"], SilentReport())
    use(fails=True)
    with pytest.raises(LabError, match="the compiler is missing"):
        images.ensure(None, SilentReport())
    use()
    calls.clear()
    images.ensure(None, SilentReport())
    assert calls == ["program", "image"]


def test_output_goes_to_a_log_and_scratch_is_not_kept(book):
    entries = images.build(["image"], SilentReport())
    assert Store().log_path("image").read_text() == "said\n"
    assert [path.name for path in entries["image"].path.iterdir() if path.is_dir()] == ["files"]


def test_the_report_hears_what_is_built_and_what_is_cached(book):
    images.ensure(["other"], SilentReport())
    report = SilentReport()
    images.ensure(None, report)
    assert {stage.title: stage.state for stage in report.stages} == {
        "program": "done",
        "image": "done",
        "other": "cached",
    }


def test_an_unknown_recipe_is_named_with_those_there_are(book):
    with pytest.raises(LabError) as caught:
        images.ensure(["imgae"], SilentReport())
    assert "imgae" in caught.value.what
    assert "image" in caught.value.fix


def test_one_heavy_recipe_runs_at_a_time(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    running, most = [], []
    lock = threading.Lock()

    def work(build):
        with lock:
            running.append(build.target)
            most.append(len(running))
        threading.Event().wait(0.05)
        with lock:
            running.remove(build.target)

    known = {f"go{number}": Recipe(f"go{number}", work, heavy=True) for number in range(3)}
    monkeypatch.setattr(images, "recipes", lambda: known)
    monkeypatch.setattr(images, "keys", lambda: {name: name for name in known})
    images.build(list(known), SilentReport())
    assert most == [1, 1, 1]


def test_real_recipes_need_only_what_exists_and_never_each_other():
    seen = set()
    for name, recipe in images.recipes().items():
        assert set(recipe.needs) <= seen
        seen.add(name)


def test_the_engine_and_the_node_get_theirs_without_the_registry():
    assert not {"node", "registry", "control-plane"} & set(images.image_names())
    assert {"envoy", "maas-api", "lab-gemma"} <= set(images.image_names())
