# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The only door to the cluster.

Connection options and their environment are kubernetes.core's, read by its own helpers, so
one credential serves both collections. Requests are plain paths over one pool of connections:
no discovery, hence no cache file of it, and one process for any number of objects.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ._drift import in_step, merge, strangers, without
from ._errors import MaasError
from ._forward import Forwards, PodReadError
from ._names import FIELD_MANAGER
from ._objects import Change, Key, Object, differ, key_of, path_of

try:
    import urllib3
    from kubernetes.client import ApiClient
    from kubernetes.client.exceptions import ApiException
    from kubernetes.config import ConfigException
except ImportError:
    # Said when a module runs; documentation and sanity tests read this file without it.
    ApiClient = None

from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.client import (
    _create_auth_spec,
    _create_configuration,
    _create_headers,
    _set_header,
)

#: The connection options of every module that talks to a cluster.
AUTH_ARGS: dict[str, Any] = dict(AUTH_ARG_SPEC)

#: Requests in flight at once, and connections kept.
CONCURRENCY = 8

#: With a parameter, so that the client sends the text as it is written here.
_APPLY = "application/apply-patch+yaml; charset=utf-8"

_TIMEOUT_SECONDS = (10, 60)
_PAGE = 500
#: Answers that mean "not now"; each is tried again after these pauses.
_BUSY = (429, 503, 504)
_PAUSES_SECONDS = (0.5, 1.0, 2.0)

#: method, path, query, body, content type -> status and decoded body.
Transport = Callable[[str, str, Sequence[tuple[str, str]], Any, str], tuple[int, Any]]
#: namespace, pod, port, path -> status and decoded body, over a forwarded port.
PodReader = Callable[[str, str, int, str], tuple[int, Any]]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class ApiError(MaasError):
    """The API server refused a request."""

    def __init__(self, method: str, path: str, status: int, answer: Any) -> None:
        """Keep the status and the server's own words."""
        self.status = status
        details = answer if isinstance(answer, Mapping) else {}
        self.reason = str(details.get("reason") or "")
        self.missing_kind = str((details.get("details") or {}).get("kind") or "")
        text = details.get("message") or str(answer).strip() or "no reason given"
        if self.unknown_kind:
            text = "the cluster does not know this kind; install what brings it first"
        super().__init__(f"{method} {path} was refused with {status}: {text}{_advice(status)}")

    @property
    def unknown_kind(self) -> bool:
        """Return whether the cluster does not serve this kind at all."""
        return self.status == 404 and not self.reason

    @property
    def no_namespace(self) -> bool:
        """Return whether the object's namespace is what is missing."""
        return self.status == 404 and self.missing_kind == "namespaces"


def is_forbidden(error: MaasError) -> bool:
    """Return whether the cluster does not let this user look, now or later."""
    if isinstance(error, ApiError):
        return error.status in (401, 403)
    return isinstance(error, PodReadError) and error.forbidden


def _advice(status: int) -> str:
    if status == 401:
        return "; the credentials are not valid (any more): log in again"
    if status == 403:
        return "; give this user that permission, or use another one"
    return ""


class Cluster:
    """One cluster, as far as this collection deals with clusters."""

    def __init__(
        self,
        transport: Transport,
        server: str = "",
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        read_pod: PodReader | None = None,
    ) -> None:
        """Speak through transport; tests put a cluster of their own there."""
        self._transport = transport
        self._read_pod = read_pod
        self._sleep = sleep
        self._clock = clock
        self.server = server

    @classmethod
    def connect(cls, params: Mapping[str, Any]) -> Cluster:
        """Return the cluster that a module's connection options name."""
        if ApiClient is None:
            raise MaasError(
                "the Python package kubernetes is missing on the machine this task runs on: "
                "pip install kubernetes, for the interpreter in ansible_python_interpreter"
            )
        options = {name: params.get(name) for name in AUTH_ARGS}
        try:
            configuration = _create_configuration(_create_auth_spec(None, **options))
            headers = _create_headers(None, **options)
        except (ConfigException, OSError, ValueError, TypeError) as exc:
            raise MaasError(
                f"no connection to a cluster can be made from {_source(options)}: {exc}; "
                "set kubeconfig and context, or host and api_key"
            ) from exc
        configuration.connection_pool_maxsize = CONCURRENCY
        configuration.retries = 1
        client = ApiClient(configuration)
        for name, value in headers.items():
            _set_header(client, name, value)
        return cls(
            _transport(client, _source(options)),
            configuration.host,
            read_pod=Forwards(client).get,
        )

    def request(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        body: Any = None,
        content_type: str = "application/json",
    ) -> tuple[int, Any]:
        """Send one request; ApiError where the answer is no success."""
        for pause in (*_PAUSES_SECONDS, None):
            status, answer = self._transport(method, path, query, body, content_type)
            if status < 400:
                return status, answer
            # A POST may have done its work before the answer was lost on the way.
            if status not in _BUSY or pause is None or method == "POST":
                break
            self._sleep(pause)
        raise ApiError(method, path, status, answer)

    def find(self, key: Key) -> Object | None:
        """Return the object, or None where it, its namespace or its kind is not there."""
        path = path_of(key.api_version, key.kind, key.namespace, key.name)
        try:
            return _object(self.request("GET", path)[1])
        except ApiError as exc:
            if exc.status == 404:
                return None
            raise

    def select(
        self, api_version: str, kind: str, namespace: str = "", selector: str = ""
    ) -> list[Object]:
        """Return the objects with these labels; none where the kind is not known."""
        items: list[Object] = []
        path = path_of(api_version, kind, namespace)
        query = [("limit", str(_PAGE))]
        if selector:
            query.append(("labelSelector", selector))
        token = ""
        while True:
            more = [("continue", token)] if token else []
            try:
                answer = _object(self.request("GET", path, [*query, *more])[1])
            except ApiError as exc:
                if exc.unknown_kind:
                    return []
                raise
            found = answer.get("items") or []
            items += [{"apiVersion": api_version, "kind": kind, **item} for item in found]
            token = (answer.get("metadata") or {}).get("continue") or ""
            if not token:
                return items

    def apply(
        self,
        manifest: Object,
        before: Object | None = None,
        dry_run: bool = False,
        sole: bool = False,
    ) -> Change:
        """Apply an object on the server's side, as its only owner of what the manifest says.

        before is the live object where the caller has it; one that needs nothing is left alone.
        In a dry run the server says what would come out; it cannot where the namespace or the
        kind is still to be made, and then the manifest stands for it. With sole, what others
        added to it is taken away.
        """
        key = key_of(manifest)
        added = strangers(before, manifest) if sole and before is not None else []
        if before is not None and not added and in_step(before, manifest):
            return Change(key, "unchanged", before, before)
        query = [("fieldManager", FIELD_MANAGER), ("force", "true")]
        if dry_run:
            query.append(("dryRun", "All"))
        path = path_of(key.api_version, key.kind, key.namespace, key.name)
        try:
            status, answer = self.request("PATCH", path, query, manifest, _APPLY)
        except ApiError as refusal:
            if dry_run and (refusal.no_namespace or refusal.unknown_kind):
                return Change(key, "created", None, manifest)
            raise
        after = _object(answer)
        if added:
            patch = without(manifest, added)
            after = merge(after, patch) if dry_run else self._strip(path, patch)
        if status == 201 or (dry_run and before is None):
            return Change(key, "created", None, after)
        if before is not None and not differ(before, after):
            return Change(key, "unchanged", before, after)
        return Change(key, "updated", before, after)

    def _strip(self, path: str, patch: Object) -> Object:
        """Take away what others added: applying takes away only what is our own."""
        query = [("fieldManager", FIELD_MANAGER)]
        return _object(self.request("PATCH", path, query, patch, "application/merge-patch+json")[1])

    def apply_all(
        self,
        manifests: Sequence[Object],
        live: Mapping[Key, Object] | None = None,
        dry_run: bool = False,
        look: bool = False,
    ) -> list[Change]:
        """Apply objects that do not depend on each other, several at once.

        live holds the objects the caller listed. Others are looked up first in a dry run, or
        where look asks for it: a diff needs what was there.
        """
        known = live or {}

        def one(manifest: Object) -> Change:
            key = key_of(manifest)
            before = known.get(key)
            if before is None and (dry_run or look):
                before = self.find(key)
            return self.apply(manifest, before, dry_run)

        return self.each(one, manifests)

    def delete(self, item: Object, dry_run: bool = False) -> Change:
        """Delete exactly this object, not another that took its name since it was read."""
        key = key_of(item)
        body: Object = {"propagationPolicy": "Background"}
        uid = item["metadata"].get("uid")
        if uid:
            body["preconditions"] = {"uid": uid}
        if dry_run:
            # In the body: where there is one, the API server reads no option from the query.
            body["dryRun"] = ["All"]
        try:
            path = path_of(key.api_version, key.kind, key.namespace, key.name)
            self.request("DELETE", path, body=body)
        except ApiError as exc:
            if exc.status not in (404, 409):
                raise
        return Change(key, "deleted", item, None)

    def create(self, manifest: Object, dry_run: bool = False) -> Object:
        """Create an object, or ask a review; ApiError 409 where it is there already."""
        key = key_of({"metadata": {"name": ""}, **manifest})
        path = path_of(key.api_version, key.kind, key.namespace)
        return _object(
            self.request(
                "POST",
                path,
                [("fieldManager", FIELD_MANAGER), *([("dryRun", "All")] if dry_run else [])],
                manifest,
            )[1]
        )

    def request_token(
        self, namespace: str, name: str, audience: str, ttl_seconds: int
    ) -> tuple[str, str]:
        """Return a new token of a ServiceAccount and the time it ends. Nothing stores it."""
        path = path_of("v1", "ServiceAccount", namespace, name, "token")
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": [audience], "expirationSeconds": ttl_seconds},
        }
        status = _object(self.request("POST", path, (), body)[1])["status"]
        return str(status["token"]), str(status["expirationTimestamp"])

    def may(self, verb: str, group: str, resource: str, namespace: str = "") -> bool:
        """Return whether the caller may do this; a resource may carry /subresource."""
        plural, _slash, subresource = resource.partition("/")
        attributes = {
            "verb": verb,
            "group": group,
            "resource": plural,
            "subresource": subresource,
            "namespace": namespace,
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        return bool(_object(self.create(review).get("status")).get("allowed"))

    def ask_pod(
        self, namespace: str, pod: str, port: int, path: str, method: str = "GET", body: Any = None
    ) -> tuple[int, Any]:
        """Return a pod's own answer, through the API server; refusals are answers too."""
        through = path_of("v1", "Pod", namespace, f"{pod}:{port}", "proxy") + path
        return self._transport(method, through, (), body, "application/json")

    def read_pod(self, namespace: str, pod: str, port: int, path: str) -> tuple[int, Any]:
        """Return what a pod answers to exactly this path, over a forwarded port.

        Not for several threads at once. PodReadError where the port cannot be forwarded.
        """
        if self._read_pod is None:
            raise PodReadError(f"no port of pod {namespace}/{pod} can be forwarded from here", True)
        return self._read_pod(namespace, pod, port, path)

    def clock(self) -> float:
        """Return the seconds on the clock that waits go by."""
        return self._clock()

    def version(self) -> str:
        """Return the API server's version."""
        return str(_object(self.request("GET", "/version")[1]).get("gitVersion") or "")

    def wait(
        self, what: str, check: Callable[[], str], timeout_seconds: float, every: float = 0.5
    ) -> None:
        """Wait until check returns nothing; what it returns says what is still missing."""
        end = self._clock() + timeout_seconds
        while True:
            missing = check()
            if not missing:
                return
            if self._clock() >= end:
                raise MaasError(f"{what}: not after {timeout_seconds:g} s: {missing}")
            self._sleep(every)

    def pause(self, seconds: float) -> None:
        """Let time pass, for an answer that was remembered somewhere to be forgotten."""
        self._sleep(seconds)

    def each(self, work: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
        """Return work's results in order, several at once; the first failure is raised."""
        todo = list(items)
        if len(todo) < 2:
            return [work(item) for item in todo]
        with ThreadPoolExecutor(max_workers=min(CONCURRENCY, len(todo))) as pool:
            futures = [pool.submit(work, item) for item in todo]
            try:
                return [future.result() for future in futures]
            except BaseException:
                for future in futures:
                    future.cancel()
                raise


def _source(options: Mapping[str, Any]) -> str:
    if options.get("host"):
        return f"host {options['host']}"
    # A given kubeconfig may hold keys, so Ansible stars it out: its name would say nothing.
    where = "the kubeconfig given to the task"
    if not options.get("kubeconfig"):
        where = "the environment (K8S_AUTH_*, KUBECONFIG, the pod's account)"
    return where + (f", context {options['context']}" if options.get("context") else "")


def _object(answer: Any) -> Object:
    if not isinstance(answer, dict):
        raise MaasError(f"the API server answered {str(answer)[:80]!r}, which is no object")
    return answer


def _transport(client: Any, source: str) -> Transport:
    def send(
        method: str, path: str, query: Sequence[tuple[str, str]], body: Any, content_type: str
    ) -> tuple[int, Any]:
        sent = {"Accept": "application/json", "Content-Type": content_type}
        try:
            answer = client.call_api(
                path,
                method,
                query_params=list(query),
                header_params=sent,
                body=write_yaml_body(body) if content_type == _APPLY else body,
                auth_settings=["BearerToken"],
                _preload_content=False,
                _return_http_data_only=True,
                _request_timeout=_TIMEOUT_SECONDS,
            )
            return int(answer.status), _decode(answer.data)
        except ApiException as exc:
            if exc.status:
                return int(exc.status), _decode(exc.body)
            raise MaasError(_unreachable(client, source, exc.reason)) from exc
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            raise MaasError(_unreachable(client, source, exc)) from exc

    return send


def write_yaml_body(body: Object) -> bytes:
    """Return an object as JSON that is YAML, too.

    JSON may write a character beyond the first 65,536 as two escapes, which YAML refuses: it
    stands as it is. What YAML refuses unescaped is escaped.
    """
    text = json.dumps(body, ensure_ascii=False)
    # Outside of strings, JSON has no character that this changes.
    return "".join(
        char if ord(char) > 0xFFFF or char.isprintable() else f"\\u{ord(char):04x}" for char in text
    ).encode()


def _unreachable(client: Any, source: str, why: Any) -> str:
    host = client.configuration.host
    # urllib3 wraps the reason in its retries and its pool; people want the reason.
    while isinstance(getattr(why, "reason", None), Exception):
        why = why.reason
    text = str(why).rpartition(">: ")[2]
    return (
        f"the cluster at {host} ({source}) cannot be reached: {text}; check the address, the "
        "network and the certificate authority in the kubeconfig"
    )


def _decode(data: Any) -> Any:
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else str(data or "")
    try:
        return json.loads(text)
    except ValueError:
        return text
