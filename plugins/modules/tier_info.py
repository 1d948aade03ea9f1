#!/usr/bin/python
# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Read the tiers of a cluster and what is in force."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tier_info
short_description: The tiers of a cluster, who is in them, and whether they are in force
version_added: 0.1.0
author:
  - The maas.platform authors (@maas-platform)
description:
  - Reads the catalog of tiers, the accounts in each, tiers' namespaces on their way out, users with
    limits of their own, and the state of the gateway's policies.
  - With O(tiers), also says in what the cluster differs from them, drift made by hand included.
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
    description: Whether to name the users with an account in each tier.
    type: bool
    default: false
  tiers:
    description: Tiers as in the inventory's C(maas_tiers), to compare the cluster with.
    type: list
    elements: raw
  models:
    description: The models that O(tiers) may name, as in the inventory's C(maas_models).
    type: list
    elements: raw
    default: []
  overrides:
    description: Users with limits of their own, or suspended; C(maas_user_overrides).
    type: list
    elements: raw
    default: []
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

- name: Look for drift
  maas.platform.tier_info:
    tiers: "{{ maas_tiers }}"
    models: "{{ maas_models }}"
    overrides: "{{ maas_user_overrides | default([]) }}"
  register: tiers_compared
  failed_when: tiers_compared.drift
"""

RETURN = r"""
revision:
  description: The revision of the catalog.
  returned: success
  type: str
tiers:
  description:
    - The tiers as in the catalog, lowest level first.
    - With C(account_count), and where O(users) asks for it C(users) with their names and
      C(last_token_at) with the time of each one's last token from the MaaS API, as far as known.
  returned: success
  type: list
  elements: dict
former:
  description:
    - Namespaces whose tier was renamed, migrates or drains, as in the catalog, with the deadline
      C(until), and with C(account_count), C(users) and C(last_token_at) as in RV(tiers).
  returned: success
  type: list
  elements: dict
overrides:
  description: Users with limits of their own, or suspended, as in the catalog.
  returned: success
  type: list
  elements: dict
strays:
  description: Accounts that stand for nobody, as C(<namespace>/<name>); the next run prunes them.
  returned: success
  type: list
  elements: str
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
drift:
  description: In what the cluster differs from O(tiers), a line each; empty without them.
  returned: success
  type: list
  elements: str
  sample: ["tier free: requests 500 per 2m -> 5 per 2m"]
"""

from ansible_collections.maas.platform.plugins.module_utils._accounts import owner_of
from ansible_collections.maas.platform.plugins.module_utils._catalog import write_catalog
from ansible_collections.maas.platform.plugins.module_utils._comparison import compare
from ansible_collections.maas.platform.plugins.module_utils._convergence import utc_now
from ansible_collections.maas.platform.plugins.module_utils._enforcement import (
    POLICY_KINDS,
    policy_state,
)
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import AUTH_ARGS, Cluster
from ansible_collections.maas.platform.plugins.module_utils._live import read_live, revision_of
from ansible_collections.maas.platform.plugins.module_utils._module import MaasModule
from ansible_collections.maas.platform.plugins.module_utils._names import (
    CATALOG_FORMER_KEY,
    CATALOG_KEY,
    CATALOG_OVERRIDES_KEY,
    LAST_TOKEN_ANNOTATION,
)
from ansible_collections.maas.platform.plugins.module_utils._policies import Platform
from ansible_collections.maas.platform.plugins.module_utils._read_catalog import read_catalog
from ansible_collections.maas.platform.plugins.module_utils._tiers import (
    find_tier,
    parse_inventory,
)


def run(params, cluster, now=utc_now):
    """Return the task's result; reach the cluster through cluster only."""
    drift = []
    platform = Platform(params["gateway_namespace"], params["api_namespace"])
    live = read_live(cluster, platform)
    if params["tiers"] is not None:
        inventory = parse_inventory(
            params["tiers"], params["models"], raw_overrides=params["overrides"]
        )
        drift = compare(live, inventory, platform, now())
    catalog = live.catalog or read_catalog(cluster, params["api_namespace"]).content
    written = write_catalog(catalog)
    tiers, former = written[CATALOG_KEY], written.get(CATALOG_FORMER_KEY, [])
    if params["name"] is not None:
        find_tier(catalog.tiers, params["name"])
        tiers = [entry for entry in tiers if entry["name"] == params["name"]]
        former = [entry for entry in former if entry["tier"] == params["name"]]
    for entry in (*tiers, *former):
        entry.update(_accounts(live.accounts.get(entry["namespace"], []), params["users"]))
    kinds = {kind for _version, kind in POLICY_KINDS}
    return {
        "changed": False,
        "revision": live.revision,
        "tiers": tiers,
        "former": former,
        "overrides": written.get(CATALOG_OVERRIDES_KEY, []),
        "strays": sorted(map(_place, live.strays())),
        "policies": [
            _policy(item) for _key, item in sorted(live.objects.items()) if item["kind"] in kinds
        ],
        "drift": drift,
    }


def _accounts(accounts, named):
    facts = {"account_count": len(accounts)}
    if named:
        owners = {user: account for account in accounts if (user := owner_of(account))}
        notes = {
            user: (account["metadata"].get("annotations") or {}).get(LAST_TOKEN_ANNOTATION)
            for user, account in sorted(owners.items())
        }
        facts["users"] = list(notes)
        facts["last_token_at"] = {user: time for user, time in notes.items() if time}
    return facts


def _policy(item):
    missing = policy_state(item)
    return {
        "kind": item["kind"],
        "name": item["metadata"]["name"],
        "revision": revision_of(item),
        "enforced": not missing,
        "missing": missing,
    }


def _place(item):
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"


def main():
    spec = {
        **AUTH_ARGS,
        "name": {"type": "str"},
        "users": {"type": "bool", "default": False},
        "tiers": {"type": "list", "elements": "raw"},
        "models": {"type": "list", "elements": "raw", "default": []},
        "overrides": {"type": "list", "elements": "raw", "default": []},
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
