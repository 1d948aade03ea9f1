# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""A token where a template needs one."""

from __future__ import annotations

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible_collections.maas.platform.plugins.lookup import tier_token
from ansible_collections.maas.platform.plugins.module_utils._accounts import account_name
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import Cluster
from ansible_collections.maas.platform.plugins.module_utils._policies import render
from ansible_collections.maas.platform.plugins.module_utils._tiers import parse_inventory


@pytest.fixture
def platform(api, raw_tiers, raw_models, monkeypatch):
    """Return a cluster with tiers, which every connection leads to."""
    inventory = parse_inventory(raw_tiers, raw_models)
    rendered = render(inventory.tiers, inventory.models)
    for part in ("namespaces", "catalog"):
        # One after the other: what is in a namespace comes after it.
        for item in rendered.part(part):
            api.cluster().apply(item)
    api.seen = []

    def connect(params):
        api.seen.append({name: value for name, value in params.items() if value is not None})
        return api.cluster()

    monkeypatch.setattr(Cluster, "connect", connect)
    return api


@pytest.fixture
def lookup(monkeypatch):
    """Return the plugin with the options that its documentation gives it."""
    documented = yaml.safe_load(tier_token.DOCUMENTATION)["options"]
    plugin = tier_token.LookupModule()
    options = {}

    def set_options(var_options, direct):
        for name, option in documented.items():
            names = [entry["name"] for entry in option.get("vars", [])]
            given = next((var_options[key] for key in names if key in var_options), None)
            options[name] = direct.get(name, option.get("default") if given is None else given)

    monkeypatch.setattr(plugin, "set_options", set_options)
    monkeypatch.setattr(plugin, "get_option", options.get)
    return plugin


def test_one_token_for_each_user_in_order(platform, lookup):
    found = lookup.run(["bob", "alice", "bob"], {}, tier="free", ttl="1h")
    text = "token-{}-maas-default-gateway-sa-3600"
    assert found == [text.format(account_name(user)) for user in ("bob", "alice", "bob")]


def test_a_term_may_be_a_mapping_with_the_user_s_own_tier(platform, lookup):
    carol = {"user": "carol", "tier": "premium"}
    found = lookup.run(["alice", carol, carol], {}, tier="free", ttl="1h")
    text = "token-{}-maas-default-gateway-sa-3600"
    assert found == [text.format(account_name(user)) for user in ("alice", "carol", "carol")]


def test_one_user_in_two_tiers_gets_a_token_of_each(platform, lookup):
    terms = [{"user": "alice", "tier": "free"}, {"user": "alice", "tier": "premium"}]
    lookup.run(terms, {}, ttl="1h")
    places = [path.split("/")[-3] for path in platform.objects if "/serviceaccounts/" in path]
    assert places == [f"maas-default-gateway-tier-{tier}" for tier in ("free", "premium")]


def test_the_play_s_variables_name_the_cluster(platform, lookup):
    variables = {"maas_kubeconfig": "/lab/kubeconfig", "maas_context": "kind-maas"}
    lookup.run(["alice"], variables, groups=["tier-premium-users"])
    assert platform.seen == [{"kubeconfig": "/lab/kubeconfig", "context": "kind-maas"}]


def test_check_mode_makes_no_account_and_no_token(platform, lookup):
    assert lookup.run(["alice"], {"ansible_check_mode": True}, tier="free") == [""]
    assert platform.names("serviceaccounts") == []


def test_a_refusal_names_the_plugin(platform, lookup):
    with pytest.raises(AnsibleError, match=r"^maas\.platform.tier_token: there is no tier"):
        lookup.run(["alice"], {}, tier="fre")
