# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import re

import pytest
from ansible_collections.maas.platform.plugins.module_utils import _accounts
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from hypothesis import given
from hypothesis import strategies as st

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_users = st.text(min_size=1, max_size=200).filter(
    lambda text: text.strip() == text and text.isprintable()
)


@pytest.mark.parametrize(
    ("user", "readable"),
    [
        ("alice", "alice"),
        ("Alice.Smith@example.com", "alice-smith-example-com"),
        ("oidc:alice", "oidc-alice"),
        ("--a__b--", "a-b"),
        ("王小明", "user"),
        ("x" * 80, "x" * 54),
    ],
)
def test_an_account_is_named_after_its_user(user, readable):
    digest = hashlib.sha1(user.encode(), usedforsecurity=False).hexdigest()[:8]
    assert _accounts.account_name(user) == f"{readable}-{digest}"


@given(_users)
def test_every_user_has_a_name_the_cluster_accepts(user):
    name = _accounts.account_name(user)
    assert len(name) <= 63
    assert _LABEL.fullmatch(name)
    assert name == _accounts.account_name(user)


@given(_users, _users)
def test_users_who_read_the_same_have_different_accounts(one, other):
    if one != other:
        assert _accounts.account_name(one) != _accounts.account_name(other)


@pytest.mark.parametrize("user", ["", " alice", "alice\n", "a\x00b", None, 7, "x" * 1025])
def test_what_is_no_user_name_is_refused(user):
    with pytest.raises(MaasError, match="is no user name"):
        _accounts.account_name(user)


def test_a_namespace_says_its_tier():
    namespace = _accounts.tier_namespace("free")
    assert namespace == "maas-default-gateway-tier-free"
    assert _accounts.tier_of_namespace(namespace) == "free"
    assert _accounts.tier_of_namespace("maas-default-gateway-tier-") is None
    assert _accounts.tier_of_namespace("default") is None


@pytest.mark.parametrize(
    ("username", "expected"),
    [
        ("system:serviceaccount:ns:name", ("ns", "name")),
        ("system:serviceaccount:ns", None),
        ("system:serviceaccount::name", None),
        ("alice", None),
        ("xsystem:serviceaccount:ns:name", None),
    ],
)
def test_full_user_names_are_taken_apart(username, expected):
    assert _accounts.split_account_user(username) == expected


def test_an_account_belongs_to_the_user_it_names():
    account = _accounts.account_manifest("alice", "free")
    assert _accounts.owner_of(account) == "alice"
    assert account["automountServiceAccountToken"] is False
    _accounts.check_owner(account, "alice")


def test_an_account_of_somebody_else_is_refused():
    account = _accounts.account_manifest("mallory", "free")
    with pytest.raises(MaasError, match='does not belong to user "alice"') as caught:
        _accounts.check_owner(account, "alice")
    # It is said of minting and of revoking.
    assert "no token was made" not in str(caught.value)


def test_an_account_that_nobody_here_made_is_refused():
    account = {"metadata": {"name": "x", "namespace": "y", "annotations": {}}}
    assert _accounts.owner_of(account) is None
    with pytest.raises(MaasError, match="does not belong"):
        _accounts.check_owner(account, "alice")
