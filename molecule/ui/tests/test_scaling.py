# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""More MaaS API where there is more to do: an autoscaler that really measures, and goes again."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from api import Api
from cluster import Kubectl

from playbooks import run_playbook

testinfra_hosts = ["local://"]

NAMESPACE = "--namespace=maas-api"
# The first measurement of a new pod comes after about half a minute.
SECONDS = 120


def converge(**variables: Any) -> subprocess.CompletedProcess[str]:
    done = run_playbook("site", "--tags=maas_api", variables=variables or None)
    assert done.returncode == 0, done.stdout
    return done


@pytest.fixture
def autoscaled(kubectl: Kubectl) -> Iterator[dict[str, Any]]:
    """Turn the autoscaler on for two or three replicas; the inventory's number comes back."""
    asked = {"maas_api_autoscaling": {"min": 2, "max": 3, "cpu_percent": 70}}
    converge(**asked)
    yield asked
    converge()
    assert kubectl("get", "hpa", NAMESPACE, "--output=name") == ""
    assert "changed=0" in converge().stdout


def test_an_autoscaler_measures_and_keeps_what_it_chose(
    kubectl: Kubectl, api: Api, autoscaled: dict[str, Any]
) -> None:
    def conditions() -> dict[str, str]:
        status = kubectl.get("hpa", "maas-api", NAMESPACE).get("status", {})
        return {each["type"]: each["status"] for each in status.get("conditions", [])}

    end = time.monotonic() + SECONDS
    while (seen := conditions()).get("ScalingActive") != "True" and time.monotonic() < end:
        time.sleep(1)
    assert (seen["AbleToScale"], seen["ScalingActive"]) == ("True", "True")
    kubectl("rollout", "status", "deployment/maas-api", NAMESPACE, "--timeout=60s")
    deployment = kubectl.get("deployment", "maas-api", NAMESPACE)
    assert deployment["status"]["readyReplicas"] == 2

    again = converge(**autoscaled)

    assert "changed=0" in again.stdout, json.dumps(again.stdout[-2000:])
    # Any replica knows what any other does: nothing is kept in one alone.
    token = api("POST", "/v1/tokens", "dave", body={}).json()["token"]
    assert {api("GET", "/v1/me", token=token).status for _ in range(10)} == {200}
    assert api("DELETE", "/v1/tokens", "dave").status == 204
    assert {api("GET", "/v1/me", token=token).status for _ in range(10)} == {401}
