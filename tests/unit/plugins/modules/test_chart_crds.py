# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The CRDs of a chart: brought once, renewed when they change, never taken from others."""

from __future__ import annotations

import base64

import pytest
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.modules import chart_crds

VERSION = "apiextensions.k8s.io/v1"
CRD = """
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: {name}
  creationTimestamp: null
  annotations: {{bundle: "1"}}
spec: {spec}
"""
PLAIN = CRD.format(name="plain.example.com", spec="{group: example.com}")
CONVERTED = CRD.format(
    name="converted.example.com",
    spec="{conversion: {strategy: Webhook, webhook: {clientConfig: {service: {name: hook}}}}}",
)
OTHER = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n---\n"
CHART = OTHER + PLAIN + CONVERTED


@pytest.fixture
def crds(api):
    """Run the module on the cluster in memory, where every CRD is served at once."""

    def run(chart=CHART, check_mode=False, **options):
        params = {
            "name": "test",
            "chart_ref": "chart",
            "chart_version": None,
            "helm_binary": "helm",
            "conversion_ca_pem": "",
            "adopt": False,
            "state": "present",
            "wait_timeout": 5,
            **options,
        }
        return chart_crds.run(params, api.cluster(), lambda: chart, check_mode)

    store = api._store

    def served(path, item):
        if item["kind"] == "CustomResourceDefinition":
            item["status"] = {"conditions": [{"type": "Established", "status": "True"}]}
        store(path, item)

    api._store = served
    return run


def names(api):
    return api.names("customresourcedefinitions")


def get(api, name):
    return api.objects[f"/apis/{VERSION}/customresourcedefinitions/{name}"]


def test_they_are_brought_and_the_second_run_sends_nothing(api, crds):
    first = crds()
    assert first == {
        "changed": True,
        "crds": ["plain.example.com", "converted.example.com"],
        "left_alone": [],
    }
    assert names(api) == ["converted.example.com", "plain.example.com"]
    metadata = get(api, "plain.example.com")["metadata"]
    assert metadata["labels"]["maas.platform/crds"] == "test"
    assert metadata["annotations"]["bundle"] == "1"
    api.log.clear()
    assert crds()["changed"] is False
    assert {method for method, _path in api.log} == {"GET"}


def test_a_changed_chart_and_a_lost_crd_are_applied(api, crds):
    crds()
    assert crds(CHART.replace("group: example.com", "group: example.org"))["changed"] is True
    assert get(api, "plain.example.com")["spec"] == {"group": "example.org"}
    del api.objects[f"/apis/{VERSION}/customresourcedefinitions/plain.example.com"]
    assert crds()["changed"] is True
    assert "plain.example.com" in names(api)


def test_the_ca_goes_to_conversion_webhooks_only(api, crds):
    crds()
    assert crds(conversion_ca_pem="CA")["changed"] is True
    client = get(api, "converted.example.com")["spec"]["conversion"]["webhook"]["clientConfig"]
    assert client == {"service": {"name": "hook"}, "caBundle": base64.b64encode(b"CA").decode()}
    assert get(api, "plain.example.com")["spec"] == {"group": "example.com"}
    assert crds(conversion_ca_pem="CA")["changed"] is False


def test_what_others_installed_is_left_alone_unless_adopted(api, crds):
    plural = "customresourcedefinitions"
    api.add(VERSION, "CustomResourceDefinition", plural, "plain.example.com", spec={"old": 1})
    result = crds()
    assert result["left_alone"] == ["plain.example.com"]
    assert result["crds"] == ["converted.example.com"]
    assert get(api, "plain.example.com")["spec"] == {"old": 1}
    assert crds()["changed"] is False
    crds(state="absent")
    assert names(api) == ["plain.example.com"]
    assert crds(adopt=True)["left_alone"] == []
    assert get(api, "plain.example.com")["spec"] == {"group": "example.com"}


def test_absent_removes_ours_and_is_idempotent(api, crds):
    crds()
    crds(name="another", chart=CRD.format(name="third.example.com", spec="{}"))
    result = crds(state="absent")
    assert result["changed"] is True
    assert sorted(result["crds"]) == ["converted.example.com", "plain.example.com"]
    assert names(api) == ["third.example.com"]
    assert crds(state="absent")["changed"] is False


def test_check_mode_changes_nothing(api, crds):
    assert crds(check_mode=True)["changed"] is True
    assert names(api) == []
    crds()
    assert crds(check_mode=True)["changed"] is False
    assert crds(state="absent", check_mode=True)["changed"] is True
    assert len(names(api)) == 2


def test_a_chart_without_crds_is_refused(crds):
    with pytest.raises(MaasError, match="has no CustomResourceDefinition"):
        crds(OTHER)


def test_kinds_that_are_never_served_are_named(api, crds):
    api._store = type(api)._store.__get__(api)
    with pytest.raises(MaasError, match=r"does not serve .* plain\.example\.com"):
        crds(chart=PLAIN)
