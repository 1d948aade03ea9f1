# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a token is good, and why not, as the API server's answers say it."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest
from ansible_collections.maas.platform.plugins.module_utils._accounts import (
    account_manifest,
    account_name,
    account_user,
)
from ansible_collections.maas.platform.plugins.module_utils._catalog import (
    Catalog,
    Former,
    write_catalog,
)
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import Cluster
from ansible_collections.maas.platform.plugins.module_utils._overrides import Override
from ansible_collections.maas.platform.plugins.module_utils._quotas import Rate
from ansible_collections.maas.platform.plugins.module_utils._tiers import parse_inventory
from ansible_collections.maas.platform.plugins.module_utils._token_info import Claims
from ansible_collections.maas.platform.plugins.modules import tier_token_info
from hypothesis import given
from hypothesis import strategies as st

_AUDIENCE = "maas-default-gateway-sa"
_NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
_HOUR_LATER = int(_NOW.timestamp()) + 3600
_ALICE = account_user("alice", "free")


def _jwt(**claims):
    said = {"aud": [_AUDIENCE], "exp": _HOUR_LATER, "sub": _ALICE, **claims}
    text = base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJSUzI1NiJ9.{text}.c2lnbmF0dXJl"


@pytest.fixture
def tiers(raw_tiers, raw_models):
    return parse_inventory(raw_tiers, raw_models).tiers


@pytest.fixture
def platform(api, tiers):
    """Return a cluster where alice has an account in tier free."""
    _put(api, Catalog(tuple(tiers)))
    return api


def _put(api, catalog):
    data = {key: json.dumps(value) for key, value in write_catalog(catalog).items()}
    api.add("v1", "ConfigMap", "configmaps", "tier-to-group-mapping", "maas-api", data=data)
    namespace = "maas-default-gateway-tier-free"
    api.add("v1", "Namespace", "namespaces", namespace)
    if account_name("alice") not in api.names("serviceaccounts"):
        api.cluster().create(account_manifest("alice", "free"))


def _uid(api):
    here = "/api/v1/namespaces/maas-default-gateway-tier-free/serviceaccounts"
    return api.objects[f"{here}/{account_name('alice')}"]["metadata"]["uid"]


def _good(api, username=_ALICE):
    user = {"username": username, "uid": _uid(api)}
    return {"authenticated": True, "audiences": [_AUDIENCE], "user": user}


def _ask(api, status, token=None):
    """Run the module against an API server that says this of the token."""
    given = _jwt() if token is None else token

    def answer(method, path, query, body, content_type):
        if path.endswith("/tokenreviews"):
            assert body["spec"] == {"token": given, "audiences": [_AUDIENCE]}
            return 201, {"status": status}
        return api(method, path, query, body, content_type)

    params = {"token": f"{given}\n", "api_namespace": "maas-api"}
    return tier_token_info.run(params, Cluster(answer, "https://fake"), _NOW)


def test_a_good_token_says_whose_it_is_and_what_it_allows(platform):
    assert _ask(platform, _good(platform)) == {
        "changed": False,
        "valid": True,
        "reason": None,
        "message": "the token is good",
        "user": "alice",
        "namespace": "maas-default-gateway-tier-free",
        "account": account_name("alice"),
        "tier": "free",
        "limits": {
            "requests": [{"limit": 5, "windowSeconds": 120}],
            "tokens": [
                {"limit": 100, "windowSeconds": 60},
                {"limit": 20000, "windowSeconds": 86400},
            ],
            "models": [],
        },
        "models": [{"namespace": "llm", "name": "gemma"}],
        "expires_at": "2026-11-23T13:00:00Z",
        "remaining_seconds": 3600,
    }


# The words are those of kube-apiserver 1.34.
@pytest.mark.parametrize(
    ("words", "token", "reason"),
    [
        ("[invalid bearer token, service account token has expired]", _jwt(exp=1), "expired"),
        ('[invalid bearer token, serviceaccounts "a" not found]', _jwt(), "revoked"),
        ("[…, service account UID (x) does not match claim (y)]", _jwt(), "revoked"),
        ("[…, service account a/b has been deleted]", _jwt(), "revoked"),
        ('[…, token audiences ["x"] is invalid for the target …]', _jwt(aud="x"), "wrong_audience"),
        ("[…, go-jose/go-jose: error in cryptographic primitive]", _jwt(), "forged"),
        ("[…, go-jose/go-jose: error in cryptographic primitive]", _jwt(exp=1), "forged"),
        ("[…, failed to verify signature]", _jwt(aud=["x"]), "forged"),
        # Where it says nothing more, the token's own claims do.
        ("invalid bearer token", _jwt(exp=1), "expired"),
        ("invalid bearer token", _jwt(aud=["https://issuer"]), "wrong_audience"),
        ("invalid bearer token", _jwt(aud=None), "wrong_audience"),
        ("invalid bearer token", _jwt(), "forged"),
        ("invalid bearer token", "no-jwt", "forged"),
        ("invalid bearer token", "a.b.c", "forged"),
        ("", "", "forged"),
    ],
)
def test_a_refused_token_has_one_reason(platform, words, token, reason):
    result = _ask(platform, {"error": words}, token)
    assert (result["valid"], result["reason"]) == (False, reason)
    assert result["remaining_seconds"] == 0
    assert result["user"] is None


def test_what_a_forged_token_claims_is_not_repeated(platform):
    result = _ask(platform, {"error": "[…, error in cryptographic primitive]"})
    assert [result[key] for key in ("namespace", "account", "tier", "expires_at")] == [None] * 4


def test_an_expired_token_says_whose_account_and_when(platform):
    result = _ask(platform, {"error": "[…, token has expired]"}, _jwt(exp=_HOUR_LATER - 7200))
    assert (result["account"], result["tier"]) == (account_name("alice"), "free")
    assert result["expires_at"] == "2026-11-23T11:00:00Z"


def test_authenticated_for_another_audience_is_not_good(platform):
    status = {**_good(platform), "audiences": ["https://kubernetes.default.svc"]}
    assert _ask(platform, status, _jwt(aud=["x"]))["reason"] == "wrong_audience"


def test_a_token_that_the_api_server_still_remembers_is_revoked(platform):
    status = _good(platform)
    status["user"]["uid"] = "the account before"
    assert _ask(platform, status)["reason"] == "revoked"
    status = _good(platform)
    platform.cluster().delete(account_manifest("alice", "free"))
    assert _ask(platform, status)["reason"] == "revoked"


@pytest.mark.parametrize("username", ["alice", "system:serviceaccount:llm:default"])
def test_somebody_outside_the_tiers_is_in_none(platform, username):
    result = _ask(platform, _good(platform, username))
    assert (result["valid"], result["reason"], result["tier"]) == (False, "no_tier", None)


def test_a_suspended_user_and_a_disabled_tier(platform, tiers):
    barred = Override("alice", account_name("alice"), suspended=True, reason="abuse")
    _put(platform, Catalog(tuple(tiers), overrides=(barred,)))
    assert _ask(platform, _good(platform))["reason"] == "suspended"
    off = [type(tier)(**{**vars(tier), "enabled": False}) for tier in tiers]
    _put(platform, Catalog(tuple(off)))
    result = _ask(platform, _good(platform))
    assert (result["reason"], result["user"], result["tier"]) == ("disabled", "alice", "free")


def test_limits_of_the_user_s_own_are_shown(platform, tiers):
    own = Override("alice", account_name("alice"), tokens=(Rate(7, 60),))
    _put(platform, Catalog(tuple(tiers), overrides=(own,)))
    assert _ask(platform, _good(platform))["limits"]["tokens"] == [
        {"limit": 7, "windowSeconds": 60}
    ]


@pytest.mark.parametrize(("hours", "reason"), [(1, None), (-1, "ended")])
def test_a_former_tier_s_token_counts_until_the_deadline(platform, tiers, hours, reason):
    rest = tuple(tier for tier in tiers if tier.name != "free")
    until = datetime.fromtimestamp(_NOW.timestamp() + hours * 3600, tz=UTC)
    namespace = "maas-default-gateway-tier-free"
    former = Former(namespace, "free", "premium", until, "migrated")
    _put(platform, Catalog(rest, former=(former,)))
    result = _ask(platform, _good(platform))
    assert (result["reason"], result["tier"]) == (reason, "premium")


@given(st.text(max_size=60) | st.text("ab.=_-", max_size=20))
def test_no_text_is_a_crash(text):
    claims = Claims.read(text)
    assert claims is None or isinstance(claims, Claims)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@given(st.fixed_dictionaries({"aud": _JSON, "exp": _JSON, "sub": _JSON}))
def test_whatever_a_token_claims_is_no_crash(claims):
    read = Claims.read(_jwt(**claims))
    assert read is not None
    assert read.expires is None or datetime.fromtimestamp(read.expires, UTC)
