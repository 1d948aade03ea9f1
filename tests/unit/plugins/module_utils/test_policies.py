# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The rendered objects mean what they should; the lab proves that the gateway agrees."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest
from ansible_collections.maas.platform.plugins.module_utils._objects import key_of, path_of
from ansible_collections.maas.platform.plugins.module_utils._policies import (
    PARTS,
    Platform,
    render,
    render_plan,
)
from ansible_collections.maas.platform.plugins.module_utils._tiers import parse_inventory
from ansible_collections.maas.platform.plugins.module_utils._transitions import fresh_plan, plan
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plugins.left_behind import left_behind

_ACCOUNT = 'auth.identity.user.username.@extract:{"sep":":","pos":3}'


@pytest.fixture
def inventory(raw_tiers, raw_models):
    return parse_inventory(raw_tiers, raw_models)


@pytest.fixture
def rendered(inventory):
    return render(inventory.tiers, inventory.models)


def _named(items, kind, name):
    (found,) = [i for i in items if i["kind"] == kind and i["metadata"]["name"] == name]
    return found


@pytest.fixture
def auth(rendered):
    return _named(rendered.policies, "AuthPolicy", "gateway-auth-policy")["spec"]


def test_the_same_input_gives_the_same_objects(inventory, rendered):
    again = render(tuple(reversed(inventory.tiers)), tuple(reversed(inventory.models)))
    assert again == rendered


def test_every_object_is_ours_and_can_be_addressed(rendered):
    keys = []
    for item in rendered.chosen(PARTS):
        labels = item["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "maas.platform"
        assert labels["app.kubernetes.io/part-of"] == "maas"
        key = key_of(item)
        keys.append(key)
        path_of(key.api_version, key.kind, key.namespace, key.name)
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["display_name"], "Gratis"),
        (["limits", "requests", 0, "limit"], 6),
        (["models"], ["*"]),
        (["groups"], ["others"]),
        (["token", "max_ttl"], "12h"),
    ],
)
def test_every_change_is_a_new_revision(raw_tiers, raw_models, rendered, path, value):
    target = raw_tiers[0]
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    changed = parse_inventory(raw_tiers, raw_models)
    assert render(changed.tiers, changed.models).revision != rendered.revision


def test_the_revision_is_wherever_somebody_waits_for_it(rendered, auth):
    stamped = [*rendered.catalog, *rendered.policies]
    for item in stamped:
        assert item["metadata"]["annotations"] == {"maas.platform/revision": rendered.revision}
    for refusal in ("unauthenticated", "unauthorized"):
        headers = auth["rules"]["response"][refusal]["headers"]
        assert headers["x-maas-revision"] == {"value": rendered.revision}


def test_namespaces_of_models_are_never_pruned(rendered):
    models = _named(rendered.namespaces, "Namespace", "llm")["metadata"]["labels"]
    assert models["maas.platform/models"] == "true"
    assert "maas.platform/part" not in models
    tier = _named(rendered.namespaces, "Namespace", "maas-default-gateway-tier-free")
    assert tier["metadata"]["labels"]["maas.platform/tier"] == "free"
    assert tier["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_a_tier_may_call_its_models_and_nothing_else(rendered):
    role = _named(rendered.access, "Role", "maas-tier-free")
    assert role["metadata"]["namespace"] == "llm"
    assert role["rules"] == [
        {
            "apiGroups": ["serving.kserve.io"],
            "resources": ["llminferenceservices"],
            "verbs": ["post"],
            "resourceNames": ["gemma"],
        }
    ]
    binding = _named(rendered.access, "RoleBinding", "maas-tier-free")
    (subject,) = binding["subjects"]
    assert subject["name"] == "system:serviceaccounts:maas-default-gateway-tier-free"


def test_a_tier_without_models_gets_no_role(raw_tiers):
    for tier in raw_tiers:
        tier["models"] = ["*"]
    rendered = render(parse_inventory(raw_tiers, []).tiers)
    assert not [i for i in rendered.access if i["metadata"]["name"].startswith("maas-tier-")]


def test_no_rule_says_all(rendered):
    for item in rendered.access:
        for rule in item.get("rules", ()):
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]


def test_the_listener_as_a_whole_refuses_by_default(auth):
    assert auth["targetRef"] == {
        "group": "gateway.networking.k8s.io",
        "kind": "Gateway",
        "name": "maas-default-gateway",
        "sectionName": "https",
    }


def test_no_rule_can_be_skipped(auth):
    """A rule whose condition does not hold counts as granted in Authorino."""
    rules = {**auth["rules"], "response": {}}
    assert '"when"' not in json.dumps(rules)


def test_only_accounts_of_tiers_are_somebody(auth):
    (method,) = auth["rules"]["authentication"].values()
    assert method["kubernetesTokenReview"]["audiences"] == ["maas-default-gateway-sa"]
    table, _bracket, index = method["overrides"]["tier"]["expression"].partition("}[")
    assert json.loads(table + "}") == {
        f"system:serviceaccount:maas-default-gateway-tier-{tier}": tier
        for tier in ("free", "premium", "enterprise")
    }
    assert index == (
        'auth.identity.user.username.substring(0, auth.identity.user.username.lastIndexOf(":"))]'
    )


def test_the_looked_up_tier_must_be_there_and_be_the_account_s(auth):
    _path, known = auth["rules"]["authorization"]["known-tier"]["patternMatching"]["patterns"]
    pairs = [
        {pattern["selector"]: pattern["value"] for pattern in option["all"]}
        for option in known["any"]
    ]
    assert pairs == [
        {"auth.metadata.tier.tier": tier, "auth.identity.tier": tier}
        for tier in ("free", "premium", "enterprise")
    ]
    operators = {p["operator"] for option in known["any"] for p in option["all"]}
    assert operators == {"eq"}


def _allows_path(auth, path):
    pattern, _known = auth["rules"]["authorization"]["known-tier"]["patternMatching"]["patterns"]
    assert pattern["selector"] == "request.path"
    assert pattern["operator"] == "matches"
    return _matches(pattern["value"], path)


def _matches(expression, path):
    # Go's $ is the very end of the text, Python's may be before a last newline.
    return re.search(expression.removesuffix("$") + r"\Z", path) is not None


@pytest.mark.parametrize(
    "path",
    [
        "/llm/gemma",
        "/llm/gemma/",
        "/llm/gemma/v1/chat/completions",
        "/llm/gemma/v1/chat/completions?x=%2F&y=//..",
        "/llm/gemma/slots",
        "/llm/gemma/v1/models/gemma-3.1:it",
    ],
)
def test_plain_paths_are_looked_at(auth, path):
    assert _allows_path(auth, path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/llm",
        "/llm/",
        "/llm//v1/models",
        "//llm/gemma/v1",
        "/llm/gemma//v1",
        "/llm/gemma/../gemma-large/v1",
        "/llm/gemma/./v1",
        "/llm/gemma/%2e%2e/gemma-large/v1",
        "/llm/gemma%2Fv1/chat",
        "/llm/gemma/v1/..%2f..%2fgemma-large",
        "/llm/gemma\\..\\x",
        "/llm/Gemma/v1",
        "/llm/..;/x",
        "/llm/gemma/..;/x",
        "/llm?x=/gemma/v1",
        '/llm/gemma"x/v1',
        "/llm/gemma/v1\n",
    ],
)
def test_paths_that_two_hops_may_read_differently_are_refused(auth, path):
    assert not _allows_path(auth, path)


@given(st.text(alphabet="/.%\\;?#ab2fFeE", max_size=20))
def test_what_is_allowed_has_one_reading(path):
    pattern = render(()).policies[-1]["spec"]["rules"]["authorization"]["known-tier"]
    expression = pattern["patternMatching"]["patterns"][0]["value"]
    full = f"/llm/gemma{path}"
    if _matches(expression, full):
        plain = full.partition("?")[0]
        assert "%" not in plain
        assert "\\" not in plain
        assert "//" not in plain
        assert not [part for part in plain.split("/") if part.startswith(".")]


def test_access_is_asked_for_the_model_in_the_path(auth):
    review = auth["rules"]["authorization"]["model-access"]["kubernetesSubjectAccessReview"]
    attributes = review["resourceAttributes"]
    assert attributes["verb"] == {"value": "post"}
    assert attributes["group"] == {"value": "serving.kserve.io"}
    assert attributes["resource"] == {"value": "llminferenceservices"}
    assert attributes["namespace"] == {"selector": 'request.url_path.@extract:{"sep":"/","pos":1}'}
    assert attributes["name"] == {"selector": 'request.url_path.@extract:{"sep":"/","pos":2}'}
    assert review["user"] == {"selector": "auth.identity.user.username"}
    assert review["authorizationGroups"] == {"selector": "auth.identity.user.groups"}


def test_every_cache_forgets_with_the_revision(auth, rendered):
    rules = auth["rules"]
    caches = {
        "token": rules["authentication"]["tier-token"]["cache"],
        "tier": rules["metadata"]["tier"]["cache"],
        "access": rules["authorization"]["model-access"]["cache"],
    }
    for cache in caches.values():
        assert cache["key"]["selector"].startswith(f"{rendered.revision}:{{")
    assert caches["tier"]["ttl"] <= 5
    assert "{auth.identity.user.uid}" in caches["tier"]["key"]["selector"]
    assert max(cache["ttl"] for cache in caches.values()) <= 60


def test_the_lookup_carries_who_asks(auth):
    lookup = auth["rules"]["metadata"]["tier"]["http"]
    assert lookup["url"] == ("http://maas-api.maas-api.svc.cluster.local:8080/v1/tiers/lookup")
    assert lookup["contentType"] == "application/json"
    assert set(lookup["bodyParameters"]) == {"groups", "username", "uid", "revision"}


def test_the_lookup_says_of_which_revision_the_policy_is(auth, rendered):
    lookup = auth["rules"]["metadata"]["tier"]["http"]
    assert lookup["bodyParameters"]["revision"] == {"value": rendered.revision}


def test_limits_count_by_the_full_account_name(auth):
    properties = auth["rules"]["response"]["success"]["filters"]["identity"]["json"]["properties"]
    assert properties == {
        "userid": {"selector": "auth.identity.user.username"},
        "account": {"selector": _ACCOUNT},
        "tier": {"selector": "auth.identity.tier"},
    }


def test_what_passed_carries_the_mark_that_the_models_routes_ask_for(auth):
    marks = auth["rules"]["response"]["success"]["headers"]
    assert marks == {
        "x-maas-tier": {"plain": {"selector": "auth.identity.tier"}},
        "x-maas-account": {"plain": {"selector": _ACCOUNT}},
    }


def test_refusals_say_nothing_about_the_reason(auth):
    response = auth["rules"]["response"]
    assert response["unauthenticated"]["code"] == 401
    assert response["unauthorized"]["code"] == 403
    for refusal in (response["unauthenticated"], response["unauthorized"]):
        # Static values only, the one in the reason header included.
        assert set(refusal["body"]) == set(refusal["message"]) == {"value"}
        assert json.loads(refusal["body"]["value"])["error"]["message"]


def test_limits_are_the_tiers(rendered):
    requests = _named(rendered.policies, "RateLimitPolicy", "gateway-rate-limits")
    assert requests["apiVersion"] == "kuadrant.io/v1"
    assert requests["spec"]["targetRef"]["kind"] == "HTTPRoute"
    assert requests["spec"]["targetRef"]["name"] == "maas-inference"
    assert requests["spec"]["limits"]["free"] == {
        "rates": [{"limit": 5, "window": "2m"}],
        "when": [{"predicate": 'auth.identity.tier == "free"'}],
        "counters": [{"expression": "auth.identity.userid"}],
    }
    assert set(requests["spec"]["limits"]) == {"free", "premium"}
    tokens = _named(rendered.policies, "TokenRateLimitPolicy", "gateway-token-rate-limits")
    assert tokens["apiVersion"] == "kuadrant.io/v1alpha1"
    assert set(tokens["spec"]["limits"]) == {"free"}
    assert tokens["spec"]["limits"]["free"]["rates"] == [
        {"limit": 100, "window": "1m"},
        {"limit": 20000, "window": "24h"},
    ]


def test_a_policy_without_limits_is_not_rendered(raw_tiers, raw_models):
    for tier in raw_tiers:
        tier["limits"] = {"requests": "unlimited", "tokens": "unlimited"}
    inventory = parse_inventory(raw_tiers, raw_models)
    rendered = render(inventory.tiers, inventory.models)
    assert {item["kind"] for item in rendered.policies} == {"AuthPolicy"}


def test_accounts_of_a_disabled_tier_are_somebody_who_may_do_nothing(raw_tiers, raw_models):
    raw_tiers[1]["enabled"] = False
    rendered = render(parse_inventory(raw_tiers, raw_models).tiers)
    rules = rendered.policies[-1]["spec"]["rules"]
    owners = rules["authentication"]["tier-token"]["overrides"]["tier"]["expression"]
    assert '"system:serviceaccount:maas-default-gateway-tier-premium": "premium"' in owners
    assert '"premium"' not in json.dumps(rules["authorization"])


def test_with_every_tier_disabled_nobody_passes(raw_tiers, raw_models):
    """An empty list of choices would be no condition at all."""
    for tier in raw_tiers:
        tier["enabled"] = False
    rendered = render(parse_inventory(raw_tiers, raw_models).tiers)
    rules = rendered.policies[-1]["spec"]["rules"]["authorization"]["known-tier"]
    _path, known = rules["patternMatching"]["patterns"]
    (option,) = known["any"]
    assert {pattern["value"] for pattern in option["all"]} == {"-"}


def test_a_priority_anywhere_names_everybodys_objective(raw_tiers, raw_models):
    raw_tiers[2]["priority"] = 10
    rendered = render(parse_inventory(raw_tiers, raw_models).tiers)
    headers = rendered.policies[-1]["spec"]["rules"]["response"]["success"]["headers"]
    objective = headers["x-gateway-inference-objective"]
    # Without a condition: what a client of another tier writes there is replaced.
    selector = '{request.url_path.@extract:{"sep":"/","pos":2}}.{auth.identity.tier}'
    assert objective == {"plain": {"selector": selector}}


def test_without_any_priority_there_is_no_objective(rendered):
    headers = rendered.policies[-1]["spec"]["rules"]["response"]["success"]["headers"]
    assert "x-gateway-inference-objective" not in headers


def test_nothing_runs_in_a_tier_s_namespace(rendered):
    quotas = [item for item in rendered.namespaces if item["kind"] == "ResourceQuota"]
    assert {item["metadata"]["namespace"] for item in quotas} == {
        f"maas-default-gateway-tier-{tier}" for tier in ("free", "premium", "enterprise")
    }
    for item in quotas:
        assert item["spec"] == {"hard": {"count/pods": "0"}}
        assert item["metadata"]["labels"]["maas.platform/part"] == "namespaces"


def test_nobody_gets_a_token_in_a_former_tier_s_namespace(raw_tiers, raw_models):
    before = parse_inventory(raw_tiers, raw_models)
    live = fresh_plan(before)
    raw_tiers[0].update(name="gratis", renamed_from=["free"])
    found = left_behind(live)
    moment = datetime(2026, 11, 23, 8, tzinfo=UTC)
    rendered = render_plan(plan(parse_inventory(raw_tiers, raw_models), found, moment))
    verbs = {
        item["metadata"]["namespace"].removeprefix("maas-default-gateway-tier-"): {
            (resource, verb)
            for rule in item["rules"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }
        for item in rendered.access
        if item["kind"] == "Role" and item["metadata"]["name"] == "maas-api"
    }
    keep = {("serviceaccounts", verb) for verb in ("get", "list", "watch", "patch", "delete")}
    assert verbs["free"] == keep
    assert verbs["gratis"] == keep | {
        ("serviceaccounts", "create"),
        ("serviceaccounts/token", "create"),
    }
    former = _named(rendered.namespaces, "Namespace", "maas-default-gateway-tier-free")
    assert former["metadata"]["labels"]["maas.platform/tier"] == "gratis"
    assert former["metadata"]["annotations"] == {
        "maas.platform/max-ttl-seconds": "86400",
        "maas.platform/until": "2026-11-24T08:05:00Z",
    }


def test_unlimited_tiers_are_known_all_the_same(auth):
    assert (
        '"enterprise"'
        in auth["rules"]["authentication"]["tier-token"]["overrides"]["tier"]["expression"]
    )


def test_limits_come_before_the_door(rendered):
    kinds = [item["kind"] for item in rendered.policies]
    assert kinds == ["RateLimitPolicy", "TokenRateLimitPolicy", "AuthPolicy"]
    assert rendered.policies[-1]["metadata"]["name"] == "gateway-auth-policy"


def test_other_places_are_rendered_too(inventory):
    rendered = render(inventory.tiers, inventory.models, Platform("openshift-ingress", "api-ns"))
    assert {item["metadata"]["namespace"] for item in rendered.policies} == {"openshift-ingress"}
    assert rendered.catalog[0]["metadata"]["namespace"] == "api-ns"
    assert "http://maas-api.api-ns.svc" in json.dumps(rendered.policies)


def test_parts_come_in_the_order_of_their_use(rendered):
    backwards = rendered.chosen(reversed(PARTS))
    assert backwards == rendered.chosen(PARTS)
    with pytest.raises(KeyError):
        rendered.part("revision")
