# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Results that hold tokens are hidden, unless a task asks to see them."""

from __future__ import annotations

import importlib
from unittest import mock

import pytest

_ONE = {"token": "secret", "tokens": [{"token": "secret"}]}
_TWO = {"token": None, "tokens": [{"token": "secret"}, {"token": "other"}]}


@pytest.mark.parametrize(
    ("module", "args", "hidden"),
    [
        (_ONE, {}, True),
        (_TWO, {}, True),
        (_TWO, {"show_tokens": "false"}, True),
        (_ONE, {"show_tokens": True}, False),
        ({"token": None, "tokens": [{"token": None}]}, {}, False),
        ({"token": None, "tokens": [], "revoked": ["alice"]}, {}, False),
        ({"failed": True, "msg": "there is no tier"}, {}, False),
    ],
)
def test_only_results_with_a_token_are_hidden(monkeypatch, module, args, hidden):
    name = "ansible_collections.maas.platform.plugins.action.tier_token"
    plugin = importlib.import_module(name).ActionModule
    action = plugin.__new__(plugin)
    action._task = mock.Mock(args=args)
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *_arguments: {})
    monkeypatch.setattr(plugin, "_execute_module", lambda *_a, **_k: dict(module), raising=False)
    result = action.run(task_vars={})
    assert result.pop("_ansible_no_log", False) is hidden
    assert result == module
