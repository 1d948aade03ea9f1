# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Reading how a model's server runs. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ._checks import Problems, keys, mapping, sequence, text
from ._model import Runtime

KEYS = {
    "engine": "custom, or a name in model_serving_runtimes",
    "image": "an image reference",
    "command": "a list of text",
    "args": "a list of text; they replace the engine's",
    "extra_args": "a list of text, after the engine's arguments",
    "env": "a mapping of names to text",
    "resources": "a mapping with requests and limits",
}
WORDS = "text (quote numbers)"
#: The platform sets these in every server.
_RESERVED = ("MODEL_NAME",)
_RESERVED_PREFIX = "LWS_"
_ENV_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|e[0-9]+)?")
_QUANTITY_ALLOWED = "an amount, such as 4, 500m or 16Gi"
_RESOURCE_KEYS = {
    "requests": "a mapping of resource names to amounts",
    "limits": "a mapping of resource names to amounts",
}


def read_runtime(problems: Problems, path: str, entry: Any) -> Runtime:
    """Return the runtime as far as it could be read."""
    raw = mapping(problems, path, entry, f"a mapping with {', '.join(KEYS)}")
    if raw is None:
        return Runtime()
    keys(problems, path, raw, KEYS, shown=False)
    given = {key: value for key, value in raw.items() if value is not None}
    return Runtime(
        engine=_read_text(problems, path, given, "engine"),
        image=_read_text(problems, path, given, "image"),
        command=_read_words(problems, path, given, "command"),
        args=_read_words(problems, path, given, "args"),
        extra_args=_read_words(problems, path, given, "extra_args") or (),
        env=_read_env(problems, f"{path}.env", given.get("env", {})),
        resources=_read_resources(problems, f"{path}.resources", given.get("resources", {})),
    )


def _read_text(problems: Problems, path: str, raw: Mapping[str, Any], key: str) -> str | None:
    return text(problems, f"{path}.{key}", raw[key], KEYS[key]) if key in raw else None


def _read_words(
    problems: Problems, path: str, raw: Mapping[str, Any], key: str
) -> tuple[str, ...] | None:
    if key not in raw:
        return None
    words = sequence(problems, f"{path}.{key}", raw[key], KEYS[key])
    if words is None:
        return None
    for index, word in enumerate(words):
        if not isinstance(word, str):
            problems.found(f"{path}.{key}[{index}]", word, WORDS)
    return tuple(word for word in words if isinstance(word, str))


def _read_env(problems: Problems, path: str, env: Any) -> dict[str, str]:
    # Values may be secrets, a download token for instance: no message shows one.
    if not isinstance(env, Mapping):
        problems.hidden(path, KEYS["env"])
        return {}
    read: dict[str, str] = {}
    for key, value in env.items():
        if not isinstance(key, str) or not isinstance(value, str):
            problems.hidden(f"{path}.{key}", WORDS)
        elif not _ENV_NAME.fullmatch(key):
            problems.hidden(f"{path}.{key}", "a name of letters, digits, - _ and .")
        elif key in _RESERVED or key.startswith(_RESERVED_PREFIX):
            problems.hidden(f"{path}.{key}", "another name: the platform sets this one")
        else:
            read[key] = value
    return read


def _read_resources(problems: Problems, path: str, entry: Any) -> dict[str, dict[str, Any]]:
    raw = mapping(problems, path, entry, KEYS["resources"])
    if raw is None:
        return {}
    keys(problems, path, raw, _RESOURCE_KEYS)
    read: dict[str, dict[str, Any]] = {}
    for key, allowed in _RESOURCE_KEYS.items():
        amounts = mapping(problems, f"{path}.{key}", raw.get(key, {}), allowed)
        if key not in raw or amounts is None:
            continue
        read[key] = {}
        for name, amount in amounts.items():
            if _is_quantity(amount):
                read[key][name] = amount
            else:
                problems.found(f"{path}.{key}.{name}", amount, _QUANTITY_ALLOWED)
    return read


def _is_quantity(raw: Any) -> bool:
    if isinstance(raw, bool):
        return False
    if isinstance(raw, (int, float)):
        return 0 <= raw < float("inf")
    return isinstance(raw, str) and _QUANTITY.fullmatch(raw) is not None
