# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Whether Envoys run what they are given, by their own words."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.maas.platform.plugins.module_utils import _errors
from ansible_collections.maas.platform.plugins.modules import envoy_info

PARAMS = {"gateway_namespace": "gw", "label_selector": "a=b", "wait_timeout": 30}


def lua(text):
    return {"typed_config": {"default_source_code": {"inline_string": text}}}


def policy(*texts):
    return {
        "metadata": {"name": "front"},
        "spec": {
            "targetRef": {"name": "front"},
            "jsonPatches": [
                {"name": "gw/front/https", "operation": {"op": "add", "value": lua(text)}}
                for text in texts
            ],
        },
    }


def listener(*texts, error=None):
    filters = [{"http_filters": [lua(text)]} for text in texts]
    found = {"name": "gw/front/https", "active_state": {"listener": {"filters": filters}}}
    return found | ({"error_state": {"details": error}} if error else {})


class Cluster:
    """One policy, one Envoy, and what that says each time it is asked."""

    def __init__(self, texts, *dumps, ready="True"):
        self.policy = policy(*texts)
        self.dumps = itertools.chain(dumps[:-1], itertools.repeat(dumps[-1]))
        self.ready = ready
        self.time = 0.0

    def select(self, _version, kind, _namespace, _selector):
        if kind == "EnvoyPatchPolicy":
            return [self.policy]
        status = {"conditions": [{"type": "Ready", "status": self.ready}]}
        return [{"metadata": {"namespace": "eg", "name": "pod-1"}, "status": status}]

    def read_pod(self, namespace, pod, port, path):
        assert (namespace, pod, port) == ("eg", "pod-1", 19000)
        assert path == "/config_dump?resource=dynamic_listeners"
        return 200, {"configs": [next(self.dumps)]}

    def clock(self):
        return self.time

    def wait(self, what, check, timeout_seconds):
        while missing := check():
            self.time += 1
            if self.time > timeout_seconds:
                raise _errors.MaasError(f"{what}: {missing}")


def test_an_envoy_that_runs_them_is_named():
    cluster = Cluster(["one", "two"], listener("one", "two", "others"))
    result = envoy_info.run(PARAMS, cluster)
    assert result == {"changed": False, "envoys": ["pod-1"], "unreadable": ""}


def test_it_is_waited_for():
    cluster = Cluster(["new"], listener("old"), listener("old"), listener("new"))
    assert envoy_info.run(PARAMS, cluster)["envoys"] == ["pod-1"]
    assert cluster.time == 2


def test_a_refusal_of_the_last_version_may_pass():
    cluster = Cluster(["new"], listener("old", error="no such filter"), listener("new"))
    assert envoy_info.run(PARAMS, cluster)["envoys"] == ["pod-1"]


def test_a_refusal_that_stays_is_told_in_envoys_words():
    cluster = Cluster(["new"], listener("old", error="no such filter"))
    with pytest.raises(_errors.MaasError) as caught:
        envoy_info.run(PARAMS, cluster)
    assert caught.value.message == (
        "Envoy pod-1 of Gateway gw/front refuses every change of listener gw/front/https: "
        "no such filter"
    )
    assert cluster.time == 10


def test_a_script_that_does_not_arrive_is_an_error():
    cluster = Cluster(["new"], listener("old"))
    with pytest.raises(_errors.MaasError, match="pod-1 does not do what EnvoyPatchPolicy front"):
        envoy_info.run(PARAMS, cluster)


def test_without_an_envoy_there_is_nobody_to_run_them():
    cluster = Cluster(["new"], listener("new"), ready="False")
    with pytest.raises(_errors.MaasError, match="no Envoy of Gateway gw/front is ready"):
        envoy_info.run(PARAMS, cluster)
