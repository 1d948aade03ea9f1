#!/usr/bin/python
# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Read the tiers of a cluster and what is in force."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tier_info
short_description: The tiers of a cluster, their users and whether their policies are in force
version_added: 0.1.0
author:
  - The maas.platform authors (@maas-platform)
description:
  - Reads the catalog of tiers, the accounts in each and the state of the gateway's policies.
attributes:
  check_mode:
    description: Changes nothing.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
options:
  name:
    description: Only this tier; one that does not exist is an error.
    type: str
  users:
    description: Whether to read the users with an account in each tier.
    type: bool
    default: false
  gateway_namespace:
    description: The namespace of the public Gateway and its policies.
    type: str
    default: maas-gateway
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - maas.platform.catalog
  - maas.platform.cluster
seealso:
  - module: maas.platform.tier_policies
"""

EXAMPLES = r"""
- name: Read the tiers and who is in them
  maas.platform.tier_info:
    users: true
  register: tiers_found
"""

RETURN = r"""
revision:
  description: The revision of the catalog.
  returned: success
  type: str
tiers:
  description: The tiers as in the catalog, lowest level first, with C(users) where asked for.
  returned: success
  type: list
  elements: dict
policies:
  description: The gateway's policies.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: The policy's kind.
      type: str
      returned: success
    name:
      description: Its name.
      type: str
      returned: success
    revision:
      description: The revision it was rendered from.
      type: str
      returned: success
    enforced:
      description: Whether Kuadrant says that its present generation is in force.
      type: bool
      returned: success
    missing:
      description: What it lacks to be in force.
      type: str
      returned: success
"""

from ansible_collections.maas.platform.plugins.module_utils._accounts import owner_of
from ansible_collections.maas.platform.plugins.module_utils._catalog import catalog_entries
from ansible_collections.maas.platform.plugins.module_utils._enforcement import (
    POLICY_KINDS,
    policy_state,
)
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import AUTH_ARGS, Cluster
from ansible_collections.maas.platform.plugins.module_utils._module import MaasModule
from ansible_collections.maas.platform.plugins.module_utils._names import (
    ACCOUNT_LABEL,
    FIELD_MANAGER,
    PART_LABEL,
    REVISION_ANNOTATION,
)
from ansible_collections.maas.platform.plugins.module_utils._read_catalog import read_catalog
from ansible_collections.maas.platform.plugins.module_utils._tiers import find_tier


def run(params, cluster):
    """Return the task's result; reach the cluster through cluster only."""
    catalog = read_catalog(cluster, params["api_namespace"])
    tiers = catalog.tiers
    if params["name"] is not None:
        tiers = [find_tier(tiers, params["name"])]
    entries = catalog_entries(tiers)
    if params["users"]:
        for entry, users in zip(
            entries, cluster.each(lambda entry: _users(cluster, entry), entries), strict=True
        ):
            entry["users"] = users
    selector = f"app.kubernetes.io/managed-by={FIELD_MANAGER},{PART_LABEL}=policies"
    found = cluster.each(
        lambda kind: cluster.select(*kind, params["gateway_namespace"], selector), POLICY_KINDS
    )
    return {
        "changed": False,
        "revision": catalog.revision,
        "tiers": entries,
        "policies": [_policy(item) for items in found for item in items],
    }


def _users(cluster, entry):
    accounts = cluster.select("v1", "ServiceAccount", entry["namespace"], f"{ACCOUNT_LABEL}=true")
    return sorted(filter(None, map(owner_of, accounts)))


def _policy(item):
    missing = policy_state(item)
    annotations = item["metadata"].get("annotations") or {}
    return {
        "kind": item["kind"],
        "name": item["metadata"]["name"],
        "revision": annotations.get(REVISION_ANNOTATION, ""),
        "enforced": not missing,
        "missing": missing,
    }


def main():
    spec = {
        **AUTH_ARGS,
        "name": {"type": "str"},
        "users": {"type": "bool", "default": False},
        "gateway_namespace": {"type": "str", "default": "maas-gateway"},
        "api_namespace": {"type": "str", "default": "maas-api"},
    }
    module = MaasModule(argument_spec=spec, supports_check_mode=True)
    try:
        result = run(module.params, Cluster.connect(module.params))
    except MaasError as exc:
        module.fail_from(exc)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
