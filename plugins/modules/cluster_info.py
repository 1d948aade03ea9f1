#!/usr/bin/python
# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Read which cluster this is and what the caller may do there."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_info
short_description: Which cluster this is, and what the caller may do there
version_added: 0.1.0
author:
  - The maas.platform authors (@maas-platform)
description:
  - Reads the version and the identity of a cluster, and asks it about the caller's permissions,
    so that a play can stop before its first change.
attributes:
  check_mode:
    description: Changes nothing.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
options:
  permissions:
    description: What the caller needs; every verb on every resource is asked about.
    type: list
    elements: dict
    default: []
    suboptions:
      group:
        description: The API group; empty for the core group.
        type: str
        default: ""
      resources:
        description: Resources, with a subresource after a slash where one is meant.
        type: list
        elements: str
        required: true
      verbs:
        description: What to do with them.
        type: list
        elements: str
        required: true
      namespace:
        description: Where; empty for the whole cluster.
        type: str
        default: ""
  namespaces:
    description: Namespaces that the platform is going to call its own.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - maas.platform.cluster
"""

EXAMPLES = r"""
- name: Read the cluster and whether it may be changed
  maas.platform.cluster_info:
    permissions:
      - resources: [namespaces, serviceaccounts]
        verbs: [create, delete, patch]
      - group: kuadrant.io
        resources: [authpolicies]
        verbs: [patch]
        namespace: maas-gateway
  register: cluster_found
"""

RETURN = r"""
server:
  description: The address of the API server.
  returned: success
  type: str
  sample: https://127.0.0.1:6443
version:
  description: Its version.
  returned: success
  type: str
  sample: v1.34.4
uid:
  description: The uid of namespace C(kube-system), which no two clusters share.
  returned: success
  type: str
denied:
  description: The permissions asked about that the caller lacks.
  returned: success
  type: list
  elements: dict
  contains:
    verb:
      description: The verb.
      type: str
      returned: success
    group:
      description: The API group.
      type: str
      returned: success
    resource:
      description: The resource.
      type: str
      returned: success
    namespace:
      description: Where; empty for the whole cluster.
      type: str
      returned: success
foreign_namespaces:
  description:
    - Those of O(namespaces) that exist without the labels of what the platform makes,
      C(app.kubernetes.io/managed-by=maas.platform) and C(app.kubernetes.io/part-of=maas).
    - They are somebody else's, and removing the platform would remove them with all they hold.
  returned: success
  type: list
  elements: str
  sample: [team-a]
"""

from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import AUTH_ARGS, Cluster
from ansible_collections.maas.platform.plugins.module_utils._module import MaasModule
from ansible_collections.maas.platform.plugins.module_utils._names import MANAGED_LABELS
from ansible_collections.maas.platform.plugins.module_utils._objects import Key


def run(params, cluster):
    """Return the task's result; reach the cluster through cluster only."""
    version = cluster.version()
    home = cluster.find(Key("v1", "Namespace", "", "kube-system"))
    if home is None:
        raise MaasError(f"{cluster.server} has no namespace kube-system: this is no cluster")
    asked = [
        {
            "verb": verb,
            "group": entry["group"],
            "resource": resource,
            "namespace": entry["namespace"],
        }
        for entry in params["permissions"]
        for resource in entry["resources"]
        for verb in entry["verbs"]
    ]
    answers = cluster.each(lambda entry: cluster.may(**entry), asked)
    keys = [Key("v1", "Namespace", "", name) for name in params["namespaces"]]
    return {
        "changed": False,
        "server": cluster.server,
        "version": version,
        "uid": home["metadata"]["uid"],
        "denied": [entry for entry, allowed in zip(asked, answers, strict=True) if not allowed],
        "foreign_namespaces": [
            found["metadata"]["name"]
            for found in cluster.each(cluster.find, keys)
            if found and not MANAGED_LABELS.items() <= found["metadata"].get("labels", {}).items()
        ],
    }


def main():
    permission = {
        "group": {"type": "str", "default": ""},
        "resources": {"type": "list", "elements": "str", "required": True},
        "verbs": {"type": "list", "elements": "str", "required": True},
        "namespace": {"type": "str", "default": ""},
    }
    spec = {
        **AUTH_ARGS,
        "permissions": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": permission,
        },
        "namespaces": {"type": "list", "elements": "str", "default": []},
    }
    module = MaasModule(argument_spec=spec, supports_check_mode=True)
    try:
        result = run(module.params, Cluster.connect(module.params))
    except MaasError as exc:
        module.fail_from(exc)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
