# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What the Gateways' Lua does with bodies, in the interpreter that Envoy has."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lupa import luajit21

FILES = Path(__file__).resolve().parents[3] / "roles/gateway_api/files"
TABLE = (
    'local DEFAULT_NAMESPACE = "llm"\n'
    'local ROUTES = {["llama"] = "/research/llama", ["google/gemma"] = "/llm/gemma"}\n'
)
CHAT = "/v1/chat/completions"
READ = "x-maas-read"
SUMS = (
    'local AUDIENCE = "ours"\nlocal LARGEST = 1000000\n'
    "local SMALL_SUM = 100000\nlocal LARGE_SUM = 1500000\n"
)


def load(*names: str, exports: str = "nil", before: str = "") -> Any:
    runtime = luajit21.LuaRuntime(encoding=None, unpack_returned_tuples=True)
    texts = [(FILES / f"{name}.lua").read_text() for name in names]
    texts.insert(1, before)
    done = runtime.execute("\n".join([*texts, f"return {exports}"]).encode())
    return runtime, done


class Responded(Exception):  # noqa: N818
    """Ends a script, as Envoy does once it has answered."""


class Body:
    def __init__(self, text: bytes) -> None:
        self.text = text

    def length(self, _self: Any = None) -> int:
        return len(self.text)

    def getBytes(self, first: int, count: int) -> bytes:  # noqa: N802
        return self.text[first : first + count]

    def setBytes(self, text: bytes) -> int:  # noqa: N802
        self.text = text
        return len(text)


class Headers:
    """Headers that are good until the script has waited for the body, as in Envoy."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values = values
        self.is_stale = False

    def get(self, name: bytes) -> bytes | None:
        assert not self.is_stale, "object used outside of proper scope"
        value = self.values.get(name.decode())
        return value.encode() if value is not None else None

    def replace(self, name: bytes, value: bytes) -> None:
        assert not self.is_stale, "object used outside of proper scope"
        self.values[name.decode()] = value.decode()

    def remove(self, name: bytes) -> None:
        self.values.pop(name.decode(), None)


class Handle:
    """As much of Envoy's stream handle as the scripts use."""

    def __init__(self, text: bytes, values: dict[str, str]) -> None:
        self.values = values
        self.content = Body(text)
        self.chunks: list[Body] = []
        self.answer: tuple[int, Any] | None = None
        self.metadata: dict[bytes, dict[bytes, Any]] = {}
        self.was_read = False
        self._current: Headers | None = None

    def headers(self) -> Headers:
        self._current = Headers(self.values)
        return self._current

    def body(self) -> Body | None:
        self.was_read = True
        if self._current:
            self._current.is_stale = True
        return self.content if self.content.text else None

    def respond(self, headers: Any, body: bytes) -> None:
        self.answer = int(headers[b":status"]), json.loads(body)
        raise Responded

    def bodyChunks(self) -> Any:  # noqa: N802
        chunks: Iterator[Body] = iter(self.chunks)
        return lambda *_: next(chunks, None)


WRAP = """
return function(handle, hook, metadata)
  local function wrap(object, names)
    local wrapped = {}
    for _, name in ipairs(names) do
      wrapped[name] = function(_, ...)
        local value = object[name](...)
        -- Of what is not there Envoy returns nothing, which is not nil to every function.
        if value ~= nil then return value end
      end
    end
    return wrapped
  end
  local function bytes(body) return body and wrap(body, {"length", "getBytes", "setBytes"}) end
  return hook({
    headers = function() return wrap(handle.headers(), {"get", "replace", "remove"}) end,
    body = function() return bytes(handle.body()) end,
    respond = function(_, headers, body) handle.respond(headers, body) end,
    bodyChunks = function()
      local nexts = handle.bodyChunks()
      return function() return bytes(nexts()) end
    end,
    streamInfo = function() return {dynamicMetadata = function() return {
      get = function(_, name) return metadata[name] end,
      set = function(_, name, key, value) metadata[name] = {[key] = value} end,
    } end} end,
  })
end
"""


class Script:
    """A script as one of the Gateways has it."""

    def __init__(self, *names: str, before: str = "") -> None:
        self.runtime, _ = load(*names, before=before)
        self._wrap = self.runtime.execute(WRAP.encode())

    def run(self, hook: str, handle: Handle, metadata: Any = None) -> None:
        function = self.runtime.globals()[f"envoy_on_{hook}".encode()]
        with contextlib.suppress(Responded):
            self._wrap(handle, function, metadata or self.runtime.table())


@pytest.fixture(scope="module")
def front() -> Script:
    return Script("json", "answers", "base_url", "hide_usage", before=TABLE)


@pytest.fixture(scope="module")
def inner() -> Script:
    return Script("json", "answers", "stream_usage")


def ask(front: Script, body: Any, path: str = CHAT, **headers: str) -> Handle:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    given_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    method = given_headers.pop("method", "POST")
    values = {":path": path, ":method": method, READ: "true", **given_headers}
    handle = Handle(text, {name: value for name, value in values.items() if value})
    front.run("request", handle)
    return handle


# The base URL


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemma", "/llm/gemma"),
        ("a", "/llm/a"),
        ("a" * 63, "/llm/" + "a" * 63),
        ("llama", "/research/llama"),
        ("google/gemma", "/llm/gemma"),
    ],
)
@pytest.mark.parametrize("query", ["", "?api-version=1"])
def test_a_model_has_a_path(front: Script, model: str, path: str, query: str) -> None:
    handle = ask(front, {"messages": [], "model": model}, CHAT + query)
    assert handle.values[":path"] == path + CHAT + query
    assert handle.answer is None


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/embeddings"])
def test_other_endpoints(front: Script, path: str) -> None:
    assert ask(front, {"model": "gemma"}, path).values[":path"] == f"/llm/gemma{path}"


@pytest.mark.parametrize(
    "model",
    [
        "",
        "-a",
        "a-",
        "A",
        "a" * 64,
        "a/b",
        "../a",
        "a%2fb",
        "a?b",
        "a\n",
        "a\0",
        "\uff41",
        "a" * 5000,
    ],
)
def test_what_cannot_be_a_model_stays_where_it_is_refused(front: Script, model: str) -> None:
    handle = ask(front, {"model": model})
    assert handle.values[":path"] == CHAT
    assert handle.answer is None


@given(st.text())
def test_no_name_leaves_its_path_segment(model: str) -> None:
    handle = ask(FRONT, {"model": model})
    if handle.values[":path"] != CHAT:
        assert handle.values[":path"] in (
            f"/llm/{model}{CHAT}",
            "/research/llama" + CHAT,
            "/llm/gemma" + CHAT,
        )
        assert model.isascii()
        assert "%" not in model
        assert ".." not in model


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The body is not a JSON object."),
        (b"{", "The body is not a JSON object."),
        (b"[]", "The body is not a JSON object."),
        (b'{"model":"gemma"} x', "The body is not a JSON object."),
        (b'\xef\xbb\xbf{"model":"gemma"}', "The body is not a JSON object."),
        ('{"model":"gemma"}'.encode("utf-16"), "The body is not a JSON object."),
        (b'{/*"*/"model":"gemma"}', "The body is not a JSON object."),
        (b"{'model':'gemma'}", "The body is not a JSON object."),
        (b'{"x":' + b"[" * 300 + b"]" * 300 + b"}", "The body is not a JSON object."),
        (b"{}", "Name a model: 'model' has to be a string."),
        (b'{"model":null}', "Name a model: 'model' has to be a string."),
        (b'{"x":{"model":"gemma"}}', "Name a model: 'model' has to be a string."),
        (b'{"model":"a","model":"b"}', "'model' is there twice."),
        (b'{"model":"a","mod\\u0065l":"b"}', "'model' is there twice."),
        (b'{"Model":"a"}', "Write 'model' in lower case."),
    ],
)
def test_without_a_model_it_is_400(front: Script, body: bytes, message: str) -> None:
    handle = ask(front, body)
    assert handle.answer is not None
    status, answer = handle.answer
    assert status == 400
    error = {"message": message, "type": "invalid_request_error", "param": "model", "code": None}
    assert answer == {"error": error}
    assert handle.values[":path"] == CHAT


def test_escapes_are_read(front: Script) -> None:
    handle = ask(front, b'{"x":"\\"\\\\","m\\u006fdel" : "gemm\\u0061"}')
    assert handle.values[":path"] == "/llm/gemma" + CHAT


@pytest.mark.parametrize("path", [CHAT, "/v1/models", "/llm/gemma/v1/chat/completions", "/"])
def test_what_is_not_marked_is_left_alone(front: Script, path: str) -> None:
    handle = ask(front, b"{", path, x_maas_read="")
    assert not handle.was_read
    assert handle.answer is None
    assert handle.values[":path"] == path


def test_the_mark_goes_no_further(front: Script) -> None:
    assert READ not in ask(front, {"model": "gemma"}).values


# Whose body is held


def token_of(**claims: Any) -> str:
    text = json.dumps({"aud": ["ours"], "exp": time.time() // 1 + 60} | claims)
    return f"a.{base64.urlsafe_b64encode(text.encode()).decode().rstrip('=')}.b-_9"


TOKEN = token_of(exp=int(time.time()) + 3600)


class Door(Script):
    """The script that decides, and the streams that are still open."""

    def __init__(self) -> None:
        super().__init__("answers", "admission", before=SUMS)
        self.open: list[Any] = []

    def enter(
        self, length: int | None = None, path: str = CHAT, method: str = "POST", **headers: str
    ) -> Handle:
        values = {":path": path, ":method": method, "authorization": f"Bearer {TOKEN}"}
        values |= {name.replace("_", "-"): value for name, value in headers.items()}
        values |= {} if length is None else {"content-length": str(length)}
        handle = Handle(b"", values)
        metadata = self.runtime.table()
        # Each request has a coroutine of its own, which lives as long as its stream.
        hook = self._wrap.coroutine(handle, self.runtime.globals()[b"envoy_on_request"], metadata)
        try:
            hook.send(None)
        except StopIteration:
            pass
        except luajit21.LuaError:
            # That is how a coroutine ends which has answered.
            assert handle.answer is not None
        self.open.append((hook, metadata))
        return handle

    def answered(self) -> None:
        _hook, metadata = self.open[0]
        self.run("response", Handle(b"", {}), metadata)

    def is_let_in(self, length: int | None = None, **headers: str) -> bool:
        return READ in self.enter(length, **headers).values


@pytest.fixture
def door() -> Door:
    return Door()


def test_a_token_like_ours_is_let_in(door: Door) -> None:
    assert door.is_let_in(10)
    assert door.is_let_in(10, authorization=f"bearer   {TOKEN}")


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer ",
        "Basic abc",
        f"Bearer{TOKEN}",
        "Bearer abc",
        "Bearer a.b.c",
        "Bearer a.====.c",
        f"Bearer {TOKEN} {TOKEN}",
        f"Bearer {token_of(aud=['theirs'], exp=9999999999)}",
        f"Bearer {token_of(exp=1)}",
        f"Bearer {token_of(exp='x')}",
        f"Bearer {token_of(exp=9999999999, x='a' * 9000)}",
    ],
)
def test_without_a_token_like_ours_nothing_is_read(door: Door, authorization: str) -> None:
    handle = door.enter(10, authorization=authorization)
    assert handle.answer is None
    assert READ not in handle.values


@given(st.text(st.characters(codec="ascii", min_codepoint=32)))
def test_no_token_ends_the_script(token: str) -> None:
    assert not DOOR.is_let_in(10, authorization=f"Bearer {token}")


@pytest.mark.parametrize("path", ["/v1/models", "/llm/gemma/v1/chat/completions", "/v1/x", "/"])
def test_other_paths_are_left_alone(door: Door, path: str) -> None:
    handle = door.enter(10, path=path)
    assert handle.answer is None
    assert READ not in handle.values


def refusal(handle: Handle) -> Any:
    assert handle.answer is not None
    assert READ not in handle.values
    status, answer = handle.answer
    return status, answer["error"]["type"]


def test_other_methods_are_405(door: Door) -> None:
    assert refusal(door.enter(0, method="GET")) == (405, "invalid_request_error")


def test_a_length_beyond_the_largest_is_413(door: Door) -> None:
    assert refusal(door.enter(1_000_001)) == (413, "invalid_request_error")


def test_large_bodies_do_not_crowd_out_small_ones(door: Door) -> None:
    assert door.is_let_in(1_000_000)
    assert refusal(door.enter(1_000_000)) == (503, "server_error")
    # Who does not say how much it is may send as much as anybody.
    assert refusal(door.enter()) == (503, "server_error")
    assert door.is_let_in(500_000)
    assert door.is_let_in(60_000)
    assert refusal(door.enter(60_000)) == (503, "server_error")


def test_an_answer_gives_its_room_back(door: Door) -> None:
    assert door.is_let_in(1_000_000)
    assert refusal(door.enter(600_000)) == (503, "server_error")
    door.answered()
    door.answered()
    assert door.is_let_in(1_000_000)
    assert refusal(door.enter(600_000)) == (503, "server_error")


def test_streams_that_were_cut_off_give_their_room_back(door: Door) -> None:
    assert door.is_let_in(1_000_000)
    door.open.clear()
    assert door.is_let_in(1_000_000)


@pytest.mark.parametrize(
    "headers",
    [{"content_encoding": "gzip"}, {"content_type": "application/json; charset=utf-16"}],
)
def test_what_reads_otherwise_is_415(door: Door, inner: Script, headers: Any) -> None:
    assert refusal(door.enter(10, **headers)) == (415, "invalid_request_error")
    handle = ask(inner, {"model": "gemma"}, **headers)
    assert handle.answer is not None
    assert handle.answer[0] == 415


# Usage in streams


def asked(inner: Script, body: Any) -> tuple[Handle, Any]:
    metadata = inner.runtime.table()
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    handle = Handle(text, {":method": "POST"})
    inner.run("request", handle, metadata)
    return handle, metadata


def was_added(inner: Script, metadata: Any) -> bool:
    answer = Handle(b"", {})
    inner.run("response", answer, metadata)
    return answer.values == {"x-maas-usage-added": "true"}


WANTED = {"include_usage": True}


@pytest.mark.parametrize(
    ("given_body", "options"),
    [
        ({"stream": True}, WANTED),
        ({"stream": True, "stream_options": None}, WANTED),
        ({"stream": True, "stream_options": {}}, WANTED),
        ({"stream": True, "stream_options": {"include_usage": False}}, WANTED),
        ({"stream": True, "stream_options": {"include_usage": "x"}}, WANTED),
        ({"stream_options": {"x": [1]}, "stream": True}, {**WANTED, "x": [1]}),
    ],
)
def test_streams_are_asked_for_usage(inner: Script, given_body: Any, options: Any) -> None:
    handle, metadata = asked(inner, {"model": "gemma", **given_body, "z": '\\"'})
    assert json.loads(handle.content.text) == {
        "model": "gemma",
        **given_body,
        "z": '\\"',
        "stream_options": options,
    }
    assert was_added(inner, metadata)


@pytest.mark.parametrize(
    "given_body",
    [
        {},
        {"stream": False},
        {"stream": None},
        {"stream": False, "stream_options": {"include_usage": False}},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"x": {"stream": True}},
    ],
)
def test_others_stay_as_they_are(inner: Script, given_body: Any) -> None:
    handle, metadata = asked(inner, given_body)
    assert handle.content.text == json.dumps(given_body).encode()
    assert handle.answer is None
    assert not was_added(inner, metadata)


@pytest.mark.parametrize(
    "body",
    [
        b'{"stream":true,"stream":false}',
        b'{"stream":false,"str\\u0065am":true}',
        b'{"Stream":true}',
        '{"\u017ftream":true}'.encode(),
        b'{"stream":"true"}',
        b'{"stream":1}',
        b'{"stream":true,"stream_options":[]}',
        b'{"stream":true,"stream_options":{"include_usage":true,"include_usage":false}}',
        b'{"stream":true,"stream_options":{"include_usage":true},"stream_options":{}}',
        b'{"stream":true',
        b"",
    ],
)
def test_what_servers_may_read_in_two_ways_is_400(inner: Script, body: bytes) -> None:
    handle, _ = asked(inner, body)
    assert handle.answer is not None
    assert handle.answer[0] == 400


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside),
    max_leaves=20,
)
KEYS = st.sampled_from(["model", "stream", "stream_options", "x"]) | st.text()
INNER = Script("json", "answers", "stream_usage")
DOOR = Door()
FRONT = Script("json", "answers", "base_url", "hide_usage", before=TABLE)


@given(st.dictionaries(KEYS, JSON), st.booleans(), st.sampled_from([None, 1]))
def test_valid_json_keeps_its_meaning(value: Any, ascii_only: bool, indent: int | None) -> None:
    value["stream"] = True
    if value.get("stream_options") is not None and not isinstance(value["stream_options"], dict):
        del value["stream_options"]
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    handle, _ = asked(INNER, text.encode())
    assert handle.answer is None
    assert json.loads(handle.content.text) == {
        **value,
        "stream_options": {**_options(value), "include_usage": True},
    }


def _options(value: Any) -> dict[str, Any]:
    return value.get("stream_options") or {}


WORDS = ["/*", "*/", "true", "false", "null", "\\u0073", '"x":']
STREAMS = ['"stream"', '"stream":true', '"stream_options":{}']
PIECES = st.sampled_from([*"{}[]\",: 1\n\0\\'", *WORDS, *STREAMS])


@given(st.lists(PIECES, max_size=12).map(lambda parts: "{" + "".join(parts) + "}"))
def test_nothing_is_read_otherwise_than_by_a_server(text: str) -> None:
    """A body that passes as no stream is none to Python's reader, either."""
    handle, _ = asked(INNER, text.encode())
    try:
        value = json.loads(text)
    except ValueError:
        return
    if handle.answer is None:
        read = json.loads(handle.content.text)
        streams = bool(value.get("stream"))
        assert streams == bool((read.get("stream_options") or {}).get("include_usage") and streams)


# Hiding the report


REPORT = 'data: {"choices":[],"usage":{"total_tokens":3}}'
TEXT = 'data: {"choices":[{"delta":{"content":"\\"usage\\" []"}}],"usage":null}'


def passed_on(front: Script, chunks: list[str], **headers: str) -> str:
    values = {"x-maas-usage-added": "true", "content-type": "text/event-stream", **headers}
    handle = Handle(b"", values)
    handle.chunks = [Body(chunk.encode()) for chunk in chunks]
    front.run("response", handle)
    assert "x-maas-usage-added" not in handle.values
    return b"".join(chunk.text for chunk in handle.chunks).decode()


@pytest.mark.parametrize("end", ["\n\n", "\r\n\r\n"])
@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_a_report_is_hidden_however_it_is_cut(front: Script, end: str, size: int) -> None:
    stream = TEXT + end + REPORT + end + "data: [DONE]" + end
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert passed_on(front, chunks) == TEXT + end + "data: [DONE]" + end


def test_what_is_no_stream_stays(front: Script) -> None:
    kept = passed_on(front, [REPORT + "\n\n"], **{"content-type": "application/json"})
    assert kept == REPORT + "\n\n"


def test_a_stream_that_ends_early_loses_nothing_whole(front: Script) -> None:
    assert passed_on(front, [TEXT + "\n\ndata: [DO"]) == TEXT + "\n\ndata: [DO"


def test_who_asked_sees_it(front: Script) -> None:
    handle = Handle(b"", {"content-type": "text/event-stream"})
    handle.chunks = [Body((REPORT + "\n\n").encode())]
    front.run("response", handle)
    assert handle.chunks[0].text == (REPORT + "\n\n").encode()
