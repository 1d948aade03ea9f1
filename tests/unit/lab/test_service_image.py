"""The MaaS API's image has two recipes, the Containerfile and the lab's: they must agree."""

import json
import re
import shlex
import types

import pytest

from lab.recipe import CHECKOUT
from lab.recipes import service

API_PORT = "8080"


@pytest.fixture(scope="module")
def stages():
    """Return the instructions of each stage, as (name, arguments)."""
    text = (CHECKOUT / "service/Containerfile").read_text()
    lines = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    found = [[]]
    for line in filter(None, lines):
        name, _, arguments = line.partition(" ")
        if name == "FROM":
            found.append([])
        found[-1].append((name, arguments))
    return found


@pytest.fixture(scope="module")
def lab_config():
    """Return what the lab's recipe starts, without building anything."""
    written = []

    class KnownError(Exception):
        """Enough is known."""

    def note(**settings):
        written.append(settings)
        raise KnownError

    build = types.SimpleNamespace(scratch=CHECKOUT / "nowhere")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.shutil, "copytree", lambda *_, **__: None)
        patch.setattr(service.oci, "write_layer", lambda *_: None)
        patch.setattr(service.oci, "Config", note)
        with pytest.raises(KnownError):
            service._make_image(build)
    return written[0]


def arguments(stage, name):
    return [each for instruction, each in stage if instruction == name]


def test_there_are_two_stages_of_one_base(stages):
    (base,) = arguments(stages[0], "ARG")
    assert re.fullmatch(r"BASE=docker\.io/library/python:3\.11-slim-\w+", base)
    assert [arguments(stage, "FROM") for stage in stages[1:]] == [["${BASE} AS build"], ["${BASE}"]]


def test_it_runs_as_the_lab_does(stages, lab_config):
    last = stages[-1]
    user = arguments(last, "USER")[0]
    assert int(user) > 0
    assert f"{user}:{user}" == lab_config["user"]
    entrypoint = json.loads(arguments(last, "ENTRYPOINT")[0])
    assert entrypoint[1:] == list(lab_config["entrypoint"][1:])
    environment = dict(word.split("=", 1) for word in shlex.split(arguments(last, "ENV")[0]))
    assert environment == {k: v for k, v in lab_config["environment"].items() if k != "PATH"}
    assert arguments(last, "EXPOSE") == [API_PORT]
    # What pip and compilers leave behind stays in the first stage.
    assert [name for name, _ in last] == ["FROM", "COPY", "ENV", "USER", "EXPOSE", "ENTRYPOINT"]


def test_what_it_copies_is_there_and_is_enough(stages):
    copies = [words.split() for words in arguments(stages[1], "COPY")]
    copied = {}
    for source, target in copies:
        assert (CHECKOUT / source).exists(), source
        is_folder = target.endswith("/")
        copied[CHECKOUT / source] = target + (source.rpartition("/")[2] if is_folder else "")
    # Inside, everything lies as it does here, so that the links to shared code lead on.
    assert set(copied.values()) == {f"/source/{source.relative_to(CHECKOUT)}" for source in copied}
    roots = tuple(source for source in copied if source.is_dir())
    for file in service.SOURCE.rglob("*.py"):
        assert any(file.resolve().is_relative_to(root) for root in roots), file
    assert service.REQUIREMENTS in copied


def test_wheels_are_installed_as_the_lab_does(stages):
    install, build = arguments(stages[1], "RUN")
    home = f"/{service.HOME}"
    words = shlex.split(install)
    assert words[:4] == ["python3", "-m", "pip", "install"]
    assert {"--no-deps", "--no-compile", "--only-binary"} <= set(words)
    assert words[words.index("--target") + 1] == home
    assert words[words.index("--requirement") + 1] == "/source/service/requirements.txt"
    assert f"cp -RL /source/service/src/maas_api {home}/" in build
    assert f"compileall -q --invalidation-mode unchecked-hash {home}" in build
    assert arguments(stages[-1], "COPY") == [f"--from=build {home} {home}"]
