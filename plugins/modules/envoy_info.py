#!/usr/bin/python
# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Ask Envoys whether they run what they were given."""

from __future__ import annotations

DOCUMENTATION = r"""
module: envoy_info
short_description: Whether the Gateways' Envoys run what EnvoyPatchPolicies give them
version_added: 0.1.0
author:
  - The maas.platform authors (@maas-platform)
description:
  - Waits until every ready Envoy runs the scripts of the EnvoyPatchPolicies that
    O(label_selector) selects.
  - Fails where one refuses what Envoy Gateway sends it, in the Envoy's own words. Conditions do not
    tell, Envoy Gateway calls a policy programmed all the same.
attributes:
  check_mode:
    description: Changes nothing.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
options:
  gateway_namespace:
    description: The namespace of the Gateways and the policies.
    type: str
    default: maas-gateway
  label_selector:
    description: Which EnvoyPatchPolicies.
    type: str
    default: app.kubernetes.io/managed-by=maas.platform,maas.platform/part=filters
  wait_timeout:
    description: How many seconds to wait.
    type: int
    default: 60
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - maas.platform.cluster
"""

EXAMPLES = r"""
- name: Wait until Envoys read requests
  maas.platform.envoy_info:
    wait_timeout: 30
"""

RETURN = r"""
envoys:
  description: The pods that run the scripts, once for each policy.
  returned: success
  type: list
  elements: str
unreadable:
  description: Why Envoys could not be asked, where the credentials do not allow it; else empty.
  returned: success
  type: str
"""

from ansible_collections.maas.platform.plugins.module_utils._envoy_scripts import await_scripts
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import AUTH_ARGS, Cluster
from ansible_collections.maas.platform.plugins.module_utils._module import MaasModule


def run(params, cluster):
    """Return the task's result; reach the cluster through cluster only."""
    envoys, unreadable = await_scripts(
        cluster, params["gateway_namespace"], params["label_selector"], params["wait_timeout"]
    )
    return {"changed": False, "envoys": envoys, "unreadable": unreadable}


def main():
    spec = {
        **AUTH_ARGS,
        "gateway_namespace": {"type": "str", "default": "maas-gateway"},
        "label_selector": {
            "type": "str",
            "default": "app.kubernetes.io/managed-by=maas.platform,maas.platform/part=filters",
        },
        "wait_timeout": {"type": "int", "default": 60},
    }
    module = MaasModule(argument_spec=spec, supports_check_mode=True)
    try:
        result = run(module.params, Cluster.connect(module.params))
    except MaasError as exc:
        module.fail_from(exc)
    if result["unreadable"]:
        module.warn(f"Whether Envoys run their scripts is not known: {result['unreadable']}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
