"""The lab's images, tools and charts: what is cached, and building what is not."""

from __future__ import annotations

import shutil
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from lab.cache import Entry, Store
from lab.errors import LabError
from lab.recipe import Build, Recipe, versions
from lab.recipes import charts as chart_recipes
from lab.recipes import (
    cluster,
    components,
    devices,
    model,
    programs,
    prometheus,
    service,
    standins,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lab.report import Report

ARCHIVE = "image.tar"
# What a node has in it from the start; no registry needs to serve these.
PRELOADED = "control-plane"
# Not pulled by the cluster: the engine gets them as archives.
ENGINE_IMAGES = ("node", "registry")
TOOLS = {"kind": ("go-host-tools", "kind"), "helm": ("go-host-tools", "helm")}
# Beside the one compiler, which uses all cores: recipes that mostly wait for networks and disks.
_LIGHT_WORKERS = 2


@dataclass(frozen=True)
class Planned:
    """One recipe, as it would be treated now."""

    name: str
    images: tuple[str, ...]
    cached: bool


@cache
def recipes() -> dict[str, Recipe]:
    """Return all recipes by name, each after those it needs."""
    modules = (
        *(programs, chart_recipes, cluster, components),
        *(prometheus, devices, model, service, standins),
    )
    found = {recipe.name: recipe for module in modules for recipe in module.recipes()}
    ordered: dict[str, Recipe] = {}

    def place(name: str) -> None:
        if name in ordered:
            return
        for needed in found[name].needs:
            place(needed)
        ordered[name] = found[name]

    for name in found:
        place(name)
    return ordered


@cache
def keys() -> dict[str, str]:
    """Return every recipe's key as the checkout stands."""
    known: dict[str, str] = {}
    for name, recipe in recipes().items():
        known[name] = recipe.key(known)
    return known


def image_names() -> list[str]:
    """Return the recipes whose images a cluster pulls."""
    return [
        name
        for name, recipe in recipes().items()
        if recipe.images and name not in (*ENGINE_IMAGES, PRELOADED)
    ]


def plan(names: Iterable[str] | None = None) -> list[Planned]:
    """Say for each recipe asked for, and what it needs, whether it is cached; build nothing."""
    store = Store()
    return [
        Planned(name, recipes()[name].images, store.find(name, keys()[name]) is not None)
        for name in _with_needs(names)
    ]


def ensure(names: Iterable[str] | None, report: Report) -> dict[str, Path]:
    """Build what is missing; return the archive of each image recipe asked for.

    Args:
        names: Recipes; None for every image that a cluster pulls.
        report: Is told of every recipe.
    """
    wanted = list(image_names() if names is None else names)
    entries = build(wanted, report)
    return {name: entries[name].file(ARCHIVE) for name in wanted}


def tools(report: Report) -> dict[str, Path]:
    """Return the programs that the lab calls on the host, by name.

    kubectl is the node's own binary, which looks at the name it is called by: link it as kubectl.
    """
    entries = build(["go-host-tools", "go-kubernetes"], report)
    found = {name: entries[recipe].file(program) for name, (recipe, program) in TOOLS.items()}
    return found | {"kubectl": entries["go-kubernetes"].file("kubernetes")}


def charts(report: Report) -> dict[str, Path]:
    """Return the directory of each Helm chart, by its name."""
    entry = build(["charts"], report)["charts"]
    return {name: entry.file(name) for name in chart_recipes.NAMES}


def node_image(report: Report) -> tuple[str, Path]:
    """Return the name of kind's node image and the archive that `docker load` takes."""
    return versions()["images"]["node"], ensure(["node"], report)["node"]


def registry_image(report: Report) -> tuple[str, Path]:
    """Return the name of the registry's image and the archive that `docker load` takes."""
    return versions()["images"]["registry"], ensure(["registry"], report)["registry"]


def build(names: Iterable[str], report: Report) -> dict[str, Entry]:
    """Return the entries of these recipes and of what they need, building what is missing.

    Recipes run side by side where they can, one heavy one at a time. After a failure nothing new
    starts; what runs is finished and kept.
    """
    store = Store()
    waiting = list(_with_needs(names))
    done: dict[str, Entry] = {}

    def make(recipe: Recipe) -> Entry:
        key = keys()[recipe.name]
        found = store.find(recipe.name, key)
        if found:
            with report.stage(recipe.name) as stage:
                stage.cached()
            return found
        return _make(recipe, key, store, done, report)

    with ThreadPoolExecutor(1) as compiler, ThreadPoolExecutor(_LIGHT_WORKERS) as helpers:
        running: dict[Future[Entry], str] = {}
        try:
            while running or waiting:
                for name in _ready(waiting, done):
                    waiting.remove(name)
                    pool = compiler if recipes()[name].heavy else helpers
                    running[pool.submit(make, recipes()[name])] = name
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    done[running.pop(future)] = future.result()
        except BaseException:
            # A failure, or Ctrl-C: what waits for its turn must not get it.
            for future in running:
                future.cancel()
            raise
    return done


def _make(recipe: Recipe, key: str, store: Store, done: dict[str, Entry], report: Report) -> Entry:
    log = store.log_path(recipe.name)

    def fill(target: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        scratch = target.parent / "scratch"
        scratch.mkdir()
        needed = {name: done[name] for name in recipe.needs}
        recipe.make(Build(target, scratch, log, recipe.settings, recipe.images, needed))
        shutil.rmtree(scratch)

    with report.stage(recipe.name) as stage:
        try:
            entry = store.build(recipe.name, key, fill)
        except OSError as error:
            raise LabError(
                f"{recipe.name} could not be built: {error}",
                f"look at {log} and at the free space of {store.root}",
            ) from error
        stage.note("built")
        return entry


def _ready(waiting: list[str], done: dict[str, Entry]) -> list[str]:
    return [name for name in waiting if all(needed in done for needed in recipes()[name].needs)]


def _with_needs(names: Iterable[str] | None) -> list[str]:
    """Return these recipes (None: all) and all they need, in an order that can be built."""
    if names is None:
        return list(recipes())
    wanted: set[str] = set()

    def add(name: str) -> None:
        if name not in recipes():
            raise LabError(
                f"there is no recipe {name!r}", f"the recipes are {', '.join(recipes())}"
            )
        wanted.add(name)
        for needed in recipes()[name].needs:
            add(needed)

    for name in names:
        add(name)
    return [name for name in recipes() if name in wanted]
