"""NetworkPolicies, enforced: the lab's own network plugin accepts them and does nothing."""

import time

from lab import cluster, kubectl, manifest, supply
from lab.engine.client import Engine
from lab.errors import LabError
from lab.report import Report

DAEMON_SET = "daemonset/kube-network-policies"
IN_NAMESPACE = ("--namespace", "kube-system")
READY = (*IN_NAMESPACE, "rollout", "status", DAEMON_SET, "--timeout", "120s")
# What the program writes into the kernel, all at once or not at all.
CHAIN = ("inet", "kube-network-policies", "postrouting")
RULES_SECONDS = 30


def ensure(engine: Engine, report: Report) -> None:
    """Have the policies of every namespace enforced."""
    with report.stage("enforcement of NetworkPolicies"):
        manifest.apply(
            manifest.read(
                "network-policies",
                image=supply.reference("kube-network-policies"),
                tools=supply.reference("kube-proxy"),
            )
        )
        kubectl.ask(*READY, timeout=150, fix="python -m lab logs")
        until = time.monotonic() + RULES_SECONDS
        # The program goes on without them, and nothing would be enforced.
        while not is_active(engine):
            if time.monotonic() > until:
                raise LabError(
                    "NetworkPolicies are not enforced: the kernel does not take the rules, which "
                    "need connection labels and iptables' NFQUEUE target",
                    f"kubectl --namespace kube-system logs {DAEMON_SET} says more",
                )
            time.sleep(0.2)


def is_active(engine: Engine) -> bool:
    """Say whether the kernel has the rules."""
    listed = engine.docker("exec", cluster.NODE, "nft", "list", "chain", *CHAIN, check=False)
    return listed.returncode == 0
