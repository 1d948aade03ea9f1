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
