"""Names that the cluster's DNS knows beside its own: a line in CoreDNS's configuration for each."""

import json
import re

from lab import kubectl
from lab.report import Report

CONFIG_MAP = ("--namespace", "kube-system", "configmap/coredns")
DEPLOYMENT = ("--namespace", "kube-system", "deployment/coredns")
READY = ("rollout", "status", *DEPLOYMENT, "--timeout", "120s")
MARK = "# maas-lab"
BLOCK = re.compile(rf"^ *hosts \{{ {MARK}\n.*?^ *\}}\n", re.MULTILINE | re.DOTALL)


def ensure(hosts: dict[str, str], report: Report) -> None:
    """Have the cluster's DNS answer, and give these addresses for these names."""
    with report.stage("cluster DNS") as stage:
        listed = kubectl.ask("get", *CONFIG_MAP, "--output", "json").stdout
        before = json.loads(listed)["data"]["Corefile"]
        after = with_hosts(before, hosts)
        if after == before:
            stage.cached("knows the lab's names")
        else:
            change = json.dumps({"data": {"Corefile": after}})
            kubectl.ask("patch", *CONFIG_MAP, "--type", "merge", "--patch", change)
            # It would notice by itself, a minute or two later.
            kubectl.ask("rollout", "restart", *DEPLOYMENT)
        kubectl.ask(*READY, timeout=150, fix="python -m lab logs")


def with_hosts(corefile: str, hosts: dict[str, str]) -> str:
    """Return a Corefile that answers for these names, by address, and hands on all others."""
    lines = [f"    hosts {{ {MARK}"]
    lines += [f"       {address} {name}" for name, address in hosts.items()]
    lines += ["       fallthrough", "    }"]
    block = "\n".join(lines) + "\n"
    rest = BLOCK.sub("", corefile)
    # First in the file or not, CoreDNS asks its plugins in an order of its own.
    opening = rest.index("{") + 2
    return rest[:opening] + block + rest[opening:]
