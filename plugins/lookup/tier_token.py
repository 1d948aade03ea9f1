# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""A user's token where a template needs one."""

from __future__ import annotations

DOCUMENTATION = r"""
name: tier_token
short_description: A tier's token, made where a template needs one
version_added: 0.1.0
author:
  - The maas.platform authors (@maas-platform)
description:
  - Makes a token for each user and returns the tokens, in order. The users' accounts are made where
    they are missing.
  - Every time the expression is evaluated, there is another token. Nothing stores them; they end on
    their own, or when their user is revoked.
  - A token shows wherever the value does, so tasks that use it need C(no_log=true).
  - In check mode no token and no account is made; the value is empty text then.
options:
  _terms:
    description:
      - The users, as the identity provider writes their names.
      - Each a name, or a mapping of C(user) with this user's own C(tier) or C(groups), or C(ttl).
    type: list
    elements: raw
    required: true
  tier:
    description: The tier of the tokens.
    type: str
  groups:
    description:
      - The users' groups, instead of O(tier).
      - Of the tiers that have one of them, the highest level wins.
    type: list
    elements: str
  ttl:
    description: How long the tokens live, such as V(1h). Without it, the tier's default_ttl.
    type: str
  api_namespace:
    description: The namespace of the MaaS API, which also holds the catalog of tiers.
    type: str
    default: maas-api
  kubeconfig:
    description:
      - The cluster's kubeconfig, a path or a mapping.
      - C(module_defaults) do not reach lookups, so the shared variable does.
    type: raw
    vars:
      - name: maas_kubeconfig
  context:
    description: The context in the kubeconfig.
    type: str
    vars:
      - name: maas_context
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - maas.platform.cluster
notes:
  - Runs on the control node, wherever the play's tasks run.
seealso:
  - module: maas.platform.tier_token
"""

EXAMPLES = r"""
- name: Ask for the models of alice's tier
  ansible.builtin.uri:
    url: https://maas.example.com/maas-api/v1/models
    headers:
      Authorization: "Bearer {{ lookup('maas.platform.tier_token', 'alice', tier='free') }}"
  no_log: true

- name: Make one token for each of two users
  ansible.builtin.set_fact:
    tokens: "{{ query('maas.platform.tier_token', 'alice', 'bob', groups=['tier-free-users']) }}"
  no_log: true
"""

RETURN = r"""
_raw:
  description: The tokens, one for each user; secrets.
  type: list
  elements: str
"""

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import AUTH_ARGS, Cluster
from ansible_collections.maas.platform.plugins.module_utils._read_catalog import read_catalog
from ansible_collections.maas.platform.plugins.module_utils._token_wishes import read_wishes
from ansible_collections.maas.platform.plugins.module_utils._tokens import grant, mint


class LookupModule(LookupBase):
    """Tokens of users."""

    def run(self, terms, variables=None, **kwargs):
        """Return one token for each term."""
        self.set_options(var_options=variables, direct=kwargs)
        check_mode = bool((variables or {}).get("ansible_check_mode"))
        try:
            usual = [self.get_option(name) for name in ("tier", "groups", "ttl")]
            wishes = read_wishes(terms, *usual)
            cluster = Cluster.connect({name: self.get_option(name) for name in AUTH_ARGS})
            catalog = read_catalog(cluster, self.get_option("api_namespace"))
            minted = mint(cluster, catalog, grant(catalog, wishes), check_mode)
        except MaasError as exc:
            raise AnsibleError(f"maas.platform.tier_token: {exc}") from exc
        # A user who stands there twice gets one token, twice.
        tokens = {wish: entry.token or "" for wish, entry in zip(wishes, minted, strict=True)}
        return [tokens[read_wishes([term], *usual)[0]] for term in terms]
