"""Keeps the cluster's own traffic inside the node.

Service and pod addresses exist nowhere else. A packet to one of them that no rule translated (a
Service without an endpoint, a rule not written yet) would otherwise leave the node, and something
outside might answer.
"""

from lab.engine.client import Engine
from lab.kindconfig import POD_SUBNET, SERVICE_SUBNET

LINK = "eth0"


def rules() -> list[tuple[str, list[str]]]:
    """Return the rules: the table, then what iptables appends to or inserts into it.

    A Service address is refused where packets are filtered: had it been translated, it would not
    be there any more. Translated packets from the node itself are routed anew only after that
    filter, so a pod address is judged at the last moment, where it can only be dropped.
    """
    refuse = ["-o", LINK, "-d", SERVICE_SUBNET, "-j", "REJECT"]
    return [
        ("filter", ["OUTPUT", *refuse]),
        ("filter", ["FORWARD", *refuse]),
        ("mangle", ["POSTROUTING", "-o", LINK, "-d", POD_SUBNET, "-j", "DROP"]),
    ]


def ensure(engine: Engine, node: str) -> None:
    """Have the rules in force in a node; they do not outlive its restart."""
    for table, (chain, *match) in ((table, rule) for table, rule in rules()):
        command = ["exec", node, "iptables", "--wait", "--table", table]
        if engine.docker(*command, "--check", chain, *match, check=False).returncode != 0:
            engine.docker(*command, "--insert", chain, *match)
