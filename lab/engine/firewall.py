"""What an engine does to the machine's packet filter, and taking it back.

dockerd adds chains of its own, lets the kernel forward packets and makes DROP the policy of
FORWARD; it leaves all that behind when it stops. The lab notes how things were before, and takes
back only what was not so before.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from lab import paths
from lab.errors import LabError
from lab.process import run

FORWARD_SWITCH = Path("/proc/sys/net/ipv4/ip_forward")
TABLES = ("filter", "nat")
OWN_CHAIN = re.compile(r"-N (DOCKER\S*)")


@dataclass(frozen=True)
class Before:
    """The state before the engine started.

    Args:
        had_chains: Whether another engine's chains were there; then none is removed.
        forward_policy: FORWARD's policy.
        forwarding: What the kernel's switch for forwarding said.
    """

    had_chains: bool
    forward_policy: str
    forwarding: str


def look() -> Before:
    """Note how things are."""
    rules = {table: _rules(table) for table in TABLES}
    policies = [line.split()[2] for line in rules["filter"] if line.startswith("-P FORWARD ")]
    return Before(
        had_chains=any(own_chains(lines) for lines in rules.values()),
        forward_policy=policies[0] if policies else "ACCEPT",
        forwarding=FORWARD_SWITCH.read_text(encoding="utf-8").strip(),
    )


def restore(before: Before) -> None:
    """Take back what an engine added since."""
    if before.had_chains:
        return
    for table in TABLES:
        for command in removals(_rules(table)):
            _iptables(table, *command)
    _iptables("filter", "-P", "FORWARD", before.forward_policy)
    if before.forwarding == "0":
        FORWARD_SWITCH.write_text("0\n", encoding="utf-8")


def own_chains(rules: list[str]) -> list[str]:
    """Return the chains among a table's rules that an engine makes."""
    return [match[1] for rule in rules if (match := OWN_CHAIN.match(rule))]


def removals(rules: list[str]) -> list[list[str]]:
    """Return the iptables arguments which remove an engine's rules and chains.

    The rules that lead to its chains go first, then those about its bridges, then the chains.
    """
    chains = own_chains(rules)
    commands = [
        ["-D", *rule.split()[1:]]
        for rule in rules
        if rule.startswith("-A ")
        and rule.split()[1] not in chains
        and (jump(rule) in chains or concerns_bridge(rule))
    ]
    commands += [["-F", chain] for chain in chains]
    commands += [["-X", chain] for chain in chains]
    return commands


def jump(rule: str) -> str:
    """Return where a rule jumps to."""
    words = rule.split()
    return words[words.index("-j") + 1] if "-j" in words else ""


def concerns_bridge(rule: str) -> bool:
    """Say whether a rule is about the lab's bridge."""
    return paths.bridge() in rule.split()


def _rules(table: str) -> list[str]:
    try:
        return _iptables(table, "-S").splitlines()
    except LabError:
        return []


def _iptables(table: str, *arguments: str) -> str:
    return run(["iptables", "--wait", "--table", table, *arguments], check=False).stdout
