# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""A Kubernetes API server of our own, in the test's process: what the service uses, no more."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

AUDIENCE = "maas-default-gateway-sa"
API_SERVER_AUDIENCE = "https://kubernetes.default.svc"

_COLLECTION = re.compile(
    r"/apis?/(?:v1|[^/]+/[^/]+)/namespaces/(?P<namespace>[^/]+)/(?P<resource>[^/]+)"
    r"(?:/(?P<name>[^/]+))?(?:/(?P<sub>token))?"
)


@dataclass
class Issued:
    """A token the server knows."""

    username: str
    groups: list[str]
    uid: str = ""
    audiences: list[str] = field(default_factory=lambda: [API_SERVER_AUDIENCE])
    expires_at: float = float("inf")


@dataclass
class Failure:
    """Calls that match get this status; `times` of them, then no more."""

    method: str
    path: re.Pattern[str]
    status: int
    times: float = float("inf")


def make_jwt(**claims: Any) -> str:
    """Return a token that looks like the ones Kubernetes makes; nothing is signed."""

    def encode(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{encode({'alg': 'RS256'})}.{encode(claims)}.c2lnbmF0dXJl-{uuid.uuid4().hex}"


async def _no_wait() -> None:
    pass


class FakeKubernetes:
    """Objects, tokens and watches; an ASGI application."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.events: list[tuple[int, str, str, dict[str, Any]]] = []
        self.tokens: dict[str, Issued] = {}
        self.calls: list[tuple[str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.failures: list[Failure] = []
        #: Whether watches deliver; while not, they stay open and say nothing.
        self.delivers = True
        #: Versions up to this one are forgotten: a watch from there gets 410.
        self.compacted = 0
        #: A real API server remembers a good token for a while after its account is gone.
        self.remembers_tokens = False
        self.longest_ttl_seconds = 10**9
        #: Awaited before each review, by tests that want them slow.
        self.before_review: Callable[[], Awaitable[None]] = _no_wait
        self._version = 100
        self._changed = asyncio.Condition()

    # What tests do to it

    def fail(self, method: str, path: str, status: int, times: float = float("inf")) -> None:
        """Let matching calls fail."""
        self.failures.append(Failure(method, re.compile(path), status, times))

    def heal(self) -> None:
        """Let no call fail any more."""
        self.failures.clear()

    def log_in(self, user: str, *groups: str, audiences: list[str] | None = None) -> str:
        """Return a token for a person."""
        token = f"login-{user.replace(':', '-')}-{uuid.uuid4().hex}"
        self.tokens[token] = Issued(user, [*groups, "system:authenticated"])
        if audiences is not None:
            self.tokens[token].audiences = audiences
        return token

    async def put(self, resource: str, namespace: str, name: str, **parts: Any) -> dict[str, Any]:
        """Create or replace an object."""
        key = (resource, namespace, name)
        old = self.objects.get(key)
        new = {**parts, "metadata": {**parts.get("metadata", {})}}
        new["metadata"].update(
            name=name,
            namespace=namespace,
            uid=old["metadata"]["uid"] if old else str(uuid.uuid4()),
            creationTimestamp="2026-01-02T03:04:05Z",
            resourceVersion=str(self._next()),
        )
        self.objects[key] = new
        await self._emit("MODIFIED" if old else "ADDED", resource, namespace, new)
        return new

    async def remove(self, resource: str, namespace: str, name: str) -> None:
        """Delete an object."""
        old = self.objects.pop((resource, namespace, name))
        gone = {**old, "metadata": {**old["metadata"], "resourceVersion": str(self._next())}}
        await self._emit("DELETED", resource, namespace, gone)

    async def deliver(self, delivers: bool) -> None:
        """Let watches deliver, or be silent."""
        self.delivers = delivers
        async with self._changed:
            self._changed.notify_all()

    async def emit_error(self, resource: str, namespace: str, code: int) -> None:
        """Send a watch the error that ends it."""
        error = {"kind": "Status", "code": code, "message": "too old", "metadata": {}}
        self.compacted = self._next()
        await self._emit("ERROR", resource, namespace, error)

    def accounts(self) -> list[tuple[str, str]]:
        """Return namespace and name of every account."""
        return [(ns, name) for kind, ns, name in self.objects if kind == "serviceaccounts"]

    # How it answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        request = Request(scope, receive)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path, method = request.url.path, request.method
        is_watch = bool(request.query_params.get("watch"))
        self.calls.append(("WATCH" if is_watch else method, path))
        raw = await request.body()
        body = json.loads(raw) if raw else {}
        self.bodies.append(body)
        for failure in self.failures:
            verb = "WATCH" if is_watch else method
            if failure.method in {verb, "*"} and failure.path.search(path) and failure.times > 0:
                failure.times -= 1
                return _status(failure.status, "the test wants it so")
        if path == "/apis/authentication.k8s.io/v1/tokenreviews":
            await self.before_review()
            return self._review(body)
        match = _COLLECTION.fullmatch(path)
        if not match:
            return _status(404, "the server could not find the requested resource")
        namespace, resource, name = match["namespace"], match["resource"], match["name"]
        if match["sub"]:
            return self._issue(namespace, name, body)
        if is_watch:
            return StreamingResponse(self._watch(request, resource, namespace))
        if name:
            return await self._one(method, resource, namespace, name, body)
        if method == "POST":
            name = body["metadata"]["name"]
            if (resource, namespace, name) in self.objects:
                return _status(409, f"{resource} {name!r} already exists", "AlreadyExists")
            return JSONResponse(await self.put(resource, namespace, name, **body), 201)
        return self._list(request, resource, namespace)

    async def _one(
        self, method: str, resource: str, namespace: str, name: str, body: dict[str, Any]
    ) -> Response:
        found = self.objects.get((resource, namespace, name))
        if found is None:
            return _status(404, f"{resource} {name!r} not found")
        if method == "GET":
            return JSONResponse(found)
        if method == "PATCH":
            return await self._merge(resource, namespace, name, found, body)
        uid = (body.get("preconditions") or {}).get("uid")
        if uid and uid != found["metadata"]["uid"]:
            return _status(409, "the UID in the precondition does not match")
        await self.remove(resource, namespace, name)
        return JSONResponse({"kind": "Status", "status": "Success"})

    async def _merge(
        self,
        resource: str,
        namespace: str,
        name: str,
        found: dict[str, Any],
        body: dict[str, Any],
    ) -> Response:
        meta = body["metadata"]
        if meta.get("uid", found["metadata"]["uid"]) != found["metadata"]["uid"]:
            return _status(409, "the UID does not match")
        notes = {**found["metadata"].get("annotations", {}), **meta.get("annotations", {})}
        changed = {**found, "metadata": {**found["metadata"], "annotations": notes}}
        return JSONResponse(await self.put(resource, namespace, name, **changed))

    def _list(self, request: Request, resource: str, namespace: str) -> Response:
        items = [item for item in self._of(resource, namespace) if _selected(request, item)]
        start = int(request.query_params.get("continue", 0))
        end = start + min(int(request.query_params["limit"]), 2)  # small pages, always
        metadata = {"resourceVersion": str(self._version)}
        if end < len(items):
            metadata["continue"] = str(end)
        return JSONResponse({"metadata": metadata, "items": items[start:end]})

    async def _watch(self, request: Request, resource: str, namespace: str) -> AsyncIterator[bytes]:
        since = int(request.query_params["resourceVersion"])
        if since < self.compacted:
            error = {"kind": "Status", "code": 410, "message": "too old resource version"}
            yield _line("ERROR", error)
            return
        sent = 0
        while True:
            async with self._changed:
                while not self.delivers or len(self.events) <= sent:
                    await self._changed.wait()
            while sent < len(self.events):
                version, kind, where, event = self.events[sent]
                sent += 1
                if version <= since or (kind, where) != (resource, namespace):
                    continue
                if event["type"] == "ERROR" or _selected(request, event["object"]):
                    yield _line(event["type"], event["object"])

    def _review(self, body: dict[str, Any]) -> Response:
        spec = body["spec"]
        wanted = spec.get("audiences") or [API_SERVER_AUDIENCE]
        issued = self.tokens.get(spec["token"])
        audiences = [name for name in wanted if issued and name in issued.audiences]
        if issued is None or not audiences or issued.expires_at < time.time():
            status: dict[str, Any] = {"authenticated": False, "error": f"no: {spec['token']}"}
        elif not self._is_alive(issued):
            status = {"authenticated": False, "error": "account is gone"}
        else:
            user = {"username": issued.username, "groups": issued.groups, "uid": issued.uid}
            status = {"authenticated": True, "user": user, "audiences": audiences}
        return JSONResponse({"kind": "TokenReview", "status": status}, 201)

    def _is_alive(self, issued: Issued) -> bool:
        parts = issued.username.split(":")
        if self.remembers_tokens or parts[:2] != ["system", "serviceaccount"]:
            return True
        account = self.objects.get(("serviceaccounts", parts[2], parts[3]))
        return account is not None and account["metadata"]["uid"] == issued.uid

    def _issue(self, namespace: str, name: str, body: dict[str, Any]) -> Response:
        account = self.objects.get(("serviceaccounts", namespace, name))
        if account is None:
            return _status(404, f'serviceaccounts "{name}" not found')
        seconds = min(body["spec"]["expirationSeconds"], self.longest_ttl_seconds)
        audiences = body["spec"]["audiences"]
        token = self.make_account_token(namespace, name, audiences, seconds)
        expires = datetime.fromtimestamp(int(self.tokens[token].expires_at), UTC)
        status = {"token": token, "expirationTimestamp": expires.isoformat().replace("+00:00", "Z")}
        spec = {"expirationSeconds": seconds, "audiences": audiences}
        return JSONResponse({"kind": "TokenRequest", "spec": spec, "status": status}, 201)

    def make_account_token(
        self, namespace: str, name: str, audiences: list[str], seconds: float = 3600
    ) -> str:
        """Return a token of an account, for whomever."""
        username = f"system:serviceaccount:{namespace}:{name}"
        account = self.objects.get(("serviceaccounts", namespace, name))
        uid = account["metadata"]["uid"] if account else str(uuid.uuid4())
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
        token = make_jwt(aud=audiences, sub=username)
        self.tokens[token] = Issued(
            username, [*groups, "system:authenticated"], uid, audiences, time.time() + seconds
        )
        return token

    def _of(self, resource: str, namespace: str) -> list[dict[str, Any]]:
        return [
            item
            for (kind, where, _), item in sorted(self.objects.items())
            if (kind, where) == (resource, namespace)
        ]

    def _next(self) -> int:
        self._version += 1
        return self._version

    async def _emit(self, kind: str, resource: str, namespace: str, item: dict[str, Any]) -> None:
        version = int(item["metadata"].get("resourceVersion", self._version))
        async with self._changed:
            self.events.append((version, resource, namespace, {"type": kind, "object": item}))
            self._changed.notify_all()


def _selected(request: Request, item: dict[str, Any]) -> bool:
    meta = item["metadata"]
    field_name, _, value = request.query_params.get("fieldSelector", "").partition("=")
    if field_name == "metadata.name" and meta["name"] != value:
        return False
    label, _, value = request.query_params.get("labelSelector", "").partition("=")
    return not label or meta.get("labels", {}).get(label) == value


def _line(kind: str, item: dict[str, Any]) -> bytes:
    # U+0085 ends a line for some readers, and stands unescaped in what Go writes.
    text = json.dumps({"type": kind, "object": item}, ensure_ascii=False)
    return text.encode() + b"\n"


def _status(code: int, message: str, reason: str = "") -> Response:
    return JSONResponse(
        {"kind": "Status", "code": code, "message": message, "reason": reason}, code
    )


class _Body(httpx.AsyncByteStream):
    def __init__(self, messages: asyncio.Queue[Message], task: asyncio.Task[None]) -> None:
        self._messages = messages
        self._task = task

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            message = await self._messages.get()
            if message["type"] == "test.broken":
                raise httpx.ReadError("the connection broke")
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body"):
                return

    async def aclose(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class StreamingTransport(httpx.AsyncBaseTransport):
    """httpx's own ASGI transport waits for the whole answer, and a watch has no end."""

    def __init__(self, app: ASGIApp) -> None:
        self.is_reachable = True
        self._app = app
        self._open: set[asyncio.Queue[Message]] = set()

    def cut(self) -> None:
        """Let nothing through any more, and break what is open."""
        self.is_reachable = False
        for messages in self._open:
            messages.put_nowait({"type": "test.broken"})

    def mend(self) -> None:
        """Let everything through again."""
        self.is_reachable = True

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self.is_reachable:
            raise httpx.ConnectError("no route to host", request=request)
        body = await request.aread()
        sent = asyncio.Event()

        async def receive() -> Message:
            if sent.is_set():
                await asyncio.Event().wait()
            sent.set()
            return {"type": "http.request", "body": body, "more_body": False}

        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": request.method,
            "headers": [(key.lower(), value) for key, value in request.headers.raw],
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": request.url.raw_path.split(b"?")[0],
            "query_string": request.url.query,
            "server": (request.url.host, request.url.port),
            "client": ("127.0.0.1", 12345),
            "root_path": "",
        }
        messages: asyncio.Queue[Message] = asyncio.Queue()
        self._open.add(messages)
        task: asyncio.Task[None] = asyncio.create_task(self._app(scope, receive, messages.put))  # type: ignore[arg-type]
        task.add_done_callback(lambda _: self._open.discard(messages))
        start = await messages.get()
        return httpx.Response(
            start["status"], headers=start["headers"], stream=_Body(messages, task), request=request
        )
