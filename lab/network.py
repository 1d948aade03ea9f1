"""The lab's container network: the node's and the registry's, with a known address for the latter.

The filter's image must be fetched from an address, not a name (the gateway speaks plain HTTP only
to private addresses), so the network has its own subnet and the registry a fixed place in it.
"""

import ipaddress
import socket
import struct
from pathlib import Path

from lab import paths
from lab.engine.client import Engine
from lab.errors import LabError

NAME = "maas-lab"
# Says whose lab this is: the checkout that made it.
OWNER_LABEL = "maas.platform/checkout"
# Private ranges that are rarely in use; the first that no route of this machine touches is taken.
CANDIDATES = [ipaddress.IPv4Network(f"172.{second}.200.0/24") for second in range(31, 19, -1)]
REGISTRY_HOST = 10  # outside the range the engine hands out


def ensure(engine: Engine) -> ipaddress.IPv4Network:
    """Make the network unless it is there; return its subnet."""
    found = engine.inspect("network", NAME)
    if found and not (found["Labels"] or {}).get(OWNER_LABEL):
        raise LabError(
            f"a container network {NAME} exists that the lab did not make",
            f"remove it if you no longer need it: docker network rm {NAME}",
        )
    if found:
        return ipaddress.IPv4Network(found["IPAM"]["Config"][0]["Subnet"])
    routes = used_networks(Path("/proc/net/route").read_text(encoding="utf-8"))
    free = [subnet for subnet in CANDIDATES if not any(map(subnet.overlaps, routes))]
    said = "this machine's routes use all of them"
    for subnet in free:
        made = engine.docker("network", "create", *_options(subnet), NAME, check=False)
        if made.returncode == 0:
            return subnet
        said = made.stderr.strip()
        if "overlap" not in said.lower():
            break
    raise LabError(
        f"the container network {NAME} cannot be made from one of "
        f"{CANDIDATES[0]} … {CANDIDATES[-1]}: {said}",
        "remove container networks you no longer use: docker network prune",
    )


def owner(engine: Engine) -> Path | None:
    """Return the checkout that made the network."""
    found = engine.inspect("network", NAME)
    label = ((found or {}).get("Labels") or {}).get(OWNER_LABEL)
    return Path(label) if label else None


def registry_address(subnet: ipaddress.IPv4Network) -> str:
    """Return the registry's address in the network."""
    return str(subnet[REGISTRY_HOST])


def used_networks(table: str) -> list[ipaddress.IPv4Network]:
    """Return the networks of the kernel's routing table, but for the default route."""
    used = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        destination, mask = (
            socket.inet_ntoa(struct.pack("<L", int(field, 16))) for field in (fields[1], fields[7])
        )
        if mask != "0.0.0.0":  # noqa: S104  # a mask, not an address to listen on
            used.append(ipaddress.IPv4Network(f"{destination}/{mask}", strict=False))
    return used


def _options(subnet: ipaddress.IPv4Network) -> list[str]:
    upper_half = list(subnet.subnets())[1]
    return [
        *("--driver", "bridge"),
        *("--subnet", str(subnet)),
        *("--gateway", str(subnet[1])),
        *("--ip-range", str(upper_half)),
        *("--opt", f"com.docker.network.bridge.name={paths.bridge()}"),
        *("--label", f"{OWNER_LABEL}={paths.CHECKOUT}"),
    ]
