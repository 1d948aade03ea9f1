"""The lab's cluster as kind wants it described. Pure: nothing is asked of an engine here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CLUSTER = "maas"
POD_SUBNET = "10.244.0.0/16"
SERVICE_SUBNET = "10.96.0.0/16"

HTTPS_PORT, HTTPS_NODE_PORT = 8443, 30443
HTTP_PORT, HTTP_NODE_PORT = 8080, 30080
# Where people sign in.
LOGIN_PORT, LOGIN_NODE_PORT = 8444, 30444
PORTS = (HTTPS_PORT, HTTP_PORT, LOGIN_PORT)

# Inside the node.
NODE_IDENTITIES = "/etc/maas-lab/identities"
NODE_MIRRORS = "/etc/containerd/certs.d"


@dataclass(frozen=True)
class Shape:
    """What may differ from one machine or image source to the next.

    Args:
        image: The node image.
        identities: The directory with the API server's static token file.
        mirrors: The directory with containerd's hosts files.
        own_images: Whether the node image is the lab's own.
        dns_image: CoreDNS's repository and tag where kubeadm's default is not served.
        unprivileged: Whether the machine withholds CAP_SYS_RESOURCE.
    """

    image: str
    identities: Path
    mirrors: Path
    own_images: bool
    dns_image: tuple[str, str] | None = None
    unprivileged: bool = False


def render(shape: Shape) -> str:
    """Return the configuration file for ``kind create cluster``."""
    config: dict[str, Any] = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": CLUSTER,
        "networking": {
            "apiServerAddress": "127.0.0.1",
            "podSubnet": POD_SUBNET,
            "serviceSubnet": SERVICE_SUBNET,
            # The lab's own node image carries a CNI configuration; the published one kind's.
            "disableDefaultCNI": shape.own_images,
        },
        "nodes": [_node(shape)],
        "containerdConfigPatches": [
            f'[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "{NODE_MIRRORS}"\n'
        ],
        "kubeadmConfigPatches": [_text(_kubeadm(shape))],
    }
    if shape.unprivileged:
        # Without the capability the kubelet can neither set kernel parameters that are beyond its
        # rights nor lower its out-of-memory score; with this gate it goes on all the same.
        config["featureGates"] = {"KubeletInUserNamespace": True}
    return _text(config)


def _node(shape: Shape) -> dict[str, Any]:
    return {
        "role": "control-plane",
        "image": shape.image,
        "extraPortMappings": [
            _published(HTTPS_PORT, HTTPS_NODE_PORT),
            _published(HTTP_PORT, HTTP_NODE_PORT),
            _published(LOGIN_PORT, LOGIN_NODE_PORT),
        ],
        "extraMounts": [
            _mounted(shape.identities, NODE_IDENTITIES),
            _mounted(shape.mirrors, NODE_MIRRORS),
        ],
    }


def _published(port: int, node_port: int) -> dict[str, Any]:
    return {"listenAddress": "127.0.0.1", "hostPort": port, "containerPort": node_port}


def _mounted(path: Path, node_path: str) -> dict[str, Any]:
    return {"hostPath": str(path), "containerPath": node_path, "readOnly": True}


def _kubeadm(shape: Shape) -> dict[str, Any]:
    """Return the changes to what kubeadm makes of the cluster."""
    changes: dict[str, Any] = {
        "kind": "ClusterConfiguration",
        "apiServer": {
            "extraArgs": {"token-auth-file": f"{NODE_IDENTITIES}/tokens.csv"},
            "extraVolumes": [
                {
                    "name": "lab-identities",
                    "hostPath": NODE_IDENTITIES,
                    "mountPath": NODE_IDENTITIES,
                    "readOnly": True,
                    "pathType": "Directory",
                }
            ],
        },
    }
    if shape.dns_image:
        repository, tag = shape.dns_image
        changes["dns"] = {"imageRepository": repository, "imageTag": tag}
    return changes


def _text(value: dict[str, Any]) -> str:
    text: str = yaml.safe_dump(value, sort_keys=False)
    return text
