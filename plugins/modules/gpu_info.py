#!/usr/bin/python
# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Read what GPUs a cluster has, who has them, and whether models find enough."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_info
short_description: The GPUs of a cluster, and whether models find enough of them
version_added: 0.1.0
author:
  - The maas.platform authors (@maas-platform)
description:
  - Reads what the nodes of every pool offer, what of it is taken and what is ill, and why a node
    that should offer GPUs does not.
  - With O(models), adds up what they ask for at most, with canaries and with the upper bound of
    autoscaling, and says for every pool whether that is there.
attributes:
  check_mode:
    description: Changes nothing.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
options:
  pools:
    description: Pools as in the inventory's C(gpu_nodes_pools).
    type: list
    elements: raw
    default: []
  models:
    description: Models as in the inventory's C(maas_models).
    type: list
    elements: raw
    default: []
  model_defaults:
    description: What is merged below every model, the inventory's C(maas_model_defaults).
    type: dict
    default: {}
  model_namespace:
    description: The namespace of models that name none.
    type: str
    default: llm
  gpu_resource:
    description: What models ask for that name no pool.
    type: str
    default: nvidia.com/gpu
  operator_namespace:
    description: Where the operator's pods run, to say why a node offers nothing.
    type: str
    default: gpu-operator
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - maas.platform.cluster
seealso:
  - module: maas.platform.gpu_pools
"""

EXAMPLES = r"""
- name: Read whether the models find their GPUs
  maas.platform.gpu_info:
    pools: "{{ gpu_nodes_pools }}"
    models: "{{ maas_models }}"
  register: gpus_found
  failed_when: gpus_found.problems
"""

RETURN = r"""
nodes:
  description: The nodes that offer GPUs, or should.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The node's name.
      type: str
      returned: success
    pool:
      description: Its pool; empty for none.
      type: str
      returned: success
    resource:
      description: What its GPUs are called; empty where pods make claims.
      type: str
      returned: success
    capacity:
      description: How many it has.
      type: int
      returned: success
    allocatable:
      description: How many of them are well.
      type: int
      returned: success
    taken:
      description: How many pods hold.
      type: int
      returned: success
    usable:
      description: Whether new pods can go there; it is Ready and not cordoned.
      type: bool
      returned: success
    lacks:
      description: What it lacks, or what of it is ill; a line each.
      type: list
      elements: str
      returned: success
pools:
  description:
    - The pools in O(pools), and "(any node)" where a model asks for GPUs and names none.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The pool's name.
      type: str
      returned: success
    resource:
      description: What its GPUs are called.
      type: str
      returned: success
    nodes:
      description: How many nodes it has.
      type: int
      returned: success
    largest:
      description: What the node offers that offers most.
      type: int
      returned: success
    allocatable:
      description: What all nodes offer.
      type: int
      returned: success
    others:
      description: What pods hold that are no model of O(models).
      type: int
      returned: success
    asked:
      description: What models ask for at most.
      type: int
      returned: success
    left:
      description: What would be left; less than 0 where it does not suffice.
      type: int
      returned: success
problems:
  description: What cannot run, a line each.
  returned: success
  type: list
  elements: str
warnings_found:
  description: What can run, but not be changed without a gap, or not always; a line each.
  returned: success
  type: list
  elements: str
table:
  description: The same as a table, a line each.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.maas.platform.plugins.module_utils._capacity import asks_of, judge
from ansible_collections.maas.platform.plugins.module_utils._checks import Problems
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._gpu_nodes import (
    asked_by,
    is_running,
    lacks,
    members,
    read_node,
)
from ansible_collections.maas.platform.plugins.module_utils._gpu_pools import parse_pools
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import AUTH_ARGS, Cluster
from ansible_collections.maas.platform.plugins.module_utils._models import read_models
from ansible_collections.maas.platform.plugins.module_utils._module import MaasModule


def run(params, cluster):
    """Return the task's result; reach the cluster through cluster only."""
    pools = parse_pools(params["pools"])
    problems = Problems()
    models = read_models(
        problems,
        params["models"],
        default_namespace=params["model_namespace"],
        defaults=params["model_defaults"],
    )
    if problems:
        raise MaasError("maas_models is not valid", problems)
    asks = asks_of(models)
    resource = params["gpu_resource"]
    nodes = [read_node(item) for item in cluster.select("v1", "Node")]
    shown = _nodes_shown(nodes, pools, resource)
    # A cluster has many pods: they are asked for where somebody could hold a GPU.
    pods = cluster.select("v1", "Pod") if shown else []
    verdict = judge(asks, nodes, pods, pools, resource)
    operators = [
        pod for pod in pods if pod["metadata"].get("namespace") == params["operator_namespace"]
    ]
    return {
        "changed": False,
        "nodes": [_node(node, pool, resource, pods, operators) for node, pool in shown],
        "pools": [
            {
                "name": row.pool,
                "resource": row.resource,
                "nodes": row.nodes,
                "largest": row.largest,
                "allocatable": row.allocatable,
                "others": row.others,
                "asked": row.asked,
                "left": row.left,
            }
            for row in verdict.rows
        ],
        "problems": verdict.problems,
        "warnings_found": verdict.warnings,
        "table": verdict.table,
    }


def _nodes_shown(nodes, pools, resource):
    """Return the nodes with GPUs, or that should have some, each with its pool."""
    found = []
    for node in nodes:
        home = next((pool for pool in pools.values() if members(pool, [node])), None)
        if home is not None or resource in node.capacity:
            found.append((node, home))
    return found


def _node(node, pool, resource, pods, operators):
    name = pool.resource if pool else resource
    return {
        "name": node.name,
        "pool": pool.name if pool else "",
        "resource": name,
        "capacity": node.capacity.get(name, 0),
        "allocatable": node.allocatable.get(name, 0),
        "taken": sum(
            asked_by(pod, name)
            for pod in pods
            if is_running(pod) and pod["spec"]["nodeName"] == node.name
        ),
        "usable": node.ready and not node.cordoned,
        "lacks": lacks(node, pool, operators) if pool else [],
    }


def main():
    spec = {
        **AUTH_ARGS,
        "pools": {"type": "list", "elements": "raw", "default": []},
        "models": {"type": "list", "elements": "raw", "default": []},
        "model_defaults": {"type": "dict", "default": {}},
        "model_namespace": {"type": "str", "default": "llm"},
        "gpu_resource": {"type": "str", "default": "nvidia.com/gpu"},
        "operator_namespace": {"type": "str", "default": "gpu-operator"},
    }
    module = MaasModule(argument_spec=spec, supports_check_mode=True)
    try:
        result = run(module.params, Cluster.connect(module.params))
    except MaasError as exc:
        module.fail_from(exc)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
