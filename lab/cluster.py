"""The kind cluster: made once, kept while it is what it should be, made anew otherwise."""

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import guard, identities, kubectl, network, paths
from lab.engine.client import Engine
from lab.errors import LabError
from lab.kindconfig import CLUSTER
from lab.process import run, succeeds
from lab.report import Stage

NODE = f"{CLUSTER}-control-plane"
CREATE_SECONDS = 300
# A node that was stopped has this long to serve again; a new one is made sooner than that.
RESUME_SECONDS = 60
NODE_KEY = "/etc/kubernetes/pki/sa.key"


@dataclass(frozen=True)
class Cluster:
    """What it takes to make the cluster.

    Args:
        engine: Where it runs.
        kind: The kind program.
        config: kind's configuration.
        lock: A file descriptor of the lab's lock, for programs that must finish under it.
    """

    engine: Engine
    kind: Path
    config: str
    lock: int

    @property
    def digest(self) -> str:
        """What the cluster was made from, as recorded beside it."""
        return hashlib.sha256(self.config.encode()).hexdigest()

    def ensure(self, stage: Stage) -> bool:
        """Have the cluster run as configured; say whether it is the one that was there."""
        found = self.engine.inspect("container", NODE)
        if found and not is_ours(found):
            raise LabError(
                f"a kind cluster {CLUSTER} that the lab did not make runs in this engine",
                f"delete it if you no longer need it: kind delete cluster --name {CLUSTER}",
            )
        kept = found is not None and self._is_recorded(found) and self._resume(found)
        if found and kept:
            stage.cached("already running" if found["State"]["Running"] else "started again")
        else:
            if found:
                stage.note("replaced one that was incomplete, broken or made differently")
            self.delete()
            self._create()
        guard.ensure(self.engine, NODE)
        return kept

    def delete(self) -> None:
        """Remove the cluster and the lab's ways into it."""
        self.engine.remove_container(NODE)
        for path in (paths.CLUSTER, paths.KUBECONFIG, paths.SIGNING_KEY, paths.CA):
            path.unlink(missing_ok=True)

    def _create(self) -> None:
        paths.write_private(paths.KIND_CONFIG, self.config)
        identities.create(paths.IDENTITIES)
        kubeconfig = paths.LAB / "kubeconfig.partial"
        kubeconfig.unlink(missing_ok=True)
        log = paths.LOGS / "kind.log"
        log.unlink(missing_ok=True)
        files: list[str | Path] = ["--config", paths.KIND_CONFIG, "--kubeconfig", kubeconfig]
        options = ["--name", CLUSTER, "--retain", "--wait", "120s"]
        run(
            # A failed node is retained: its journal says why, and the next run removes it.
            [self.kind, "create", "cluster", *options, *files],
            env={
                **self.engine.environment,
                "KIND_EXPERIMENTAL_PROVIDER": "docker",
                "KIND_EXPERIMENTAL_DOCKER_NETWORK": network.NAME,
            },
            log=log,
            timeout=CREATE_SECONDS,
            # Should this process be killed, kind holds the lock until it is through.
            keep_open=(self.lock,),
            fix="python -m lab logs shows the node's side; python -m lab up tries again",
        )
        kubeconfig.chmod(paths.PRIVATE_FILE)
        key = self.engine.docker("exec", NODE, "cat", NODE_KEY).stdout
        paths.write_private(paths.SIGNING_KEY, key)
        kubeconfig.replace(paths.KUBECONFIG)
        node = self.engine.inspect("container", NODE) or {}
        # Last: without this record the cluster counts as half made.
        record = {"node": node["Id"], "config": self.digest}
        paths.write_private(paths.CLUSTER, json.dumps(record))

    def _is_recorded(self, found: dict[str, Any]) -> bool:
        try:
            record = json.loads(paths.CLUSTER.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return (
            record == {"node": found["Id"], "config": self.digest}
            and identities.complete(paths.IDENTITIES)
            and paths.KUBECONFIG.exists()
            and paths.SIGNING_KEY.exists()
        )

    def _resume(self, found: dict[str, Any]) -> bool:
        if not found["State"]["Running"]:
            self.engine.docker("start", NODE)
        until = time.monotonic() + RESUME_SECONDS
        while time.monotonic() < until:
            if is_ready() and is_connected():
                return True
            time.sleep(1)
        return False


def is_ours(found: dict[str, Any]) -> bool:
    """Say whether a node's container is on the lab's network: no one else's would be."""
    return network.NAME in found["NetworkSettings"]["Networks"]


def is_ready() -> bool:
    """Say whether the API server serves and the node is Ready."""
    quick = ("--request-timeout", "5s")
    waiting = ("wait", "--for=condition=Ready", f"node/{NODE}", "--timeout", "1s")
    serves = succeeds(kubectl.command("get", "--raw", "/readyz", *quick))
    return serves and succeeds(kubectl.command(*waiting, *quick))


def is_connected() -> bool:
    """Say whether a pod answers through its Service: statuses may be older than a restart."""
    service = "/api/v1/namespaces/kube-system/services/http:kube-dns:9153/proxy/metrics"
    return succeeds(kubectl.command("get", "--raw", service, "--request-timeout", "5s"))
