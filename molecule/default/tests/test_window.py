# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""A limit ends with its window. Last of all tests, so that the windows close while others run."""

from __future__ import annotations

import time

import pytest
from chat import Chat
from conftest import Spent

testinfra_hosts = ["local://"]

# The counter's own clock, and the filter, may be this late.
SLACK_SECONDS = 5


@pytest.mark.parametrize("limit", ["out_of_tokens", "out_of_requests"])
def test_a_limit_resets_after_its_window(
    request: pytest.FixtureRequest, chat: Chat, model: str, limit: str
) -> None:
    spent: Spent = request.getfixturevalue(limit)
    # Refused calls count as requests too, so this asks once, when the window must be over.
    wait = spent.until + SLACK_SECONDS - time.monotonic()
    time.sleep(max(0.0, wait))

    assert chat(spent.user, model).status == 200
