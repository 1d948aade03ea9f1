"""Playbooks that would do harm, or nothing, stop at once and say what they need."""

from __future__ import annotations

import pytest

from tests.unit.playbooks.conftest import CHECKOUT, said_to


def test_reset_goes_on_only_for_the_hosts_that_were_named(runs):
    hosts = {
        "unnamed": {"maas_domain": "a.test"},
        "misnamed": {"maas_domain": "b.test", "maas_reset_confirm": "yes, maas.a.test"},
    }
    result = runs.play(hosts, CHECKOUT / "playbooks/reset.yml")
    assert result.returncode == 2
    for host, named in (("unnamed", "maas.a.test"), ("misnamed", "maas.b.test")):
        said = " ".join(said_to(result.stdout, host).split())
        assert f"Nothing was removed from {host}" in said
        assert f"-e maas_reset_confirm={named}" in said


@pytest.fixture(scope="module")
def token_refusals(runs):
    """Give the output of one run of the token playbook over incomplete requests."""
    complete = {"token_user": "alice", "token_tier": "free"}
    secret = {"name": "s", "namespace": "n"}
    hosts = {
        "nobody": {"token_tier": "free", "token_secret": secret},
        "nowhere": complete,
        "twice": {**complete, "token_secret": secret, "token_file": "/tmp/t"},
        "half-a-secret": {**complete, "token_secret": {"name": "s"}},
        "one-file-for-all": {**complete, "token_file": "/tmp/t"},
        # What a survey or a query that found nothing leaves must not mean everybody.
        "revoke-no-name": {"token_state": "revoked", "token_user": "", "token_tier": "free"},
        "revoke-nobody": {"token_state": "revoked", "token_users": [], "token_tier": "free"},
        "revoke-blank": {
            "token_state": "revoked",
            "token_users": ["bob", ""],
            "token_tier": "free",
        },
        "revoke-nothing": {"token_state": "revoked"},
    }
    return runs.play(hosts, CHECKOUT / "playbooks/token.yml").stdout


@pytest.mark.parametrize(
    "host",
    [
        *("nobody", "nowhere", "twice", "half-a-secret", "one-file-for-all"),
        *("revoke-no-name", "revoke-nobody", "revoke-blank", "revoke-nothing"),
    ],
)
def test_token_says_what_a_request_lacks(token_refusals, host):
    said = " ".join(said_to(token_refusals, host).split())
    assert "No token was minted or revoked. Needed: token_user or token_users" in said
