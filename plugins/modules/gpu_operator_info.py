#!/usr/bin/python
# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Read what an operator for GPUs would meet on a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_operator_info
short_description: What an operator for GPUs would meet on a cluster
version_added: 0.1.0
author:
  - The maas.platform authors (@maas-platform)
description:
  - Finds operators, device plugins and Node Feature Discovery that somebody else installed, so that
    a play can stop before its first change.
  - Says from what Node Feature Discovery found whether the nodes have a driver of their own.
attributes:
  check_mode:
    description: Changes nothing.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
options:
  provider:
    description: Whose operator is to be installed.
    type: str
    choices: [nvidia, amd, none]
    default: nvidia
  pools:
    description: Pools as in the inventory's C(gpu_nodes_pools).
    type: list
    elements: raw
    default: []
  discovery:
    description: Whether Node Feature Discovery is to be installed, too.
    type: bool
    default: true
  operator_namespace:
    description: The operator's namespace.
    type: str
    default: gpu-operator
  discovery_namespace:
    description: Node Feature Discovery's namespace.
    type: str
    default: node-feature-discovery
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - maas.platform.cluster
seealso:
  - module: maas.platform.gpu_pools
"""

EXAMPLES = r"""
- name: See whether somebody else brings GPUs to this cluster
  maas.platform.gpu_operator_info:
    pools: "{{ gpu_nodes_pools }}"
  register: gpus_met
  failed_when: gpus_met.conflicts
"""

RETURN = r"""
conflicts:
  description: What stands in the way, a line each with what to do about it.
  returned: success
  type: list
  elements: str
driver:
  description: >-
    Who brings the driver of the pools' nodes. V(host) where they have their own, V(operator) where
    they have none, V(unknown) where that cannot be told, or not yet.
  returned: success
  type: str
  sample: operator
driver_problems:
  description: Why it cannot be told, a line each.
  returned: success
  type: list
  elements: str
unseen:
  description: Nodes of pools that Node Feature Discovery has not looked at yet.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._gpu_checks import (
    Scene,
    Wish,
    conflicts,
    find_driver,
)
from ansible_collections.maas.platform.plugins.module_utils._gpu_nodes import read_node
from ansible_collections.maas.platform.plugins.module_utils._gpu_pools import parse_pools
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import (
    AUTH_ARGS,
    ApiError,
    Cluster,
)
from ansible_collections.maas.platform.plugins.module_utils._module import MaasModule

_CLAIMS = "/apis/resource.k8s.io/v1"


def run(params, cluster):
    """Return the task's result; reach the cluster through cluster only."""
    pools = parse_pools(params["pools"])
    wish = Wish(
        params["provider"],
        params["discovery"],
        params["operator_namespace"],
        params["discovery_namespace"],
    )
    scene = Scene(
        nodes=[read_node(item) for item in cluster.select("v1", "Node")],
        namespaces=cluster.select("v1", "Namespace"),
        daemon_sets=cluster.select("apps/v1", "DaemonSet"),
        cluster_policies=cluster.select("nvidia.com/v1", "ClusterPolicy"),
        features=cluster.select("nfd.k8s-sigs.io/v1alpha1", "NodeFeature"),
        claims=_serves_claims(cluster),
    )
    drivers = find_driver(wish, scene, pools)
    return {
        "changed": False,
        "conflicts": conflicts(wish, scene, pools),
        "driver": drivers.driver,
        "driver_problems": drivers.problems,
        "unseen": drivers.unknown,
    }


def _serves_claims(cluster):
    try:
        cluster.request("GET", _CLAIMS)
    except ApiError as exc:
        if exc.status == 404:
            return False
        raise
    return True


def main():
    spec = {
        **AUTH_ARGS,
        "provider": {"type": "str", "choices": ["nvidia", "amd", "none"], "default": "nvidia"},
        "pools": {"type": "list", "elements": "raw", "default": []},
        "discovery": {"type": "bool", "default": True},
        "operator_namespace": {"type": "str", "default": "gpu-operator"},
        "discovery_namespace": {"type": "str", "default": "node-feature-discovery"},
    }
    module = MaasModule(argument_spec=spec, supports_check_mode=True)
    try:
        result = run(module.params, Cluster.connect(module.params))
    except MaasError as exc:
        module.fail_from(exc)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
