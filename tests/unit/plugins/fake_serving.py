# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""KServe, Kubernetes and a Gateway in memory, as far as models need them.

Time passes only where something waits: with every pause the controllers get on by one step.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from tests.unit.plugins.conftest import FakeApi

_SERVING = "/apis/serving.kserve.io/v1alpha2/"
_PLURALS = (
    "llminferenceservices",
    "httproutes",
    "httproutefilters",
    "envoyextensionpolicies",
    "horizontalpodautoscalers",
    "poddisruptionbudgets",
    "podmonitors",
    "resourceclaimtemplates",
    "deployments",
    "replicasets",
    "networkpolicies",
)
_WORKLOAD = {"kserve.io/component": "workload"}
_TRUE = {"status": "True"}


class FakeServing(FakeApi):
    """A cluster whose models start, crash or never come up, by their image."""

    def __init__(self) -> None:
        super().__init__()
        for namespace in ("llm", "maas-gateway"):
            self.add("v1", "Namespace", "namespaces", namespace)
        #: How many steps pods of an image take to serve; an image not named here takes one.
        self.steps: dict[str, int] = {}
        #: The status of the containers of an image that never serves.
        self.broken: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, str] = {}
        #: Whether KServe's controller, and the Gateway's, look at anything.
        self.kserve_runs = True
        self.gateway_runs = True
        #: How many changes of services fail for want of KServe's webhook.
        self.webhook_down = 0
        #: Called after every step, for what a test changes in the middle of a run.
        self.after_step: Callable[[int], None] = lambda _step: None
        self.step = 0
        self._ages: dict[str, int] = {}
        #: In which order services and routes were written and deleted.
        self.order: list[str] = []

    def _sleep(self, seconds: float) -> None:
        super()._sleep(seconds)
        self.step += 1
        self.reconcile_models()
        self.after_step(self.step)

    def __call__(
        self, method: str, path: str, query: Any, body: Any, content_type: str
    ) -> tuple[int, Any]:
        if path.endswith("/log"):
            return 200, self.logs.get(path.split("/")[-2], "")
        if method == "PATCH" and path.startswith(_SERVING) and self.webhook_down:
            self.webhook_down -= 1
            text = 'Internal error occurred: failed calling webhook "x": connection refused'
            return 500, {"kind": "Status", "reason": "InternalError", "message": text}
        if method in ("PATCH", "DELETE") and ("dryRun", "All") not in query:
            kind, name = path.split("/")[-2:]
            if kind in ("llminferenceservices", "httproutes"):
                self.order.append(f"{method} {kind} {name}")
        return super().__call__(method, path, query, body, content_type)

    def _get(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        status, answer = super()._get(path, query)
        if path.rsplit("/", 1)[1] == "envoyextensionpolicies":
            return 200, {"metadata": {}, "items": []}
        if status == 404 and path.rsplit("/", 1)[1] in _PLURALS:
            return 200, {"metadata": {}, "items": []}
        return status, answer

    def service(self, name: str, namespace: str = "llm") -> dict[str, Any]:
        return self.objects[f"{_SERVING}namespaces/{namespace}/llminferenceservices/{name}"]

    def route(self, name: str, namespace: str = "llm") -> dict[str, Any]:
        base = "/apis/gateway.networking.k8s.io/v1/namespaces/"
        return self.objects[f"{base}{namespace}/httproutes/{name}"]

    def reconcile_models(self) -> None:
        """Let every controller look once."""
        if self.kserve_runs:
            for path in [it for it in self.objects if "/llminferenceservices/" in it]:
                self._reconcile_service(self.objects[path])
        self._drop_orphans()
        if self.gateway_runs:
            for path, item in self.objects.items():
                if "/httproutes/" in path:
                    item["status"] = {"parents": [{"conditions": _accepted(item)}]}

    def _reconcile_service(self, service: dict[str, Any]) -> None:
        metadata = service["metadata"]
        name, namespace = metadata["name"], metadata["namespace"]
        where = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}-kserve"
        status = {"observedGeneration": metadata["generation"]}
        annotations = metadata.get("annotations") or {}
        if annotations.get("serving.kserve.io/stop") == "true":
            self.objects.pop(where, None)
            reason = {"status": "False", "type": "Ready", "reason": "Stopped"}
            service["status"] = {**status, "conditions": [reason]}
            return
        replicas = service["spec"].get("replicas")
        if replicas is None:
            there = self.objects.get(where)
            replicas = there["spec"]["replicas"] if there else 1
        template = service["spec"]["template"]
        if where not in self.objects:
            self.add(
                "apps/v1",
                "Deployment",
                "deployments",
                f"{name}-kserve",
                namespace,
                spec={"replicas": replicas, "template": template},
            )
        deployment = self.objects[where]
        deployment["metadata"].update(labels=_WORKLOAD, ownerReferences=_owned_by(service))
        wanted = {"replicas": replicas, "template": template}
        if deployment["spec"] != wanted:
            deployment["spec"] = wanted
            deployment["metadata"]["generation"] += 1
        ready = self._roll(deployment, template, replicas)
        condition = {"type": "Ready", "status": "True" if ready else "False"}
        service["status"] = {**status, "conditions": [condition]}

    def _roll(self, deployment: dict[str, Any], template: Any, replicas: int) -> bool:
        """Let the pods get on by one step; return whether all serve."""
        metadata = deployment["metadata"]
        base = f"/apis/apps/v1/namespaces/{metadata['namespace']}/replicasets/"
        digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:8]
        name = f"{metadata['name']}-{digest}"
        annotations = metadata.setdefault("annotations", {})
        if base + name not in self.objects:
            self.add("apps/v1", "ReplicaSet", "replicasets", name, metadata["namespace"])
        replica_set = self.objects[base + name]
        replica_set["metadata"].update(labels=_WORKLOAD, ownerReferences=_owned_by(deployment))
        key = "deployment.kubernetes.io/revision"
        mine = replica_set["metadata"].setdefault("annotations", {})
        if mine.get(key) != annotations.get(key) or key not in mine:
            annotations[key] = mine[key] = str(int(annotations.get(key, "0")) + 1)
            self._ages[name] = 0
        self._ages[name] += 1
        main = template["containers"][0]
        image = main["image"]
        ready = image not in self.broken and self._ages[name] >= self.steps.get(image, 1)
        for number in range(replicas):
            self._pod(f"{name}-{number}", replica_set, template, ready)
        others = (
            [] if not ready else [it for it in self.objects if self._is_old(it, metadata, name)]
        )
        for path in others:
            del self.objects[path]
        old = any(self._is_old(it, metadata, name) for it in self.objects)
        deployment["status"] = {
            "observedGeneration": metadata["generation"],
            "replicas": replicas + (1 if old else 0),
            "updatedReplicas": replicas,
            "availableReplicas": replicas if ready or old else 0,
        }
        if not ready and old:
            deployment["status"]["availableReplicas"] = 1
        return ready or old

    @staticmethod
    def _is_old(path: str, deployment: dict[str, Any], current: str) -> bool:
        _base, _slash, name = path.rpartition("/pods/")
        return name.startswith(f"{deployment['name']}-") and not name.startswith(f"{current}-")

    def _pod(self, name: str, replica_set: dict[str, Any], template: Any, ready: bool) -> None:
        namespace = replica_set["metadata"]["namespace"]
        path = f"/api/v1/namespaces/{namespace}/pods/{name}"
        if path not in self.objects:
            self.add("v1", "Pod", "pods", name, namespace, spec=template)
        pod = self.objects[path]
        pod["metadata"].update(labels=_WORKLOAD, ownerReferences=_owned_by(replica_set))
        main = template["containers"][0]
        state = {"state": {"running": {}}, "started": ready}
        if not ready:
            state = self.broken.get(main["image"], state)
        container = {"name": main["name"], "ready": ready, **state}
        pod["status"] = {
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": [container],
        }

    def _drop_orphans(self) -> None:
        """Delete what belongs to nobody any more, as Kubernetes does."""
        for _round in range(3):
            uids = {item["metadata"].get("uid") for item in self.objects.values()}
            for path, item in list(self.objects.items()):
                owners = item["metadata"].get("ownerReferences") or []
                if owners and owners[0]["uid"] not in uids:
                    del self.objects[path]


def crashing(restarts: int, message: str, code: int = 1) -> dict[str, Any]:
    """Return the status of a container that ends again and again."""
    return {
        "restartCount": restarts,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
        "lastState": {"terminated": {"exitCode": code, "reason": "Error", "message": message}},
    }


def unpullable(message: str = "not found", reason: str = "ImagePullBackOff") -> dict[str, Any]:
    """Return the status of a container whose image there is not."""
    return {"restartCount": 0, "state": {"waiting": {"reason": reason, "message": message}}}


def _owned_by(item: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"uid": item["metadata"]["uid"], "kind": item["kind"]}]


def _accepted(item: dict[str, Any]) -> list[dict[str, Any]]:
    generation = item["metadata"]["generation"]
    return [
        {**_TRUE, "type": kind, "observedGeneration": generation}
        for kind in ("Accepted", "ResolvedRefs")
    ]
