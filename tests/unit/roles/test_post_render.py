"""The Helm post-renderer of role helm_release: what it changes, and what it lets through."""

import importlib.util
import io
import json
from pathlib import Path

import pytest
import yaml

SCRIPT = Path(__file__).parents[3] / "roles/helm_release/files/post_render.py"
CRD = """
# Source: chart/templates/crd.yaml
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: things.example.com
spec: {example: "kind: Deployment"}
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: operator
spec:
  template:
    spec:
      containers:
      - name: manager
        image: quay.io/kuadrant/operator:v1
        env:
        - {name: RELATED_IMAGE_FILTER, value: "quay.io/kuadrant/filter:v2"}
        - {name: NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
        resources: {limits: {cpu: 200m}}
"""


@pytest.fixture(scope="module")
def post_render():
    spec = importlib.util.spec_from_file_location("post_render", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def container_of(manifests, name="operator"):
    for document in yaml.safe_load_all(manifests):
        if document and document["kind"] == "Deployment" and document["metadata"]["name"] == name:
            return document["spec"]["template"]["spec"]["containers"][0]
    raise AssertionError(f"no Deployment {name} in {manifests}")


def test_other_objects_pass_as_they_are(post_render):
    assert post_render.change("---" + CRD, {"image_mirror": "mirror.example.com"}) == "---" + CRD


def test_environment_is_added_and_replaced_in_the_named_deployment_only(post_render):
    other = DEPLOYMENT.replace("name: operator", "name: other")
    wanted = {"RELATED_IMAGE_FILTER": "10.0.0.1:5000/filter:v3", "TIMEOUT": "1s"}
    changes = {"environment": {"operator": wanted}}
    changed = post_render.change(f"---{DEPLOYMENT}---{other}---{CRD}", changes)
    environment = container_of(changed)["env"]
    assert [variable["name"] for variable in environment] == [
        "NAMESPACE",
        "RELATED_IMAGE_FILTER",
        "TIMEOUT",
    ]
    assert {"name": "RELATED_IMAGE_FILTER", "value": "10.0.0.1:5000/filter:v3"} in environment
    assert len(container_of(changed, "other")["env"]) == 2


@pytest.mark.parametrize(
    ("image", "mirrored"),
    [
        ("quay.io/kuadrant/operator:v1", "m.example.com/x/kuadrant/operator:v1"),
        ("localhost/operator:v1", "m.example.com/x/operator:v1"),
        ("10.0.0.1:5000/a/operator:v1", "m.example.com/x/a/operator:v1"),
        ("kserve/agent:v1", "m.example.com/x/kserve/agent:v1"),
        ("operator@sha256:abc", "m.example.com/x/operator@sha256:abc"),
    ],
)
def test_the_mirror_replaces_the_registry(post_render, image, mirrored):
    assert post_render.mirrored(image, "m.example.com/x") == mirrored
    assert post_render.mirrored(image, "") == image


def test_images_in_variables_are_mirrored_and_resources_replaced(post_render):
    changes = {"image_mirror": "m.example.com", "resources": {"requests": {"cpu": "20m"}}}
    container = container_of(post_render.change(DEPLOYMENT, changes))
    assert container["image"] == "m.example.com/kuadrant/operator:v1"
    assert container["env"][0]["value"] == "m.example.com/kuadrant/filter:v2"
    assert container["resources"] == {"requests": {"cpu": "20m"}}


def test_main_reads_its_changes_from_the_environment(post_render, monkeypatch, capsys):
    monkeypatch.setenv("HELM_RELEASE_CHANGES", json.dumps({"image_mirror": "m.example.com"}))
    monkeypatch.setattr("sys.stdin", io.StringIO(DEPLOYMENT))
    post_render.main()
    assert container_of(capsys.readouterr().out)["image"] == "m.example.com/kuadrant/operator:v1"
