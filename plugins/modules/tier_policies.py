#!/usr/bin/python
# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Converge what the tiers need on a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tier_policies
short_description: Namespaces, access, catalog and gateway policies of the tiers
version_added: 0.1.0
author:
  - The maas.platform authors (@maas-platform)
description:
  - Renders everything that tiers need from O(tiers) and O(models), and brings the cluster to it
    with server-side apply, field manager C(maas.platform).
  - Objects of earlier runs that nothing renders any more are deleted. A tier that is gone from
    O(tiers) while users still have accounts in it is refused before anything changes.
  - The policies switch only after every ready replica of the MaaS API has read the new tiers,
    and the module returns when they are in force at the gateway.
attributes:
  check_mode:
    description:
      - The API server says what would change.
      - Objects whose namespace or kind is still to be made count as created.
    support: full
  diff_mode:
    description: Every changed object, before and after.
    support: full
options:
  tiers:
    description:
      - The tiers, as in the inventory's C(maas_tiers).
      - Required unless O(state=absent).
    type: list
    elements: raw
  models:
    description: The models, as in the inventory's C(maas_models).
    type: list
    elements: raw
    default: []
  parts:
    description: Which parts to converge; they are applied in this order whatever the order here.
    type: list
    elements: str
    choices: [namespaces, access, catalog, policies]
    default: [namespaces, access, catalog, policies]
  gateway_namespace:
    description: The namespace of the public Gateway; the policies stand beside it.
    type: str
    default: maas-gateway
  kuadrant_namespace:
    description: The namespace in which Kuadrant keeps what it made of the policies.
    type: str
    default: kuadrant-system
  state:
    description:
      - V(present) converges, V(absent) deletes the chosen parts with all accounts in them.
      - V(rendered) reaches for no cluster and returns the objects.
    type: str
    choices: [present, absent, rendered]
    default: present
  wait:
    description: Whether to wait until the policies are in force, or the objects gone.
    type: bool
    default: true
  wait_timeout:
    description: How many seconds each wait may take.
    type: int
    default: 120
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - maas.platform.catalog
  - maas.platform.cluster
seealso:
  - module: maas.platform.tier_info
  - module: maas.platform.tier_token
"""

EXAMPLES = r"""
- name: Bring the tiers of the inventory into force
  maas.platform.tier_policies:
    tiers: "{{ maas_tiers }}"
    models: "{{ maas_models }}"

- name: Read what would be applied, without a cluster
  maas.platform.tier_policies:
    state: rendered
    tiers: "{{ maas_tiers }}"
    models: "{{ maas_models }}"
  register: tiers_rendered
"""

RETURN = r"""
revision:
  description: A short name of exactly these tiers; empty where O(state=absent).
  returned: success
  type: str
  sample: 3f2a9c1b7d60
objects:
  description: What became of every object that changed, or would become of it in check mode.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: The object's kind.
      type: str
      returned: success
    namespace:
      description: Its namespace, empty where it has none.
      type: str
      returned: success
    name:
      description: Its name.
      type: str
      returned: success
    action:
      description: Either C(created), C(updated) or C(deleted).
      type: str
      returned: success
manifests:
  description: The rendered objects; empty unless O(state=rendered).
  returned: success
  type: list
  elements: dict
"""

from ansible_collections.maas.platform.plugins.module_utils._convergence import (
    Run,
    converge,
    remove,
)
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import AUTH_ARGS, Cluster
from ansible_collections.maas.platform.plugins.module_utils._module import MaasModule
from ansible_collections.maas.platform.plugins.module_utils._objects import write_diff
from ansible_collections.maas.platform.plugins.module_utils._policies import (
    PARTS,
    Platform,
    render,
)
from ansible_collections.maas.platform.plugins.module_utils._tiers import parse_inventory


def run(params, connect, check_mode=False, diff_mode=False):
    """Return the task's result; connect gives the cluster where one is needed."""
    how = Run(
        parts=tuple(params["parts"]),
        dry_run=check_mode,
        look=diff_mode,
        wait_seconds=params["wait_timeout"] if params["wait"] else 0,
        kuadrant_namespace=params["kuadrant_namespace"],
    )
    if params["state"] == "absent":
        return _result(remove(connect(), how))
    platform = Platform(params["gateway_namespace"], params["api_namespace"])
    inventory = parse_inventory(params["tiers"], params["models"])
    rendered = render(inventory.tiers, inventory.models, platform)
    if params["state"] == "rendered":
        return _result([], rendered.revision, rendered.chosen(how.parts))
    return _result(converge(connect(), rendered, platform, how), rendered.revision)


def _result(changes, revision="", manifests=()):
    changed = [change for change in changes if change.changed]
    return {
        "changed": bool(changed),
        "revision": revision,
        "objects": [
            {
                "kind": change.key.kind,
                "namespace": change.key.namespace,
                "name": change.key.name,
                "action": change.action,
            }
            for change in changed
        ],
        "manifests": list(manifests),
        "diff": write_diff(changed),
    }


def main():
    spec = {
        **AUTH_ARGS,
        "tiers": {"type": "list", "elements": "raw"},
        "models": {"type": "list", "elements": "raw", "default": []},
        "parts": {
            "type": "list",
            "elements": "str",
            "choices": list(PARTS),
            "default": list(PARTS),
        },
        "gateway_namespace": {"type": "str", "default": "maas-gateway"},
        "api_namespace": {"type": "str", "default": "maas-api"},
        "kuadrant_namespace": {"type": "str", "default": "kuadrant-system"},
        "state": {
            "type": "str",
            "choices": ["present", "absent", "rendered"],
            "default": "present",
        },
        "wait": {"type": "bool", "default": True},
        "wait_timeout": {"type": "int", "default": 120},
    }
    module = MaasModule(
        argument_spec=spec,
        supports_check_mode=True,
        required_if=[("state", "present", ["tiers"]), ("state", "rendered", ["tiers"])],
    )
    try:
        result = run(
            module.params,
            lambda: Cluster.connect(module.params),
            module.check_mode,
            module._diff,
        )
    except MaasError as exc:
        module.fail_from(exc)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
