# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""An update of the MaaS API, while people use it: no request is lost."""

from __future__ import annotations

import time
from collections.abc import Callable

from accounts import User
from api import Api
from chat import Chat
from cluster import Kubectl
from trickle import Trickle
from wire import Wire

testinfra_hosts = ["local://"]


def test_a_rolling_update_loses_no_request(
    kubectl: Kubectl,
    api: Api,
    wire: Wire,
    chat: Chat,
    new_user: Callable[[str], User],
    model: str,
) -> None:
    user = new_user("enterprise")
    target = ("deployment/maas-api", "--namespace=maas-api")
    trickle = Trickle(every_seconds=0.1)
    start = time.time()
    trickle.expect("health", lambda: api("GET", "/health"), 200)
    trickle.expect("a login", lambda: api("GET", "/v1/me", "alice"), 200)
    trickle.expect("a tier token", lambda: api("GET", "/v1/models", token=user.token), 200)
    # The gateway asks the MaaS API anew for every stranger to its caches.
    mints = trickle.follow(
        "a new token", lambda: api("POST", "/v1/tokens", "dave", body={}), every_seconds=2
    )
    calls = trickle.follow(
        "a call",
        lambda: wire.request("GET", f"/{model}/v1/models", token=user.token),
        every_seconds=0.8,
    )
    try:
        kubectl("rollout", "restart", *target)
        kubectl("rollout", "status", *target, "--timeout=110s")
        # The old pod's last connections end after the new one is the only one.
        for caller in (mints, calls):
            caller.hear(201 if caller is mints else 200)
    finally:
        trickle.stop()

    assert trickle.wrong(start) == []
    assert (mints.statuses(), calls.statuses()) == ([201], [200])
    assert chat(new_user("premium"), model).status == 200
