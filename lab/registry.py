"""The lab's image registry: a container on the lab's network, filled from the cache.

Its content lies in the cache, so that a new lab has nothing to push again. Pushes go to a port on
loopback; the node pulls from its fixed address in the network.
"""

import os
import time
import urllib.error
import urllib.request
from ipaddress import IPv4Network
from typing import Any

from lab import network, paths
from lab.engine.client import Engine
from lab.errors import LabError

NAME = "maas-lab-registry"
PORT = 5000
START_SECONDS = 30


def ensure(engine: Engine, image: str, subnet: IPv4Network) -> bool:
    """Have the registry run from this image; say whether it ran already."""
    found = engine.inspect("container", NAME)
    if found and is_current(found, image, subnet) and answers(engine):
        return True
    if found and not is_ours(found):
        raise LabError(
            f"a container {NAME} exists that the lab did not make",
            f"remove it if you no longer need it: docker rm {NAME}",
        )
    engine.remove_container(NAME)
    data = paths.registry_data()
    data.mkdir(parents=True, exist_ok=True)
    engine.docker("run", *_options(subnet), "--volume", f"{data}:/var/lib/registry", image)
    until = time.monotonic() + START_SECONDS
    while not answers(engine):
        if time.monotonic() > until:
            said = engine.docker("logs", "--tail", "5", NAME, check=False)
            raise LabError(
                f"the lab's registry does not answer: {said.stdout}{said.stderr}".strip(),
                f"docker logs {NAME}",
            )
        time.sleep(0.2)
    return False


def address(subnet: IPv4Network) -> str:
    """Return where the cluster reaches the registry."""
    return f"{network.registry_address(subnet)}:{PORT}"


def push_address(engine: Engine) -> str:
    """Return where this machine reaches it."""
    published = engine.docker("port", NAME, f"{PORT}/tcp").stdout.split()
    if not published:
        raise LabError(f"the registry {NAME} publishes no port", "python -m lab up")
    return published[0]


def answers(engine: Engine) -> bool:
    """Say whether the registry serves."""
    try:
        url = f"http://{push_address(engine)}/v2/"
        # Straight to loopback, whatever proxy is configured.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (LabError, OSError, urllib.error.URLError):
        return False


def is_there(engine: Engine) -> bool:
    """Say whether the lab's registry exists, running or not."""
    found = engine.inspect("container", NAME)
    return found is not None and is_ours(found)


def is_ours(found: dict[str, Any]) -> bool:
    """Say whether the lab made a container."""
    return network.OWNER_LABEL in (found["Config"]["Labels"] or {})


def is_current(found: dict[str, Any], image: str, subnet: IPv4Network) -> bool:
    """Say whether a container is the registry as it would be made now."""
    attached = found["NetworkSettings"]["Networks"].get(network.NAME, {})
    return bool(
        found["Config"]["Image"] == image
        and attached.get("IPAddress") == network.registry_address(subnet)
    )


def _options(subnet: IPv4Network) -> list[str]:
    return [
        "--detach",
        *("--name", NAME),
        *("--network", network.NAME),
        *("--ip", network.registry_address(subnet)),
        # Any free port: nothing but pushes uses it.
        *("--publish", f"127.0.0.1::{PORT}"),
        # What it writes into the cache belongs to whoever owns the cache.
        *("--user", f"{os.getuid()}:{os.getgid()}"),
        *("--label", f"{network.OWNER_LABEL}={paths.CHECKOUT}"),
    ]
