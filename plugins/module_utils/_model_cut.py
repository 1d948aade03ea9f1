# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What vLLM is told about GPUs and nodes. Pure.

Other engines are told by their arguments, as their entry writes them.
"""

from __future__ import annotations

from ._model import Model, Parallelism
from ._model_engines import VLLM, Server

_TENSOR = ("--tensor-parallel-size", "-tp")
_PIPELINE = ("--pipeline-parallel-size", "-pp")
_DATA = ("--data-parallel-size", "-dp")
#: In the first pod's environment: the name of the group's leader cannot be listened on.
OWN_ADDRESS = "POD_IP"
_RPC_PORT = "13345"
# LeaderWorkerSet sets these in every pod of a group; the kubelet puts them in.
_LEADER = "$(LWS_LEADER_ADDRESS)"
_INDEX = "$(LWS_WORKER_INDEX)"


def cut_args(version: Model, server: Server) -> tuple[str, ...]:
    """Return what the first node's server is told; nothing that its arguments say already."""
    if server.engine != VLLM:
        return ()
    cut = version.parallelism or Parallelism(tensor=max(1, version.gpus))
    args = _sizes(cut, (*server.args, *server.extra_args))
    if version.nodes == 1:
        return args
    if cut.data > 1:
        return (*args, *_data_args(cut, version.nodes, f"$({OWN_ADDRESS})"))
    return (*args, *_pipeline_args(version.nodes), "--node-rank", "0")


def worker_of(version: Model, server: Server) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return command and arguments of the servers on the other nodes; they hear no caller."""
    command = server.command or ()
    cut = version.parallelism
    if server.engine != VLLM or cut is None:
        return command, (*server.args, *server.extra_args)
    args = (*server.args, *_sizes(cut, (*server.args, *server.extra_args)))
    if cut.data == 1:
        nodes = (*_pipeline_args(version.nodes), "--node-rank", _INDEX)
        return command, (*args, *nodes, "--headless", *server.extra_args)
    local = cut.data // version.nodes
    args = (*args, *_data_args(cut, version.nodes, _LEADER), "--headless", *server.extra_args)
    if local == 1:
        return command, (*args, "--data-parallel-start-rank", _INDEX)
    # The kubelet puts numbers in, it does not multiply them.
    start = f'exec "$@" --data-parallel-start-rank "$((LWS_WORKER_INDEX * {local}))"'
    return ("sh", "-c", start, "sh", *command), args


def _sizes(cut: Parallelism, said: tuple[str, ...]) -> tuple[str, ...]:
    sizes = ((_TENSOR, cut.tensor), (_PIPELINE, cut.pipeline), (_DATA, cut.data))
    return tuple(
        word
        for names, size in sizes
        if size > 1 and not _mentions(said, names)
        for word in (names[0], str(size))
    )


def _mentions(said: tuple[str, ...], names: tuple[str, str]) -> bool:
    return any(word.partition("=")[0] in names for word in said)


def _pipeline_args(nodes: int) -> tuple[str, ...]:
    return ("--nnodes", str(nodes), "--master-addr", _LEADER)


def _data_args(cut: Parallelism, nodes: int, address: str) -> tuple[str, ...]:
    return (
        *("--data-parallel-size-local", str(cut.data // nodes)),
        *("--data-parallel-address", address),
        *("--data-parallel-rpc-port", _RPC_PORT),
    )
