from dataclasses import replace
from pathlib import Path

import yaml

from lab import kindconfig

SHAPE = kindconfig.Shape(
    image="maas-lab/node:1",
    identities=Path("/c/.lab/identities"),
    mirrors=Path("/c/.lab/certs.d"),
    own_images=True,
    dns_image=("registry.k8s.io/coredns", "v1.13.1"),
    unprivileged=True,
)


def rendered(shape=SHAPE):
    return yaml.safe_load(kindconfig.render(shape))


def kubeadm(shape=SHAPE):
    return yaml.safe_load(rendered(shape)["kubeadmConfigPatches"][0])


def test_everything_is_published_on_loopback_only():
    config = rendered()
    ports = config["nodes"][0]["extraPortMappings"]
    assert {(p["listenAddress"], p["hostPort"], p["containerPort"]) for p in ports} == {
        ("127.0.0.1", 8443, 30443),
        ("127.0.0.1", 8080, 30080),
        ("127.0.0.1", 8444, 30444),
    }
    assert config["networking"]["apiServerAddress"] == "127.0.0.1"


def test_host_directories_are_mounted_read_only():
    mounts = rendered()["nodes"][0]["extraMounts"]
    assert {m["hostPath"] for m in mounts} == {"/c/.lab/identities", "/c/.lab/certs.d"}
    assert all(m["readOnly"] for m in mounts)


def test_the_api_server_reads_the_identities_it_mounts():
    server = kubeadm()["apiServer"]
    directory = server["extraVolumes"][0]["mountPath"]
    assert server["extraArgs"]["token-auth-file"] == f"{directory}/tokens.csv"
    assert rendered()["nodes"][0]["extraMounts"][0]["containerPath"] == directory


def test_own_images_bring_their_network_and_dns():
    assert rendered()["networking"]["disableDefaultCNI"] is True
    assert kubeadm()["dns"] == {"imageRepository": "registry.k8s.io/coredns", "imageTag": "v1.13.1"}


def test_published_images_keep_kinds_own():
    shape = replace(SHAPE, own_images=False, dns_image=None)
    assert rendered(shape)["networking"]["disableDefaultCNI"] is False
    assert "dns" not in kubeadm(shape)


def test_the_gate_is_set_only_where_the_capability_is_missing():
    assert rendered()["featureGates"] == {"KubeletInUserNamespace": True}
    assert "featureGates" not in rendered(replace(SHAPE, unprivileged=False))
