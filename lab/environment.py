"""What the lab tells others about itself: shell assignments for people, JSON for programs."""

import json
import shlex
from typing import Any

from lab import paths
from lab.kindconfig import HTTPS_PORT, LOGIN_PORT

DOMAIN = "lab.test"
HOST = f"maas.{DOMAIN}"
LOGIN_HOST = f"login.{DOMAIN}"
LOGIN_URL = f"https://{LOGIN_HOST}:{LOGIN_PORT}/dex"


def variables() -> dict[str, str]:
    """Return what a shell needs to use the lab."""
    return {
        "KUBECONFIG": str(paths.KUBECONFIG),
        "MAAS_DOMAIN": DOMAIN,
        "MAAS_URL": f"https://{HOST}:{HTTPS_PORT}",
        "MAAS_RESOLVE": f"{HOST}:{HTTPS_PORT}:127.0.0.1",
        "MAAS_CA": str(paths.CA),
        "MAAS_LOGIN_URL": LOGIN_URL,
        "MAAS_LOGIN_RESOLVE": f"{LOGIN_HOST}:{LOGIN_PORT}:127.0.0.1",
        "MAAS_LOGIN_CA": str(paths.LOGIN_CA),
    }


def facts(wasm_shim_image: str, images: str, registry: str, engine_host: str) -> dict[str, str]:
    """Return what programs need to know of this lab.

    Args:
        wasm_shim_image: Where the gateway fetches its filter.
        images: The images' source, ``packages`` or ``upstream``.
        registry: The registry's address and port in the cluster's network.
        engine_host: Where the container engine listens; empty for docker's default.
    """
    return {
        "wasm_shim_image": wasm_shim_image,
        "images": images,
        "registry": registry,
        "docker_host": engine_host,
    }


def write(known: dict[str, str]) -> None:
    """Write both files."""
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in variables().items()]
    paths.write_private(paths.ENV, "".join(lines))
    paths.write_private(paths.FACTS, json.dumps(known, indent=2) + "\n")


def read_facts() -> dict[str, Any]:
    """Return the facts of the lab in this checkout, empty without one."""
    try:
        known: dict[str, Any] = json.loads(paths.FACTS.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known
