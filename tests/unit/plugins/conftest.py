# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""A cluster in memory, behind the door that the plugins use, and an inventory to put on it."""

from __future__ import annotations

import copy
import itertools
import json
import re
import threading
from typing import Any

import pytest
from ansible_collections.maas.platform.plugins.module_utils._forward import PodReadError
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import Cluster
from hypothesis import HealthCheck, settings

from tests.unit.plugins import fake_fields

# Busy machines run these tests too: how long one example takes says nothing.
settings.register_profile(
    "plugins",
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("plugins")


class FakeApi:
    """Answers like an API server, as far as the collection asks one."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.log: list[tuple[str, str]] = []
        self.missing_groups: set[str] = set()
        self.denied: set[tuple[str, str]] = set()
        self.pods: dict[str, Any] = {}
        #: Objects that the API server refuses, and why.
        self.refused: dict[str, str] = {}
        self.enforces = True
        #: Whether Limitador reads limits that change, and whether its port can be forwarded.
        self.counts = True
        self.forwards = True
        self._limits: list[dict[str, Any]] = []
        #: Whether Envoy gets what Kuadrant writes for it, and whether Envoy Gateway is there.
        self.transmits = True
        self.has_envoy_gateway = True
        #: Why Envoy does not take what it gets.
        self.envoy_refuses = ""
        self._told = "{}"
        self.busy = 0
        self.slept = 0.0
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self.add("v1", "Namespace", "namespaces", "kube-system")

    def cluster(self) -> Cluster:
        return Cluster(self, "https://fake", self._sleep, lambda: self.slept, self._read_pod)

    def _read_pod(self, namespace: str, pod: str, port: int, path: str) -> tuple[int, Any]:
        if pod == "envoy":
            assert (namespace, port) == ("maas-gateway", 19000)
            assert path == "/config_dump?resource=dynamic_listeners"
            return self._envoy()
        assert (namespace, pod, port) == ("kuadrant-system", "limitador", 8080)
        assert path == "/limits/maas-gateway%2Fmaas-inference"
        if not self.forwards:
            raise PodReadError("the port could not be read: pods/portforward is forbidden", True)
        if self.counts:
            self._limits = [
                {"name": name, "max_value": rate["limit"], "seconds": _seconds(rate["window"])}
                for where, item in self.objects.items()
                if "ratelimitpolicies/" in where
                for name, limit in item["spec"]["limits"].items()
                for rate in limit["rates"]
            ]
        return 200, copy.deepcopy(self._limits)

    def _envoy(self) -> tuple[int, Any]:
        if not self.forwards:
            raise PodReadError("the port could not be read: pods/portforward is forbidden", True)
        if self.transmits:
            self._told = json.dumps(self._extension()["spec"]["wasm"][0]["config"])
        config = {"root_id": "kuadrant_wasm_shim", "configuration": {"value": self._told}}
        old = {"root_id": "kuadrant_wasm_shim", "configuration": {"value": "{}"}}
        states = {"active_state": {"filters": [config]}, "draining_state": {"filters": [old]}}
        if self.envoy_refuses:
            states |= {"name": "https", "error_state": {"details": self.envoy_refuses}}
        return 200, {"configs": [states]}

    def _extension(self) -> dict[str, Any]:
        """Return what Kuadrant makes of the limits for the gateway's filter."""
        limits = [
            {"predicates": [when["predicate"] for when in limit["when"]], "data": [name]}
            for where, item in self.objects.items()
            if "ratelimitpolicies/" in where
            for name, limit in item["spec"]["limits"].items()
        ]
        return {
            "metadata": {"name": "kuadrant-maas-default-gateway", "namespace": "maas-gateway"},
            "spec": {"wasm": [{"config": {"actionSets": limits}}]},
        }

    def _sleep(self, seconds: float) -> None:
        self.slept += seconds

    def add(
        self, version: str, kind: str, plural: str, name: str, namespace: str = "", **body: Any
    ) -> dict[str, Any]:
        base = "/api/v1" if version == "v1" else f"/apis/{version}"
        middle = f"/namespaces/{namespace}" if namespace else ""
        item = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **body}
        if namespace:
            item["metadata"]["namespace"] = namespace
        self._store(f"{base}{middle}/{plural}/{name}", item)
        return item

    def names(self, plural: str) -> list[str]:
        return sorted(
            path.rsplit("/", 1)[1] for path in self.objects if path.split("/")[-2] == plural
        )

    def __call__(
        self, method: str, path: str, query: Any, body: Any, content_type: str
    ) -> tuple[int, Any]:
        with self._lock:
            self.log.append((method, path))
            if self.busy:
                self.busy -= 1
                return 503, _status(503, "ServiceUnavailable", "not now")
            if "/proxy/" in path:
                return self._proxy(method, path, body)
            if path.startswith("/apis/") and path.split("/")[2] in self.missing_groups:
                return 404, "404 page not found\n"
            dry_run = ("dryRun", "All") in query
            if method == "PATCH" and content_type == "application/merge-patch+json":
                return self._merge(path, body)
            if method == "PATCH":
                assert content_type.partition(";")[0] == "application/apply-patch+yaml"
                assert ("force", "true") in query
                return self._apply(path, copy.deepcopy(body), dry_run)
            if method == "POST":
                return self._post(path, copy.deepcopy(body), dry_run)
            if method == "DELETE":
                # Where there is a body, the API server reads no option from the query.
                if body is not None:
                    dry_run = body.get("dryRun") == ["All"]
                return self._remove(path, body, dry_run)
            return self._get(path, dict(query))

    def _get(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        if path == "/version":
            return 200, {"gitVersion": "v1.34.4"}
        if path in self.objects:
            return 200, copy.deepcopy(self._reported(path))
        plural = path.rsplit("/", 1)[1]
        if plural == "envoyextensionpolicies":
            return 200, {"items": [self._extension()] if self.has_envoy_gateway else []}
        found = [
            {key: value for key, value in item.items() if key not in ("apiVersion", "kind")}
            for where, item in sorted(self.objects.items())
            if self._belongs(where, path, plural) and _selected(item, query.get("labelSelector"))
        ]
        if not found and plural not in _PLURALS:
            return 404, _status(404, "NotFound", f"{path} not found")
        start = int(query.get("continue") or 0)
        end = start + 2  # small pages, so that paging is always tried
        more = {"continue": str(end)} if end < len(found) else {}
        return 200, {"metadata": more, "items": copy.deepcopy(found[start:end])}

    def _reported(self, path: str) -> dict[str, Any]:
        """Return an object as Kuadrant shows it: limits on auth.* take an AuthPolicy to hold."""
        item = self.objects[path]
        if "ratelimitpolicies/" not in path or self.names("authpolicies"):
            return item
        held = [{"type": "Accepted", "status": "True"}, {"type": "Enforced", "status": "False"}]
        return {**item, "status": {**item.get("status", {}), "conditions": held}}

    @staticmethod
    def _belongs(where: str, collection: str, plural: str) -> bool:
        base, _slash, _name = where.rpartition("/")
        if "/namespaces/" in collection:
            return base == collection
        root = collection.removesuffix(f"/{plural}")
        return base.startswith(f"{root}/") and base.endswith(f"/{plural}")

    def _apply(self, path: str, item: dict[str, Any], dry_run: bool) -> tuple[int, Any]:
        namespace = item["metadata"].get("namespace")
        if namespace and f"/api/v1/namespaces/{namespace}" not in self.objects:
            return 404, _status(404, "NotFound", "no namespace", {"kind": "namespaces"})
        if path in self.refused:
            return 422, _status(422, "Invalid", self.refused[path])
        old = self.objects.get(path)
        new = fake_fields.apply(old, item)
        if old is not None and _content(new) == _content(old):
            return 200, copy.deepcopy(old)
        if not dry_run:
            self._store(path, new)
        return (200 if old else 201), copy.deepcopy(new)

    def _merge(self, path: str, patch: dict[str, Any]) -> tuple[int, Any]:
        changes = fake_fields.leaves(patch)
        item = copy.deepcopy(self.objects[path])
        fake_fields.edit(item, "maas.platform", changes)
        self._store(path, item)
        return 200, copy.deepcopy(item)

    def reconcile(self) -> None:
        """Let Kuadrant look at every policy again."""
        for path, item in list(self.objects.items()):
            if item["apiVersion"].startswith("kuadrant.io/"):
                self._store(path, item)

    def edit(self, path: str, changes: dict[tuple[str, ...], Any]) -> None:
        """Change an object as kubectl edit does."""
        fake_fields.edit(self.objects[path], "kubectl-edit", changes)

    def _post(self, path: str, body: dict[str, Any], dry_run: bool) -> tuple[int, Any]:
        if path.endswith("/token"):
            if path.removesuffix("/token") not in self.objects:
                return 404, _status(404, "NotFound", "no such account")
            spec = body["spec"]
            text = f"token-{path.split('/')[-2]}-{spec['audiences'][0]}-{spec['expirationSeconds']}"
            return 201, {"status": {"token": text, "expirationTimestamp": "2030-01-01T00:00:00Z"}}
        if path.endswith("/selfsubjectaccessreviews"):
            asked = body["spec"]["resourceAttributes"]
            return 201, {
                "status": {"allowed": (asked["verb"], asked["resource"]) not in self.denied}
            }
        namespace = body["metadata"].get("namespace")
        if namespace and f"/api/v1/namespaces/{namespace}" not in self.objects:
            return 404, _status(404, "NotFound", "no namespace", {"kind": "namespaces"})
        where = f"{path}/{body['metadata']['name']}"
        if where in self.objects:
            return 409, _status(409, "AlreadyExists", "it is there")
        if not dry_run:
            self._store(where, body)
        return 201, copy.deepcopy(body)

    def _remove(self, path: str, body: Any, dry_run: bool) -> tuple[int, Any]:
        if path not in self.objects:
            return 404, _status(404, "NotFound", "gone already")
        wanted = (body.get("preconditions") or {}).get("uid")
        if wanted and wanted != self.objects[path]["metadata"]["uid"]:
            return 409, _status(409, "Conflict", "another uid")
        if not dry_run:
            del self.objects[path]
            _base, _slash, name = path.rpartition("/namespaces/")
            for inside in [other for other in self.objects if f"/namespaces/{name}/" in other]:
                del self.objects[inside]
        return 200, {"kind": "Status", "status": "Success"}

    def _proxy(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        pod = path.split("/pods/")[1].split(":")[0]
        answer = self.pods[pod]
        return answer(method, path.split("/proxy", 1)[1], body) if callable(answer) else answer

    def _store(self, path: str, item: dict[str, Any]) -> None:
        number = next(self._numbers)
        old = self.objects.get(path)
        metadata = item["metadata"]
        metadata["uid"] = old["metadata"]["uid"] if old else f"uid-{number}"
        metadata["resourceVersion"] = str(number)
        changed = old is None or old.get("spec") != item.get("spec")
        previous = old["metadata"]["generation"] if old else 0
        metadata["generation"] = previous + 1 if changed else previous
        if item["apiVersion"].startswith("kuadrant.io/") and self.enforces:
            item["status"] = {
                "observedGeneration": metadata["generation"],
                "conditions": [
                    {"type": name, "status": "True"} for name in ("Accepted", "Enforced")
                ],
            }
            if item["metadata"]["name"] == "gateway-auth-policy":
                self._authorino(item)
        self.objects[path] = copy.deepcopy(item)

    def _authorino(self, policy: dict[str, Any]) -> None:
        path = "/apis/authorino.kuadrant.io/v1beta3/namespaces/kuadrant-system/authconfigs/one"
        self.objects[path] = {
            "apiVersion": "authorino.kuadrant.io/v1beta3",
            "kind": "AuthConfig",
            "metadata": {"name": "one", "namespace": "kuadrant-system"},
            "spec": {"response": policy["spec"]["rules"]["response"]},
            "status": {"summary": {"ready": True}},
        }


_PLURALS = {
    "namespaces",
    "configmaps",
    "resourcequotas",
    "pods",
    "serviceaccounts",
    "roles",
    "rolebindings",
    "authpolicies",
    "ratelimitpolicies",
    "tokenratelimitpolicies",
    "authconfigs",
    "customresourcedefinitions",
}


def _seconds(window: str) -> int:
    parts = re.findall(r"(\d+)([hms])", window)
    return sum(int(count) * {"h": 3600, "m": 60, "s": 1}[unit] for count, unit in parts)


def _status(
    code: int, reason: str, message: str, details: dict[str, str] | None = None
) -> dict[str, Any]:
    return {
        "kind": "Status",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
        "details": details or {},
    }


def _content(item: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in item.items() if key != "status"}
    server = ("uid", "resourceVersion", "generation")
    kept["metadata"] = {k: v for k, v in item["metadata"].items() if k not in server}
    return kept


def _selected(item: dict[str, Any], selector: str | None) -> bool:
    labels = item["metadata"].get("labels") or {}
    for term in filter(None, (selector or "").split(",")):
        name, equals, value = term.partition("=")
        if name not in labels or (equals and labels[name] != value):
            return False
    return True


@pytest.fixture
def api() -> FakeApi:
    """Return an empty cluster with Kuadrant on it."""
    fake = FakeApi()
    for namespace in ("maas-gateway", "kuadrant-system"):
        fake.add("v1", "Namespace", "namespaces", namespace)
    owner = "gateway.envoyproxy.io/owning-gateway-"
    gateway = {f"{owner}name": "maas-default-gateway", f"{owner}namespace": "maas-gateway"}
    pods = (
        ("kuadrant-system", "limitador", {"app": "limitador"}),
        ("maas-gateway", "envoy", gateway),
    )
    for namespace, name, labels in pods:
        fake.add("v1", "Pod", "pods", name, namespace)
        pod = fake.objects[f"/api/v1/namespaces/{namespace}/pods/{name}"]
        pod["metadata"]["labels"] = labels
        pod["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}
    return fake


@pytest.fixture
def raw_models() -> list[dict[str, Any]]:
    """Return two models, as an inventory writes them."""
    return [
        {"name": "gemma", "uri": "hf://google/gemma-3-270m"},
        {"name": "gemma-large", "uri": "oci://registry.example.com/gemma:1", "replicas": 2},
    ]


@pytest.fixture
def raw_tiers() -> list[dict[str, Any]]:
    """Return three tiers, as an inventory writes them."""
    return [
        {
            "name": "free",
            "display_name": "Free",
            "level": 0,
            "groups": ["tier-free-users", "system:authenticated"],
            "models": ["gemma"],
            "token": {"default_ttl": "4h", "max_ttl": "24h"},
            "limits": {
                "requests": [{"limit": 5, "window": "2m"}],
                "tokens": [{"limit": 20000, "window": "24h"}, {"limit": 100, "window": "1m"}],
            },
        },
        {
            "name": "premium",
            "level": 10,
            "groups": ["tier-premium-users"],
            "models": ["gemma*"],
            "limits": {"requests": [{"limit": 20, "window": "2m"}], "tokens": "unlimited"},
        },
        {
            "name": "enterprise",
            "level": 20,
            "groups": ["tier-enterprise-users"],
            "models": ["*"],
            "limits": {"requests": "unlimited", "tokens": "unlimited"},
        },
    ]
