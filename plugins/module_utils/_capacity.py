# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the GPUs that models ask for are there, pool by pool. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ._gpu_nodes import GpuNode, asked_by, is_running, members
from ._model import Model
from ._objects import Object
from ._pools import GPU_RESOURCE, Pool

#: Models that name no pool go to any node that offers the resource.
ANY_NODE = "(any node)"
_POD_NAME_LABEL = "app.kubernetes.io/name"


@dataclass(frozen=True)
class Ask:
    """What one version of a model asks for."""

    model: str
    namespace: str
    #: The name of its LLMInferenceService, which its pods carry as a label.
    service: str
    #: The pool's name; empty for any node.
    pool: str
    gpus: int
    #: Groups of pods at most; None where nothing in the inventory says how many.
    replicas: int | None
    #: Pods in a group, each with as many GPUs.
    nodes: int = 1

    @property
    def pods(self) -> int:
        """Return how many pods it has at most; one where that is not known."""
        return (1 if self.replicas is None else self.replicas) * self.nodes

    @property
    def total(self) -> int:
        """Return how many GPUs it takes at most."""
        return self.pods * self.gpus


def asks_of(models: Iterable[Model]) -> list[Ask]:
    """Return what models and their canaries ask for; one that is paused asks for nothing."""
    return [
        Ask(
            model=model.name,
            namespace=model.namespace,
            service=version.service,
            pool=version.pool or "",
            gpus=version.gpus,
            replicas=0 if model.state == "paused" else version.most_copies,
            nodes=version.nodes,
        )
        for model in models
        for version in model.versions
    ]


@dataclass(frozen=True)
class Row:
    """One pool: what it offers, and what is asked of it."""

    pool: str
    resource: str
    nodes: int
    #: What the node with most of it offers.
    largest: int
    allocatable: int
    #: Held by pods that are no model of this inventory.
    others: int
    asked: int
    #: For one more pod while a new version takes an old one's place.
    rollout: int
    #: Whether the pool's GPUs can be counted at all; claims from a DeviceClass cannot.
    counted: bool = True

    @property
    def left(self) -> int:
        """Return what is left once every model has all it may take; less than 0: it lacks."""
        return self.allocatable - self.others - self.asked


@dataclass(frozen=True)
class Verdict:
    """What is to be said of the pools together."""

    rows: list[Row] = field(default_factory=list)
    #: What cannot run.
    problems: list[str] = field(default_factory=list)
    #: What can run, and may not be changed, or not always.
    warnings: list[str] = field(default_factory=list)
    table: list[str] = field(default_factory=list)


def judge(
    asks: Sequence[Ask],
    nodes: Sequence[GpuNode],
    pods: Iterable[Object],
    pools: Mapping[str, Pool],
    resource: str = GPU_RESOURCE,
) -> Verdict:
    """Say whether what models ask for is there.

    Args:
        asks: The models' wishes; those without a GPU do not count.
        nodes: All nodes of the cluster.
        pods: All pods of the cluster.
        pools: The pools of the inventory.
        resource: What a model asks for that names no pool.
    """
    wanted = [ask for ask in asks if ask.gpus and ask.pods]
    strangers = [pod for pod in pods if is_running(pod) and not _is_asked(pod, asks)]
    verdict = Verdict()
    for pool in pools.values():
        mine = [ask for ask in wanted if ask.pool == pool.name]
        homes = [node for node in members(pool, nodes) if node.admits(pool.tolerations)]
        row, free = _row(pool.name, pool.resource, homes, strangers, mine)
        verdict.rows.append(row)
        _weigh(verdict, row, mine, free, pool.most_per_pod)
    # Nodes of pools without a taint are anybody's: what their models take is not there twice.
    homeless = [ask for ask in wanted if not ask.pool]
    if homeless:
        anybodys = Pool("", {}, resource=resource).tolerations
        homes = [node for node in nodes if node.admits(anybodys) and node.capacity.get(resource)]
        shared = sum(
            row.asked
            for row in verdict.rows
            if row.resource == resource and members(pools[row.pool], homes)
        )
        row, free = _row(ANY_NODE, resource, homes, strangers, homeless, shared)
        verdict.rows.append(row)
        _weigh(verdict, row, homeless, free, None)
    verdict.table.extend(table_of(verdict.rows, wanted))
    return verdict


def _is_asked(pod: Object, asks: Iterable[Ask]) -> bool:
    labels = pod["metadata"].get("labels") or {}
    place = (pod["metadata"].get("namespace"), labels.get(_POD_NAME_LABEL))
    return any(place == (ask.namespace, ask.service) for ask in asks)


def _row(
    name: str,
    resource: str,
    homes: Sequence[GpuNode],
    strangers: Sequence[Object],
    asks: Sequence[Ask],
    shared: int = 0,
) -> tuple[Row, list[int]]:
    """Return a pool's row, and what every node has for models."""
    held = {
        node.name: sum(
            asked_by(pod, resource) for pod in strangers if pod["spec"]["nodeName"] == node.name
        )
        for node in homes
    }
    offers = {node.name: node.offers(resource) for node in homes}
    # A group of several nodes is replaced one member at a time, in place.
    single = [ask.gpus for ask in asks if ask.nodes == 1]
    row = Row(
        pool=name,
        resource=resource,
        nodes=len(homes),
        largest=max(offers.values(), default=0),
        allocatable=sum(offers.values()),
        others=sum(held.values()) + shared,
        asked=sum(ask.total for ask in asks),
        rollout=max(single, default=0),
        counted=bool(resource),
    )
    return row, [max(0, offers[name] - held[name]) for name in offers]


def _weigh(
    verdict: Verdict, row: Row, asks: Sequence[Ask], free: Sequence[int], most: int | None
) -> None:
    """Add what is to be said of one pool."""
    if not row.counted or not asks:
        return
    where = f"pool {row.pool}" if row.pool != ANY_NODE else "the cluster"
    too_big = [ask for ask in asks if ask.gpus > row.largest]
    for ask in asks:
        if most is not None and ask.gpus > most:
            verdict.problems.append(
                f"model {ask.service}: asks for {ask.gpus} {row.resource} in one pod, {where} "
                f"shares its GPUs by time and gives a pod {most}: several turns are no more GPU"
            )
        elif ask in too_big:
            verdict.problems.append(
                f"model {ask.service}: asks for {ask.gpus} {row.resource} in one pod, no node of "
                f"{where} has more than {row.largest}"
            )
    if row.left < 0:
        others = f", {row.others} of them taken by others" if row.others else ""
        verdict.problems.append(
            f"{where}: models ask for {row.asked} {row.resource}, it has {row.allocatable}"
            f"{others}: {-row.left} are missing"
        )
    elif not too_big and not _fit(asks, free):
        verdict.warnings.append(
            f"{where}: the {row.asked} {row.resource} that models ask for are there, but lie on "
            "different nodes: a pod may find no node with enough of them"
        )
    elif row.left < row.rollout:
        verdict.warnings.append(
            f"{where}: {row.left} {row.resource} are left, a new version of its largest model "
            f"needs {row.rollout} beside the old one: it would wait, and be rolled back"
        )


def _fit(asks: Iterable[Ask], free: Iterable[int]) -> bool:
    """Return whether all pods find a node, the largest first, each where least is left."""
    room = list(free)
    for gpus in sorted((ask.gpus for ask in asks for _pod in range(ask.pods)), reverse=True):
        fitting = [index for index, left in enumerate(room) if left >= gpus]
        if not fitting:
            return False
        room[min(fitting, key=lambda index: room[index])] -= gpus
    return True


def table_of(rows: Sequence[Row], asks: Sequence[Ask]) -> list[str]:
    """Return both tables as lines of text: the pools, and the models in them."""
    pools = [("pool", "resource", "nodes", "allocatable", "others", "asked", "left")]
    for row in rows:
        counts = (row.nodes, row.allocatable, row.others, row.asked, row.left)
        shown = map(str, counts) if row.counted else (str(row.nodes), "-", "-", str(row.asked), "-")
        pools.append((row.pool, row.resource or "(claims)", *shown))
    models = [("model", "pool", "pods", "GPUs each", "GPUs")]
    for ask in asks:
        pods = f"{ask.pods}{'+' if ask.replicas is None else ''}"
        models.append((ask.service, ask.pool or ANY_NODE, pods, str(ask.gpus), str(ask.total)))
    lines = _columns(pools) if rows else []
    if asks:
        lines += ["", *_columns(models)]
    return lines


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return rows as lines, each column as wide as its widest word."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            word.rjust(width)
            if word[:1].lstrip("-").isdigit() or word == "-"
            else word.ljust(width)
            for word, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
