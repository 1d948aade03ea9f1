# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from ansible_collections.maas.platform.plugins.module_utils._model_routes import (
    Stage,
    render_route,
)

from tests.unit.plugins.model_entries import model, settings

_SINCE = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
_UNTIL = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC)
_CANARY = {"canary": {"weight": 10, "uri": "hf://x/new"}}


def _backends(stage, **change):
    (route,) = render_route(model(**change), settings(), stage)
    (backends,) = {
        tuple((backend["name"], backend["weight"]) for backend in rule["backendRefs"])
        for rule in route["spec"]["rules"]
    }
    return backends


def test_a_route_lets_exact_paths_through_after_the_checks():
    (route,) = render_route(model(), settings(paths=["chat/completions"]))
    assert route["spec"] == {
        "parentRefs": [
            {
                "group": "gateway.networking.k8s.io",
                "kind": "Gateway",
                "name": "maas-internal",
                "namespace": "maas-gateway",
            }
        ],
        "rules": [
            {
                "name": "chat-completions",
                "matches": [
                    {
                        "path": {"type": "Exact", "value": "/llm/m/v1/chat/completions"},
                        "headers": [
                            {"name": "x-maas-tier", "type": "RegularExpression", "value": ".+"}
                        ],
                    }
                ],
                "filters": [
                    {
                        "type": "URLRewrite",
                        "urlRewrite": {
                            "path": {
                                "type": "ReplaceFullPath",
                                "replaceFullPath": "/v1/chat/completions",
                            }
                        },
                    },
                    {
                        "type": "RequestHeaderModifier",
                        "requestHeaderModifier": {"remove": ["x-maas-tier", "x-maas-account"]},
                    },
                ],
                "timeouts": {"request": "15m"},
                "backendRefs": [
                    {
                        "group": "",
                        "kind": "Service",
                        "name": "m-kserve-workload-svc",
                        "port": 8000,
                        "weight": 1,
                    }
                ],
            }
        ],
    }


def test_a_canary_gets_its_share_only_at_its_stage():
    assert _backends(Stage(), **_CANARY) == (("m-kserve-workload-svc", 1),)
    assert _backends(Stage(canary=True), **_CANARY) == (
        ("m-kserve-workload-svc", 90),
        ("m-canary-kserve-workload-svc", 10),
    )


def test_without_a_canary_there_is_no_share():
    assert _backends(Stage(canary=True)) == (("m-kserve-workload-svc", 1),)


def test_a_paused_model_says_so():
    refusal, route = render_route(model(), settings(), Stage(paused=True))
    assert (refusal["kind"], refusal["metadata"]["name"]) == ("HTTPRouteFilter", "m")
    answer = refusal["spec"]["directResponse"]
    assert (answer["statusCode"], answer["contentType"]) == (503, "application/json")
    assert answer["header"] == {"set": [{"name": "Retry-After", "value": "60"}]}
    assert json.loads(answer["body"]["inline"])["error"] == {
        "message": "The model m is paused. Try again later.",
        "type": "server_error",
        "param": "model",
        "code": "model_paused",
    }
    for rule in route["spec"]["rules"]:
        assert not {"backendRefs", "timeouts"} & rule.keys()
        assert rule["filters"] == [
            {
                "type": "ExtensionRef",
                "extensionRef": {
                    "group": "gateway.envoyproxy.io",
                    "kind": "HTTPRouteFilter",
                    "name": "m",
                },
            }
        ]


def test_a_retired_model_announces_its_end_and_keeps_to_it():
    stage = Stage(since=_SINCE, until=_UNTIL)
    route, policy = render_route(model(state="retired"), settings(), stage)
    for rule in route["spec"]["rules"]:
        assert rule["filters"][-1] == {
            "type": "ResponseHeaderModifier",
            "responseHeaderModifier": {
                "set": [
                    {"name": "Deprecation", "value": "@1795435200"},
                    {"name": "Sunset", "value": "Mon, 30 Nov 2026 12:00:00 GMT"},
                ]
            },
        }
        assert rule["backendRefs"]
    assert policy["kind"] == "EnvoyExtensionPolicy"
    assert policy["spec"]["targetRefs"] == [
        {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "m"}
    ]
    (script,) = policy["spec"]["lua"]
    assert script["filterContext"]["until"] == int(_UNTIL.timestamp())
    assert json.loads(script["filterContext"]["body"])["error"]["code"] == "model_retired"


def test_moments_are_told_in_universal_time():
    summer = datetime.fromisoformat("2026-07-01T14:00:00+02:00")
    route, _policy = render_route(model(), settings(), Stage(since=summer, until=summer))
    headers = route["spec"]["rules"][0]["filters"][-1]["responseHeaderModifier"]["set"]
    assert headers[1]["value"] == "Wed, 01 Jul 2026 12:00:00 GMT"


@pytest.mark.parametrize("stage", [Stage(paused=True), Stage(since=_SINCE, until=_UNTIL)])
def test_openshift_gets_nothing_of_envoy_gateway_s(stage):
    (route,) = render_route(model(), settings(provider="openshift"), stage)
    assert all(rule["backendRefs"] for rule in route["spec"]["rules"])
