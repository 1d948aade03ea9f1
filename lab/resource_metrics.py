"""What pods use of CPU and memory, from metrics-server: without it nothing scales by itself."""

from lab import kubectl, manifest, supply
from lab.report import Report

DEPLOYMENT = ("--namespace", "kube-system", "deployment/metrics-server")
READY = ("rollout", "status", *DEPLOYMENT, "--timeout", "120s")


def ensure(report: Report) -> None:
    """Have metrics-server serve its part of the API.

    The API server is told last: a part that nobody serves yet makes clients fail that only ask
    what parts there are.
    """
    with report.stage("metrics of pods"):
        *workload, service = manifest.read("metrics", image=supply.reference("metrics-server"))
        manifest.apply(workload)
        kubectl.ask(*READY, timeout=150, fix="python -m lab logs")
        manifest.apply([service])
