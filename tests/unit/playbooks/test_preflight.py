"""Wrong inventories and wrong clusters stop in preflight, with words that help.

Each host of an inventory is one case, so that one run of ansible-playbook covers many.
"""

from __future__ import annotations

import copy
import re

import pytest
from ansible_collections.maas.platform.plugins.module_utils._accounts import account_manifest
from ansible_collections.maas.platform.plugins.module_utils._policies import render
from ansible_collections.maas.platform.plugins.module_utils._tiers import parse_inventory

from tests.unit.playbooks.conftest import CHECKOUT, api_server, said_to, serving
from tests.unit.plugins.conftest import FakeApi

UNREACHABLE = "https://127.0.0.1:1"

GOOD = {
    "maas_domain": "lab.test",
    "maas_models": [{"name": "gemma", "uri": "hf://x"}],
    "maas_tiers": [
        {
            "name": "free",
            "level": 0,
            "groups": ["system:authenticated"],
            "models": ["gemma"],
            "limits": {"requests": [{"limit": 5, "window": "2m"}], "tokens": "unlimited"},
        }
    ],
    "maas_helm_binary": "helm3",
    "preflight_cluster": False,
}


def good(**changes: object) -> dict:
    """Return variables with nothing wrong but what is changed."""
    return copy.deepcopy(GOOD) | changes


def with_tier(**changes: object) -> dict:
    """Return good variables with one tier changed."""
    host = good()
    host["maas_tiers"][0].update(changes)
    return host


def with_twin_level() -> dict:
    """Return variables with two tiers of one level."""
    host = good()
    host["maas_tiers"].append({**host["maas_tiers"][0], "name": "premium"})
    return host


def with_model(**changes: object) -> dict:
    """Return good variables with one model changed."""
    host = good()
    host["maas_models"][0].update(changes)
    return host


def with_model_twice() -> dict:
    """Return variables with two models of one name."""
    host = good()
    host["maas_models"] *= 2
    return host


def with_lonely_model() -> dict:
    """Return variables with a model that no tier names."""
    host = good()
    host["maas_models"].append({"name": "llama", "uri": "hf://y"})
    return host


def with_gone_tier(on_removal: object) -> dict:
    """Return variables with a tier that is to go."""
    host = good()
    host["maas_tiers"].append({"name": "trial", "state": "absent", "on_removal": on_removal})
    return host


def without_domain() -> dict:
    """Return variables that do not say where the platform is."""
    host = good()
    del host["maas_domain"]
    return host


CASES = {
    "unknown-tier-key": (with_tier(levle=1), ["maas_tiers[0].levle", "1", "did you mean level?"]),
    "one-level-twice": (with_twin_level(), ["maas_tiers[1].level", "0", "no other tier has"]),
    "lonely-model": (with_lonely_model(), ['maas_models[1].name: value "llama"', "one tier names"]),
    "model-scheme": (
        with_model(uri="ftp://models/gemma"),
        ['maas_models[0].uri: value "ftp://models/gemma", allowed:', "hf://"],
    ),
    "model-key": (
        with_model(replcas=2),
        ["maas_models[0].replcas: value", "no such key", "did you mean replicas?"],
    ),
    "model-twice": (with_model_twice(), ['maas_models[1].name: value "gemma", allowed: a name']),
    "model-canary": (
        with_model(canary={"weight": 101, "uri": "hf://y"}),
        ["maas_models[0].canary.weight: value 101, allowed:"],
    ),
    "model-autoscaling": (
        with_model(autoscaling={"min": 3, "max": 2}),
        ["maas_models[0].autoscaling.max: value 2, allowed: at least min, which is 3"],
    ),
    "model-engine": (
        with_model(runtime={"engine": "vlm"}),
        ['maas_models[0].runtime.engine: value "vlm", allowed: one of', "did you mean vllm?"],
    ),
    "model-pool": (
        with_model(pool="h10", gpus=1)
        | {"gpu_nodes_pools": [{"name": "h100", "selector": {"gpu": "h100"}}]},
        ['maas_models[0].pool: value "h10", allowed: a pool in', "did you mean h100?"],
    ),
    "model-defaults": (
        good(maas_model_defaults={"replicsa": 2}),
        ["maas_model_defaults.replicsa: value", "no such key", "did you mean replicas?"],
    ),
    "no-such-model": (
        with_tier(models=["gemma", "gemmma"]),
        ['maas_tiers[0].models[1]: value "gemmma"', "did you mean gemma?"],
    ),
    "provider": (
        good(maas_gateway={"provider": "istio"}),
        ["maas_gateway.provider: value istio, allowed: envoy_gateway, openshift"],
    ),
    "gateway-key": (
        good(maas_gateway={"prot": 443}),
        ["maas_gateway.prot: no such key, allowed: address, namespace, port, provider"],
    ),
    "gateway-port": (
        good(maas_gateway={"port": "many"}),
        ["maas_gateway.port: value many, allowed: int"],
    ),
    "domain": (good(maas_domain="https://lab.test"), ["maas_domain: value https://lab.test"]),
    "override": (
        good(maas_user_overrides=[{"user": "alice", "suspnded": True}]),
        ["maas_user_overrides[0].suspnded: value true", "did you mean suspended?"],
    ),
    "removal": (
        with_gone_tier({"migrate_to": "fre"}),
        ['maas_tiers[1].on_removal.migrate_to: value "fre"', "did you mean free?"],
    ),
    "no-domain": (without_domain(), ["maas_domain: value (missing)"]),
    "provider-without-issuer": (
        good(maas_api_oidc={"client_id": "maas"}),
        ["maas_api_oidc.issuer: value (missing), allowed: what the provider calls itself"],
    ),
    "provider-without-client": (
        good(maas_api_oidc={"issuer": "https://login.test"}),
        ["maas_api_oidc.client_id: value (missing), allowed: what the provider calls"],
    ),
    "provider-in-the-clear": (
        good(maas_api_oidc={"issuer": "http://login.test", "client_id": "maas"}),
        ["maas_api_oidc.issuer: value http://login.test, allowed: an https URL"],
    ),
    "backend-in-the-clear": (
        good(
            maas_api_oidc={
                "issuer": "https://login.test",
                "client_id": "maas",
                "backend_url": "http://dex.login.svc:5556",
            }
        ),
        ["maas_api_oidc.backend_url: value http://dex.login.svc:5556, allowed: an https URL"],
    ),
    "everybody-administers": (
        good(maas_api_admin_groups=["ops", "system:authenticated"]),
        ["maas_api_admin_groups: value system:authenticated, allowed: groups of people"],
    ),
    "prefix-of-the-cluster": (
        good(
            maas_api_oidc={
                "issuer": "https://login.test",
                "client_id": "maas",
                "username_prefix": "system:x:",
            }
        ),
        ["maas_api_oidc.username_prefix: value system:x:, allowed: text that does not begin"],
    ),
    "provider-is-text": (
        good(maas_api_oidc="https://login.test"),
        ["maas_api_oidc: value https://login.test, allowed: a mapping with issuer and client_id"],
    ),
    "no-login": (
        good(maas_api_kubernetes_logins=False),
        ["maas_api_kubernetes_logins: value False, allowed: true where maas_api_oidc is not set"],
    ),
}

MACHINES = {
    "no-helm": (good(maas_helm_binary="/no/helm"), ["maas_helm_binary: value /no/helm"]),
    "helm-four": (good(maas_helm_binary="helm4"), ["helm4 is Helm v4.0.0", "allowed: Helm 3"]),
}


@pytest.fixture(scope="module")
def refused(runs):
    """Give the output of one run over every bad inventory."""
    hosts = {name: variables for name, (variables, _) in CASES.items()}
    result = runs.play(hosts, skip="preflight_machine,preflight_cluster")
    assert result.returncode == 2, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def stranded(runs):
    """Give the output of one run over machines and clusters that will not do."""
    gone = good(
        preflight_cluster=True,
        maas_kubeconfig=runs.write_kubeconfig("gone", UNREACHABLE),
        maas_context="there",
    )
    hosts = {name: variables for name, (variables, _) in MACHINES.items()}
    return runs.play({**hosts, "unreachable": gone}).stdout


@pytest.mark.parametrize("name", CASES)
def test_bad_inventory_is_told_key_value_and_what_is_allowed(refused, name):
    said = said_to(refused, name)
    assert f"{name}: 1 to correct, nothing was changed." in said
    for part in CASES[name][1]:
        assert part in said
    assert "Next: " in said


@pytest.mark.parametrize("name", MACHINES)
def test_unfit_machine_is_told_what_is_missing(stranded, name):
    for part in (f"{name}: 1 to correct", *MACHINES[name][1]):
        assert part in said_to(stranded, name)


def test_unreachable_cluster_is_named_with_its_connection(stranded, runs):
    said = said_to(stranded, "unreachable")
    assert f"cluster (kubeconfig {runs.folder}/gone, context there)" in said
    assert f"the cluster at {UNREACHABLE} cannot be reached" in said


def test_all_problems_of_a_host_are_told_at_once(runs):
    bad = with_tier(levle=1, limits={"requests": 0, "tokens": "unlimited"})
    result = runs.play(
        {"bad": bad | {"maas_gateway": {"provider": "istio"}}}, skip="preflight_machine"
    )
    said = said_to(result.stdout, "bad")
    assert "bad: 3 to correct" in said
    for key in ("maas_gateway.provider", "maas_tiers[0].levle", "maas_tiers[0].limits.requests"):
        assert key in said


def test_likely_mistakes_are_told_and_stop_nothing(runs):
    result = runs.play({"odd": with_tier(groups=[])}, skip="preflight_machine")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "odd: 1 likely mistake(s), which stop nothing." in result.stdout
    assert "1. maas_tiers[0].groups: no group, so nobody gets tier free" in result.stdout
    assert "odd: no problem found in inventory" in result.stdout


def test_one_api_host_for_two_clusters_is_refused(runs):
    hosts = {"a": good(), "b": good()}
    result = runs.play(hosts, skip="preflight_machine", K8S_AUTH_HOST="https://api.test")
    said = said_to(result.stdout, "b")
    assert "K8S_AUTH_HOST: value https://api.test would send all 2 hosts" in said
    assert "(a, b) to one cluster" in said


def test_clusters_are_told_apart_and_asked_for_version_rights_and_namespaces(runs):
    def no_deployments(asked):
        return (asked["verb"], asked["resource"]) == ("create", "deployments")

    with (
        api_server("v1.34.4", "a", lambda _: False) as fit,
        api_server("v1.30.2", "b", lambda _: False) as old,
        api_server("v1.34.4", "c", no_deployments) as strict,
        api_server("v1.34.4", "d", lambda _: False, foreign="llm") as shared,
        api_server("v1.34.4", "e", lambda _: False, foreign="maas-gateway") as taken,
    ):
        clusters = {"fit": fit, "old": old, "strict": strict, "twin": fit}
        clusters |= {"shared": shared, "taken": taken}
        hosts = {
            name: good(preflight_cluster=True, maas_kubeconfig=runs.write_kubeconfig(name, server))
            for name, server in clusters.items()
        }
        output = runs.play(hosts, skip="preflight_machine").stdout
    assert f"cluster {old}: value Kubernetes v1.30.2 is too old; allowed: 1.33" in output
    assert "the account may not create deployments.apps" in said_to(output, "strict")
    assert "is the cluster of host twin, too (kube-system has uid a" in said_to(output, "fit")
    assert "is the cluster of host fit, too" in said_to(output, "twin")
    for host, namespace in (("shared", "llm"), ("taken", "maas-gateway")):
        said = said_to(output, host)
        assert f"namespace {namespace}: value exists, and is not the platform's; allowed: " in said
        assert f"kubectl label namespace {namespace} app.kubernetes.io/managed-by=" in said
    for host in clusters:
        assert f"{host}: 1 to correct" in said_to(output, host)


def test_tiers_that_would_strand_somebody_are_refused_before_any_role(runs):
    trial = {**GOOD["maas_tiers"][0], "name": "trial", "level": 1}
    before = parse_inventory([*GOOD["maas_tiers"], trial], GOOD["maas_models"])
    api = FakeApi()
    rendered = render(before.tiers, before.models)
    for part in ("namespaces", "access", "catalog"):
        # One after the other: what is in a namespace comes after it.
        for item in rendered.part(part):
            api.cluster().apply(item)
    api.cluster().create(account_manifest("carol", "trial"))
    found = copy.deepcopy(api.objects)
    with serving(api) as server:
        shared = {"preflight_cluster": True, "maas_kubeconfig": runs.write_kubeconfig("c", server)}
        drain = with_gone_tier({"drain": "1h"})["maas_tiers"]
        hosts = {"vanished": good(**shared), "drained": good(**shared, maas_tiers=drain)}
        output = runs.play(hosts, skip="preflight_machine").stdout
    said = " ".join(said_to(output, "vanished").split())
    assert (
        f"cluster {server}: tier trial: 1 account(s) in namespace maas-default-gateway-tier-trial "
        "(tiers are gone from maas_tiers while users still have accounts in them"
    ) in said
    assert "on_removal: {migrate_to: <tier>}, {drain: <duration>} or block)" in said
    assert "tier trial" not in said_to(output, "drained")
    assert api.objects == found


def test_the_second_of_two_twins_is_refused_when_hosts_go_one_by_one(runs):
    playbook = runs.folder / "serial.yml"
    playbook.write_text(
        "- hosts: maas_platform\n  gather_facts: false\n  serial: 1\n"
        "  module_defaults:\n    group/maas.platform.maas: {kubeconfig: '{{ maas_kubeconfig }}'}\n"
        "  roles: [maas.platform.preflight]\n"
    )
    with api_server("v1.34.4", "a", lambda _: False) as server:
        hosts = {
            name: good(preflight_cluster=True, maas_kubeconfig=runs.write_kubeconfig(name, server))
            for name in ("first", "second")
        }
        output = runs.play(hosts, playbook, skip="preflight_machine").stdout
    assert "is the cluster of host first, too" in said_to(output, "second")
    assert re.search(r"^first +: ok=\d+ +changed=0 +unreachable=0 +failed=0 ", output, re.MULTILINE)


@pytest.mark.parametrize("name", ["kind", "kubernetes", "openshift"])
def test_inventories_that_people_copy_are_valid(runs, name):
    result = runs.play_inventory(
        CHECKOUT / "inventories" / name,
        CHECKOUT / "playbooks/preflight.yml",
        "preflight_machine,preflight_cluster",
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "no problem found in inventory" in result.stdout
