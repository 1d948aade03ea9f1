# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""An Envoy that refuses what it is sent, although Envoy Gateway calls it programmed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cluster import Kubectl
from running_lab import Lab

from playbooks import run_module

testinfra_hosts = ["local://"]

NAMESPACE = "maas-gateway"
# Nobody else looks for this label.
LABELS = {"maas.platform/test": "refused"}
BAD: dict[str, Any] = {
    "apiVersion": "gateway.envoyproxy.io/v1alpha1",
    "kind": "EnvoyPatchPolicy",
    "metadata": {"name": "test-refused", "namespace": NAMESPACE, "labels": LABELS},
    "spec": {
        "targetRef": {
            "group": "gateway.networking.k8s.io",
            "kind": "Gateway",
            "name": "maas-internal",
        },
        "type": "JSONPatch",
        "priority": 1000,
        "jsonPatches": [
            {
                "type": "type.googleapis.com/envoy.config.listener.v3.Listener",
                "name": f"{NAMESPACE}/maas-internal/http",
                "operation": {
                    "op": "add",
                    "path": "/default_filter_chain/filters/0/typed_config/http_filters/0",
                    "value": {
                        "name": "envoy.filters.http.lua",
                        "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
                            "default_source_code": {"inline_string": "this is no Lua"},
                        },
                    },
                },
            }
        ],
    },
}


@pytest.fixture
def bad_policy(kubectl: Kubectl) -> Iterator[None]:
    kubectl.apply(BAD)
    yield
    kubectl.delete(BAD)


def in_force(lab: Lab, **more: Any) -> Callable[[], Any]:
    return lambda: run_module("envoy_info", lab, wait_timeout=30, **more)


@pytest.mark.usefixtures("bad_policy")
def test_a_refusal_is_told_in_envoys_words(lab: Lab) -> None:
    look = in_force(lab, label_selector="maas.platform/test=refused")
    with pytest.raises(AssertionError) as caught:
        look()
    assert "refuses every change of listener maas-gateway/maas-internal/http" in str(caught.value)
    assert "this is no Lua" in str(caught.value)


def test_what_the_role_gave_them_they_run(lab: Lab) -> None:
    """And what was refused above is forgotten once it is taken back."""
    assert len(in_force(lab)()["envoys"]) == 2
