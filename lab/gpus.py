"""GPUs that are not there: a stand-in tells the kubelet of some, so that pods can ask for them."""

from lab import kubectl, manifest, supply
from lab.report import Report

COUNT = 4
DAEMON_SET = ("--namespace", "lab-gpu", "daemonset/lab-gpu")
READY = ("rollout", "status", *DAEMON_SET, "--timeout", "120s")


def ensure(report: Report) -> None:
    """Have the node offer its stand-in GPUs."""
    with report.stage("stand-in for GPUs") as stage:
        image = supply.reference("lab-device-plugin")
        manifest.apply(manifest.read("gpus", image=image, count=str(COUNT)))
        kubectl.ask(*READY, timeout=150, fix="python -m lab logs")
        stage.note(f"nvidia.com/gpu: {COUNT}")
