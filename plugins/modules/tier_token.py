#!/usr/bin/python
# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Make tokens of a tier for users, and take them away."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tier_token
short_description: Tokens that let users call the models of their tier
version_added: 0.1.0
author:
  - The maas.platform authors (@maas-platform)
description:
  - With O(state=present), makes one token for each user, and the user's account where it is
    missing. A token is stored nowhere on the cluster and cannot be read again.
  - With O(state=revoked), deletes accounts and returns when the gateway refuses all their tokens,
    those of former tiers, which were renamed or removed, included.
  - Any number of users costs one task, over one pool of connections.
  - The result holds the tokens, for C(register). Ansible shows no result with a token in it, at no
    verbosity, unless O(show_tokens=true); tasks that use the registered result still need
    C(no_log=true).
attributes:
  check_mode:
    description: Accounts are tried out on the API server; no token is made.
    support: full
  diff_mode:
    description: There is nothing to show that would not be a secret.
    support: none
options:
  user:
    description: The user's name, as the identity provider writes it.
    type: str
  users:
    description:
      - Many users at once.
      - An entry is a user's name, or a mapping of C(user) and what holds for this user only -
        C(tier) or C(groups), and C(ttl).
      - Where one of them may not have a token, no token is made at all.
    type: list
    elements: raw
  tier:
    description:
      - The tier of the tokens.
      - With O(state=revoked) and no users, everybody in this tier is revoked. Users are always
        revoked in every tier.
    type: str
  groups:
    description:
      - The users' groups, instead of O(tier).
      - Of the tiers that have one of them, the highest level wins.
    type: list
    elements: str
  ttl:
    description:
      - How long the tokens live, such as V(4h). At least V(10m), at most the tier's max_ttl.
      - Without it, the tier's default_ttl. The API server may be set to make shorter ones.
    type: str
  state:
    description: Whether the users are to have a token, or none that works.
    type: str
    choices: [present, revoked]
    default: present
  show_tokens:
    description:
      - Whether Ansible may print a result that holds tokens.
      - For runs without a playbook, whose printed result is all there is.
    type: bool
    default: false
  wait:
    description: With O(state=revoked), whether to wait until the gateway refuses the tokens.
    type: bool
    default: true
  wait_timeout:
    description: How many seconds to wait.
    type: int
    default: 60
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - maas.platform.catalog
  - maas.platform.cluster
seealso:
  - module: maas.platform.tier_token_info
  - module: maas.platform.tier_info
  - plugin: maas.platform.tier_token
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Make a token for one user
  maas.platform.tier_token:
    user: alice
    tier: free
    ttl: 4h
  no_log: true
  register: alice_token

- name: Make tokens for a course, in the tier that their groups belong to
  maas.platform.tier_token:
    users: "{{ course_members }}"
    groups: [tier-premium-users]
  no_log: true
  register: course_tokens

- name: Make tokens for users who differ
  maas.platform.tier_token:
    users:
      - alice
      - {user: carol, groups: [tier-premium-users, staff]}
      - {user: batch, tier: enterprise, ttl: 12h}
    tier: free
  no_log: true
  register: team_tokens

- name: Take every token of a user away
  maas.platform.tier_token:
    user: mallory
    state: revoked

- name: Take every token of a tier away
  maas.platform.tier_token:
    tier: trial
    state: revoked
"""

RETURN = r"""
token:
  description: The token where there is exactly one; a secret. Empty in check mode.
  returned: success
  type: str
expires_at:
  description: When that token ends, in UTC.
  returned: success
  type: str
  sample: "2026-11-24T09:00:00Z"
tokens:
  description: One entry for each user; holds secrets. Empty where O(state=revoked).
  returned: success
  type: list
  elements: dict
  contains:
    user:
      description: The user.
      type: str
      returned: success
    tier:
      description: The token's tier.
      type: str
      returned: success
    namespace:
      description: The namespace of the user's account.
      type: str
      returned: success
    account:
      description: The name of the user's account, a ServiceAccount.
      type: str
      returned: success
    token:
      description: The token; a secret. Empty in check mode.
      type: str
      returned: success
    expires_at:
      description: When the token ends, in UTC. Empty in check mode.
      type: str
      returned: success
    limits:
      description:
        - What this user may use - C(requests) and C(tokens), each V(unlimited) or a list of
          C(limit) and C(windowSeconds), and C(models) with what differs for single models.
        - Limits of the user's own, from C(maas_user_overrides), stand in place of the tier's.
      type: dict
      returned: success
    models:
      description: The models that the token may call, each a C(namespace) and a C(name).
      type: list
      elements: dict
      returned: success
revoked:
  description: The users who had an account that is gone now.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.maas.platform.plugins.module_utils._accounts import check_user
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import AUTH_ARGS, Cluster
from ansible_collections.maas.platform.plugins.module_utils._module import MaasModule
from ansible_collections.maas.platform.plugins.module_utils._read_catalog import read_catalog
from ansible_collections.maas.platform.plugins.module_utils._token_wishes import read_wishes
from ansible_collections.maas.platform.plugins.module_utils._tokens import (
    grant,
    mint,
    revoke_tier,
    revoke_users,
)


def run(params, cluster, check_mode=False):
    """Return the task's result; reach the cluster through cluster only."""
    result = {"changed": False, "token": None, "expires_at": None, "tokens": [], "revoked": []}
    if params["state"] == "revoked":
        result["revoked"] = _revoke(params, cluster, check_mode)
        result["changed"] = bool(result["revoked"])
        return result
    users = _users(params)
    if users is None:
        raise MaasError("no token was made, because no user was given; give user or users")
    wishes = read_wishes(users, params["tier"], params["groups"], params["ttl"])
    catalog = read_catalog(cluster, params["api_namespace"])
    minted = mint(cluster, catalog, grant(catalog, wishes), check_mode)
    # A token changes nothing on the cluster; an account does.
    result["changed"] = any(entry.created for entry in minted)
    result["tokens"] = [entry.as_result() for entry in minted]
    if len(minted) == 1:
        result.update(token=minted[0].token, expires_at=minted[0].expires_at)
    return result


def _revoke(params, cluster, check_mode):
    seconds = params["wait_timeout"] if params["wait"] else 0
    rest = (params["api_namespace"], seconds, check_mode)
    users = _users(params)
    if (users is None) == (params["tier"] is None):
        raise MaasError(
            "nobody was revoked: give either users, who are revoked in every tier, or a tier, "
            "in which everybody is revoked"
        )
    if users is None:
        return revoke_tier(cluster, params["tier"], *rest)
    names = [entry.get("user") if isinstance(entry, dict) else entry for entry in users]
    return revoke_users(cluster, list(dict.fromkeys(map(check_user, names))), *rest)


def _users(params):
    return [params["user"]] if params["user"] is not None else params["users"]


def main():
    spec = {
        **AUTH_ARGS,
        "user": {"type": "str"},
        "users": {"type": "list", "elements": "raw"},
        "tier": {"type": "str"},
        "groups": {"type": "list", "elements": "str"},
        "ttl": {"type": "str"},
        "api_namespace": {"type": "str", "default": "maas-api"},
        "state": {"type": "str", "choices": ["present", "revoked"], "default": "present"},
        "show_tokens": {"type": "bool", "default": False, "no_log": False},
        "wait": {"type": "bool", "default": True},
        "wait_timeout": {"type": "int", "default": 60},
    }
    module = MaasModule(
        argument_spec=spec,
        supports_check_mode=True,
        mutually_exclusive=[("user", "users"), ("tier", "groups")],
        required_one_of=[("user", "users", "tier")],
    )
    try:
        result = run(module.params, Cluster.connect(module.params), module.check_mode)
    except MaasError as exc:
        module.fail_from(exc)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
