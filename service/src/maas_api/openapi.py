# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document, written from the endpoints and the bodies they take and give."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from .errors import CODES, ErrorBody

JSON = "application/json"
TEXT = "text/plain"
#: Beside the document itself, wherever a gateway put that.
_SERVER = "."
#: How the router is told what a variable part may be.
_CONVERTER = re.compile(r":[a-z]+\}")
_PARAMETER = re.compile(r"\{([a-z]+)")
_SCHEMAS = "#/components/schemas/{name}"


@dataclass(frozen=True)
class Operation:
    """One method on one path."""

    method: str
    path: str
    name: str
    endpoint: Callable[..., Any]
    summary: str
    #: What each status carries; None where there is no body.
    answers: Mapping[int, type[Any] | None]
    errors: Sequence[int] = ()
    body: type[Any] | None = None
    #: Whether a bearer token is needed.
    login: bool = True
    media_type: str = JSON

    @property
    def parameters(self) -> list[str]:
        """Return the names of the path's variable parts."""
        return _PARAMETER.findall(self.path)


def write_document(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the document as plain data."""
    types = {kind for operation in operations for kind in _types(operation)}
    ordered = sorted(types, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(ordered, ref_template=_SCHEMAS)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        entry = paths.setdefault(_CONVERTER.sub("}", operation.path), {})
        entry[operation.method.lower()] = _write_operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "MaaS API",
            "version": "1",
            "description": "Tokens, tiers and models of a Models-as-a-Service platform.",
        },
        "servers": [{"url": _SERVER}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _types(operation: Operation) -> set[type[Any]]:
    named = {*operation.answers.values(), operation.body, ErrorBody}
    return {kind for kind in named if kind is not None and issubclass(kind, msgspec.Struct)}


def _write_operation(operation: Operation) -> dict[str, Any]:
    answers = {
        str(status): _write_answer("Done.", kind, operation.media_type)
        for status, kind in operation.answers.items()
    }
    login_errors = (401, 429, 503) if operation.login else ()
    for status in sorted({*operation.errors, *login_errors, 500}):
        answers[str(status)] = _write_answer(CODES[status].replace("_", " "), ErrorBody, JSON)
    written: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "security": [{"bearer": []}] if operation.login else [],
        "responses": answers,
    }
    if operation.parameters:
        written["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in operation.parameters
        ]
    if operation.body:
        # Only the lookup insists on a body: a token without wishes needs none.
        content = {JSON: {"schema": _schema(operation.body)}}
        written["requestBody"] = {"required": not operation.login, "content": content}
    return written


def _write_answer(description: str, kind: type[Any] | None, media_type: str) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": description}
    if kind is not None:
        answer["content"] = {media_type: {"schema": _schema(kind)}}
    return answer


def _schema(kind: type[Any]) -> dict[str, str]:
    if issubclass(kind, msgspec.Struct):
        return {"$ref": _SCHEMAS.format(name=kind.__name__)}
    return {"type": "string" if kind is str else "object"}
