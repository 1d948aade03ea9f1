import json

import pytest

from lab import kubectl, manifest

VALUES = {
    "gpus": {"image": "r.test/a:1", "count": "4"},
    "network-policies": {"image": "r.test/a:1", "tools": "r.test/b:1"},
    "metrics": {"image": "r.test/a:1"},
    "login": {
        "image": "r.test/a:1",
        "namespace": "n",
        "address": "10.96.0.44",
        "port": "8444",
        "node_port": "30444",
        "digest": "d",
    },
}


def test_every_manifest_is_known_here():
    assert {path.stem for path in manifest.MANIFESTS.iterdir()} == set(VALUES)


def test_what_serves_a_part_of_the_api_is_there_before_that_part():
    kinds = [item["kind"] for item in manifest.read("metrics", **VALUES["metrics"])]
    assert kinds[-1] == "APIService"
    assert kinds.count("APIService") == 1


@pytest.mark.parametrize("name", VALUES)
def test_every_value_is_filled_in(name):
    text = json.dumps(manifest.read(name, **VALUES[name]))
    assert "r.test/a:1" in text
    # What is left of dollar signs is for Kubernetes: the value of a variable.
    assert "$" not in text.replace("$(NODE_NAME)", "")


def test_a_missing_value_is_no_empty_one():
    with pytest.raises(KeyError, match="tools"):
        manifest.read("network-policies", image="r.test/a:1")


def test_nothing_that_is_applied_is_in_an_argument(monkeypatch):
    calls = []
    monkeypatch.setattr(kubectl, "ask", lambda *words, **options: calls.append((words, options)))
    manifest.apply([manifest.secret("n", "s", {"key": "secret value"})])
    ((words, options),) = calls
    assert "secret value" not in " ".join(words)
    assert "--server-side" in words
    (item,) = json.loads(options["stdin"])["items"]
    assert item["stringData"] == {"key": "secret value"}


def containers(name):
    for item in manifest.read(name, **VALUES[name]):
        pod = item.get("spec", {}).get("template", {}).get("spec", {})
        yield from [*pod.get("containers", []), *pod.get("initContainers", [])]


@pytest.mark.parametrize(
    ("name", "added"), [("network-policies", ["NET_ADMIN"]), ("login", None), ("metrics", None)]
)
def test_containers_have_no_rights_but_those_they_need(name, added):
    for container in containers(name):
        context = container["securityContext"]
        assert context["capabilities"]["drop"] == ["ALL"]
        assert context["capabilities"].get("add") == added
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
