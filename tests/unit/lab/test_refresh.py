from types import SimpleNamespace

from lab import refresh
from lab.refresh import affected


def pod(name, *images, namespace="llm"):
    containers = [{"image": image} for image in images]
    return {
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"containers": containers},
    }


PODS = {
    "items": [
        pod("old", "ghcr.io/a/b:1"),
        pod("short", "kserve/c:2@sha256:1234"),
        pod("other", "ghcr.io/a/b:2"),
        pod("envoy", "docker.io/envoyproxy/envoy:v1", namespace="envoy-gateway-system"),
    ]
}


def test_pods_of_a_changed_image_restart_however_they_spell_it():
    changed = ["ghcr.io/a/b:1", "docker.io/kserve/c:2"]
    assert affected(PODS, changed) == [("llm", "old"), ("llm", "short")]


def test_a_changed_filter_restarts_the_gateways():
    changed = ["quay.io/kuadrant/wasm-shim:v0.14.1"]
    assert affected(PODS, changed) == [("envoy-gateway-system", "envoy")]


def test_nothing_restarts_without_a_change():
    assert affected(PODS, []) == []


class Engine:
    """A node that knows some images; it has ctr, and no other client."""

    def __init__(self, *known):
        self.known = list(known)

    def docker(self, *words, **_):
        assert words[2:6] == ("ctr", "--namespace", "k8s.io", "images")
        if words[6] == "list":
            return SimpleNamespace(stdout="\n".join(self.known))
        assert words[6] == "remove"
        for name in words[7:]:
            self.known.remove(name)
        return SimpleNamespace(stdout="")


def test_the_node_forgets_an_image_under_all_its_names():
    others = ["quay.io/a/operator-b:1", "quay.io/a/operator-b@sha256:2", "sha256:3"]
    engine = Engine("quay.io/a/operator:1", "quay.io/a/operator@sha256:1", *others)
    refresh.forget(engine, ["quay.io/a/operator:1"])
    assert engine.known == others


def test_what_the_node_never_had_is_forgotten_already():
    engine = Engine("docker.io/a/b:1")
    refresh.forget(engine, ["quay.io/a/operator:1"])
    assert engine.known == ["docker.io/a/b:1"]
