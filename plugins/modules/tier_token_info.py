#!/usr/bin/python
# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Say whether a token is good, whose it is, and why it is not."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tier_token_info
short_description: Whether a tier's token is good, whose it is, and why it is not
version_added: 0.1.0
author:
  - The maas.platform authors (@maas-platform)
description:
  - Asks the API server about a token and the catalog about its tier. A token that is not good is a
    result, no failure.
  - The API server decides. Why it said no is taken from its own words and, where those say too
    little, from what the token says of itself.
attributes:
  check_mode:
    description: Changes nothing.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
options:
  token:
    description: The token, as M(maas.platform.tier_token) or the MaaS API made it.
    type: str
    required: true
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - maas.platform.catalog
  - maas.platform.cluster
notes:
  - Needs the permission to create C(tokenreviews).
seealso:
  - module: maas.platform.tier_token
"""

EXAMPLES = r"""
- name: Look at a token that somebody says does not work
  maas.platform.tier_token_info:
    token: "{{ lookup('ansible.builtin.file', 'alice.token') }}"
  register: token_found
  failed_when: not token_found.valid
"""

RETURN = r"""
valid:
  description: Whether the gateway takes the token.
  returned: success
  type: bool
reason:
  description:
    - Why it does not, empty where it does.
    - V(expired).
    - V(revoked), its account is gone.
    - V(wrong_audience), made for something else than the gateway, such as a login token.
    - V(forged), not signed by this cluster, or no token at all.
    - V(no_tier), an account outside the tiers.
    - V(suspended), its user is, by C(maas_user_overrides).
    - V(disabled), its tier is.
    - V(ended), its tier was renamed or removed, and the time for older tokens is over.
  returned: success
  type: str
  sample: expired
message:
  description: The same as a sentence.
  returned: success
  type: str
user:
  description: Whose token it is, as the identity provider writes the name. Empty where unknown.
  returned: success
  type: str
namespace:
  description: The namespace of the token's account; what a forged token claims is left out.
  returned: success
  type: str
account:
  description: The name of the token's account, a ServiceAccount.
  returned: success
  type: str
tier:
  description: The tier whose rights the token has, or had.
  returned: success
  type: str
limits:
  description:
    - What the user may use in that tier - C(requests), C(tokens), C(models).
  returned: success
  type: dict
models:
  description: The models of that tier, each a C(namespace) and a C(name).
  returned: success
  type: list
  elements: dict
expires_at:
  description: When the token ends, or ended, in UTC.
  returned: success
  type: str
  sample: "2026-11-24T09:00:00Z"
remaining_seconds:
  description: How long the token is good; 0 where it is not.
  returned: success
  type: int
"""

from datetime import datetime, timezone

from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import AUTH_ARGS, Cluster
from ansible_collections.maas.platform.plugins.module_utils._module import MaasModule
from ansible_collections.maas.platform.plugins.module_utils._read_catalog import read_catalog
from ansible_collections.maas.platform.plugins.module_utils._token_info import inspect


def run(params, cluster, now=None):
    """Return the task's result; reach the cluster through cluster only."""
    catalog = read_catalog(cluster, params["api_namespace"])
    moment = now or datetime.now(timezone.utc)  # noqa: UP017 - older Pythons
    return {"changed": False, **inspect(cluster, catalog, params["token"].strip(), moment)}


def main():
    spec = {
        **AUTH_ARGS,
        "token": {"type": "str", "required": True, "no_log": True},
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
