# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Large bodies under made-up tokens: what the Gateway holds of them, and who is still answered."""

from __future__ import annotations

import json
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from accounts import User
from cluster import Kubectl
from forge import forged
from running_lab import Lab
from wire import Wire

testinfra_hosts = ["local://"]

CHAT = "/v1/chat/completions"
MEBIBYTE = 1024 * 1024
ATTACKERS = 40
ANNOUNCED = 16_000_000
# Two workers, of whose 96 MiB for large bodies each such body takes 16 MB.
HELD_AT_MOST = 12
# The Envoys' memory limit; gateway_api_envoy_resources.
LIMIT = 1024 * MEBIBYTE


@pytest.fixture(scope="module")
def user(new_user: Callable[[str], User]) -> User:
    return new_user("enterprise")


def chat(model: str, size: int) -> bytes:
    said: Any = {"role": "user", "content": "Hi"}
    return json.dumps(
        {"model": model, "messages": [said], "max_tokens": 1, "pad": "a" * size}
    ).encode()


def announce(lab: Lab, token: str) -> ssl.SSLSocket:
    tls = ssl.create_default_context(cafile=str(lab.ca))
    raw = socket.create_connection((lab.address, lab.port), timeout=20)
    connection = tls.wrap_socket(raw, server_hostname=lab.host)
    connection.sendall(
        f"POST {CHAT} HTTP/1.1\r\nHost: {lab.authority}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {ANNOUNCED}\r\n\r\n".encode()
    )
    return connection


@pytest.fixture
def attackers(lab: Lab, user: User) -> Iterator[list[ssl.SSLSocket]]:
    token = forged(user.token)
    opened = [announce(lab, token) for _ in range(ATTACKERS)]
    yield opened
    for connection in opened:
        connection.close()


def envoy(kubectl: Kubectl) -> Any:
    label = "gateway.envoyproxy.io/owning-gateway-name=maas-default-gateway"
    [pod] = kubectl.get("pods", "--namespace=envoy-gateway-system", f"--selector={label}")["items"]
    return pod


def restarts(kubectl: Kubectl) -> int:
    return sum(one["restartCount"] for one in envoy(kubectl)["status"]["containerStatuses"])


def heap(kubectl: Kubectl) -> int:
    name = envoy(kubectl)["metadata"]["name"]
    path = f"/api/v1/namespaces/envoy-gateway-system/pods/{name}:19001/proxy/stats/prometheus"
    lines = kubectl("get", f"--raw={path}").splitlines()
    [line] = [one for one in lines if one.startswith("envoy_server_memory_physical_size{")]
    return int(float(line.split()[-1]))


def test_a_flood_is_bounded_and_others_are_answered(
    wire: Wire, kubectl: Kubectl, user: User, model: str, attackers: list[ssl.SSLSocket]
) -> None:
    before = restarts(kubectl)
    name = model.split("/")[-1]
    refused, _, _ = select.select(attackers, [], [], 0)
    end = time.monotonic() + 5
    while len(refused) < ATTACKERS - HELD_AT_MOST and time.monotonic() < end:
        select.select([one for one in attackers if one not in refused], [], [], 0.5)
        refused, _, _ = select.select(attackers, [], [], 0)
    assert len(refused) >= ATTACKERS - HELD_AT_MOST
    for connection in refused:
        assert connection.recv(12) == b"HTTP/1.1 503"
    held = [one for one in attackers if one not in refused]
    assert held
    for connection in held:
        connection.sendall(b"a" * (ANNOUNCED - MEBIBYTE))

    # Bodies of ordinary size have room of their own; at a model's own URL nothing is held.
    assert wire.request("POST", CHAT, token=user.token, body=chat(name, 0)).status == 200
    own = wire.request("POST", f"/{model}{CHAT}", token=user.token, body=chat(name, MEBIBYTE))
    assert own.status == 200
    crowded = wire.request("POST", CHAT, token=user.token, body=chat(name, 15 * MEBIBYTE))
    assert crowded.status == 503
    assert crowded.header("retry-after") == "1"
    assert crowded.json()["error"]["type"] == "server_error"
    assert heap(kubectl) < LIMIT
    assert restarts(kubectl) == before

    # What was cut off gives its room back.
    for connection in attackers:
        connection.close()
    end = time.monotonic() + 10
    while True:
        large = wire.request("POST", CHAT, token=user.token, body=chat(name, 15 * MEBIBYTE))
        if large.status != 503 or time.monotonic() > end:
            break
    assert large.status == 200
