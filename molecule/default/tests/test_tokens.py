# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Tokens by the collection's modules: minted for many, looked at, taken away, never shown."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from accounts import User
from catalog import Catalog
from chat import Chat
from cluster import Kubectl
from forge import forged, resigned
from running_lab import CHECKOUT, Lab

from playbooks import ENVIRONMENT, run_module

testinfra_hosts = ["local://"]


@pytest.fixture(scope="module")
def user(new_user: Callable[[str], User]) -> User:
    """Return somebody of tier free with a good token."""
    return new_user("free")


@pytest.fixture
def look(lab: Lab) -> Callable[[str], Any]:
    """Return what maas.platform.tier_token_info says of a token."""
    return lambda token: run_module("tier_token_info", lab, token=token)


def test_a_good_token_says_whose_it_is(
    look: Callable[[str], Any], user: User, catalog: Catalog
) -> None:
    found = look(user.token)
    assert (found["valid"], found["reason"]) == (True, None)
    assert (found["user"], found["tier"], found["account"]) == (user.name, "free", user.account)
    assert found["namespace"] == catalog.tiers["free"].namespace
    assert found["remaining_seconds"] > 600


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda lab, token: resigned(lab, token, exp=int(time.time()) - 60), "expired"),
        (lambda lab, token: resigned(lab, token, aud=["another"]), "wrong_audience"),
        (lambda _lab, token: forged(token), "forged"),
        (lambda _lab, token: forged(token, exp=1), "forged"),
        (lambda _lab, token: token[:-8], "forged"),
        # The lab's login tokens are no JWTs, so nothing says what they are.
        (lambda lab, _token: lab.identity("alice"), "forged"),
    ],
    ids=["expired", "another audience", "forged", "forged and old", "cut", "a login token"],
)
def test_a_bad_token_has_its_reason(
    lab: Lab, look: Callable[[str], Any], user: User, spoil: Callable[..., str], reason: str
) -> None:
    found = look(spoil(lab, user.token))
    assert (found["valid"], found["reason"], found["remaining_seconds"]) == (False, reason, 0)


def test_an_account_of_no_tier_is_named_as_such(
    kubectl: Kubectl, look: Callable[[str], Any]
) -> None:
    found = look(kubectl.token("maas-api", "default", audience="maas-default-gateway-sa"))
    assert (found["valid"], found["reason"], found["tier"]) == (False, "no_tier", None)


def test_users_of_several_tiers_in_one_task_until_they_are_revoked(
    lab: Lab, chat: Chat, model: str, look: Callable[[str], Any]
) -> None:
    run = secrets.token_hex(4)
    users = [f"test-{run}-a", {"user": f"test-{run}-b", "groups": ["tier-premium-users"]}]
    minted = run_module("tier_token", lab, users=users, tier="free", ttl="10m", show_tokens=True)
    tokens = [entry["token"] for entry in minted["tokens"]]
    assert [entry["tier"] for entry in minted["tokens"]] == ["free", "premium"]
    assert [chat(token, model).status for token in tokens] == [200, 200]
    names = [f"test-{run}-a", f"test-{run}-b"]
    gone = run_module("tier_token", lab, users=names, state="revoked")
    assert gone["revoked"] == names
    # 403 while the API server still takes them for good, 401 afterwards; never an answer.
    assert {chat(token, model).status for token in tokens} <= {401, 403}
    assert [look(token)["reason"] for token in tokens] == ["revoked", "revoked"]


def test_a_play_that_forgets_no_log_shows_no_token(host: Any, lab: Lab, tmp_path: Path) -> None:
    name = f"test-{secrets.token_hex(4)}"
    play = tmp_path / "play.yml"
    play.write_text(f"""
- hosts: localhost
  gather_facts: false
  vars: {{ansible_python_interpreter: "{{{{ ansible_playbook_python }}}}"}}
  module_defaults: {{group/maas.platform.maas: {{kubeconfig: "{lab.kubeconfig}"}}}}
  tasks:
    - maas.platform.tier_token: {{user: {name}, tier: free, ttl: 10m}}
      register: minted
    - ansible.builtin.assert: {{that: ["minted.token is match('eyJ')"]}}
    - maas.platform.tier_token: {{user: {name}, state: revoked, wait: false}}
""")
    settings = " ".join(f"{key}='{value}'" for key, value in ENVIRONMENT.items())
    done = host.run(f"cd {CHECKOUT} && {settings} ansible-playbook -vvvv --diff {play}")
    assert done.rc == 0, done.stdout[-3000:]
    assert "eyJ" not in (done.stdout + done.stderr).replace("match('eyJ')", "")
    assert os.fspath(play) in done.stdout
