#!/usr/bin/python
# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Mark the nodes of GPU pools, and wait for their GPUs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_pools
short_description: Mark the nodes of GPU pools, and wait for their GPUs
version_added: 0.1.0
author:
  - The maas.platform authors (@maas-platform)
description:
  - Gives the nodes of every pool its labels and taints, and takes them off nodes that are in no
    pool any more. A node remembers in an annotation what it was given and what it had before, so
    what others put on it stays.
  - Refuses, before it changes anything, pools without a node, nodes in two pools, and labels and
    taints that contradict those that others put on a node.
attributes:
  check_mode:
    description: Says what would change, by the API server's own dry run; waits for nothing.
    support: full
  diff_mode:
    description: Shows labels, taints and the annotation of nodes that change.
    support: full
options:
  pools:
    description: Pools as in the inventory's C(gpu_nodes_pools).
    type: list
    elements: raw
    default: []
  state:
    description: With V(absent), every node gets back what it had, and O(pools) does not matter.
    type: str
    choices: [present, absent]
    default: present
  sharing_labels:
    description:
      - Whether to set the labels by which NVIDIA's operator learns how a node's GPUs are shared.
      - Not where somebody else runs the device plugin.
    type: bool
    default: true
  wait:
    description: Whether to wait until every node of every pool offers its pool's resource.
    type: bool
    default: false
  wait_timeout:
    description: How long, in seconds.
    type: int
    default: 900
  operator_namespace:
    description: Where the operator's pods run, to say what keeps a node waiting.
    type: str
    default: gpu-operator
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - maas.platform.cluster
seealso:
  - module: maas.platform.gpu_info
"""

EXAMPLES = r"""
- name: Mark the nodes with GPUs
  maas.platform.gpu_pools:
    pools:
      - name: h100
        selector: {node.kubernetes.io/instance-type: p5.48xlarge}
        taints: [{key: nvidia.com/gpu, effect: NoSchedule}]
      - name: slices
        selector: {node.kubernetes.io/instance-type: g5.2xlarge}
        sharing: {time_slicing: 4}
    wait: true

- name: Give the nodes back as they were
  maas.platform.gpu_pools:
    state: absent
"""

RETURN = r"""
nodes:
  description: The nodes that changed.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The node's name.
      type: str
      returned: success
    pool:
      description: The pool it is in; empty for none.
      type: str
      returned: success
    patch:
      description: What was changed, as a merge patch.
      type: dict
      returned: success
lacking:
  description: What nodes of pools lack, devices that are ill included; a line each.
  returned: success
  type: list
  elements: str
  sample: ["node gpu-1, pool h100: 1 of 8 nvidia.com/gpu are ill, says the device plugin"]
"""

from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._gpu_pools import (
    converge,
    missing,
    parse_pools,
    wait_allocatable,
)
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import AUTH_ARGS, Cluster
from ansible_collections.maas.platform.plugins.module_utils._module import MaasModule


def run(params, cluster, check_mode=False):
    """Return the task's result; reach the cluster through cluster only."""
    pools = parse_pools(params["pools"]) if params["state"] == "present" else {}
    changes = converge(cluster, pools, params["sharing_labels"], check_mode)
    namespace = params["operator_namespace"]
    if params["wait"] and not check_mode:
        wait_allocatable(cluster, pools, namespace, params["wait_timeout"])
    return {
        "changed": bool(changes),
        "nodes": [
            {"name": change.name, "pool": change.pool, "patch": change.patch} for change in changes
        ],
        "lacking": missing(cluster, pools, namespace, strict=False),
        "diff": [
            {
                "before_header": f"Node {change.name}",
                "after_header": f"Node {change.name}",
                "before": change.before,
                "after": change.after,
            }
            for change in changes
        ],
    }


def main():
    spec = {
        **AUTH_ARGS,
        "pools": {"type": "list", "elements": "raw", "default": []},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "sharing_labels": {"type": "bool", "default": True},
        "wait": {"type": "bool", "default": False},
        "wait_timeout": {"type": "int", "default": 900},
        "operator_namespace": {"type": "str", "default": "gpu-operator"},
    }
    module = MaasModule(argument_spec=spec, supports_check_mode=True)
    try:
        result = run(module.params, Cluster.connect(module.params), module.check_mode)
    except MaasError as exc:
        module.fail_from(exc)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
