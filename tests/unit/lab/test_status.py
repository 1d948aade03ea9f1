import pytest

from lab import status
from lab.status import Component


def deployment(name, ready, wanted=1):
    return {
        "kind": "Deployment",
        "metadata": {"namespace": "llm", "name": name},
        "spec": {"replicas": wanted},
        "status": {"readyReplicas": ready} if ready else {},
    }


def test_a_deployment_is_healthy_once_all_replicas_are_ready():
    listed = {"items": [deployment("a", 1), deployment("b", 1, 2), deployment("c", 0, 0)]}
    assert status.workloads(listed) == [
        Component("llm/a", True, "1 of 1 ready"),
        Component("llm/b", False, "1 of 2 ready"),
        Component("llm/c", True, "0 of 0 ready"),
    ]


@pytest.mark.parametrize(("ready", "healthy"), [(0, False), (1, True)])
def test_a_daemon_set_is_healthy_once_it_runs_on_every_node(ready, healthy):
    item = {
        "kind": "DaemonSet",
        "metadata": {"namespace": "kube-system", "name": "d"},
        "spec": {},
        "status": {"desiredNumberScheduled": 1, "numberReady": ready},
    }
    assert status.workloads({"items": [item]}) == [
        Component("kube-system/d", healthy, f"{ready} of 1 ready")
    ]


def test_one_sick_part_makes_the_lab_sick():
    parts = [Component("engine", True, ""), Component("node", False, "")]
    described = status.describe(parts)
    assert described["healthy"] is False
    assert described["MAAS_DOMAIN"] == "lab.test"
    assert [part["name"] for part in described["components"]] == ["engine", "node"]
