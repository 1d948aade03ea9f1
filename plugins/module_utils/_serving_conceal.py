# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Objects and entries of models without what may be a secret, for diffs and logs. Pure.

A server's environment and some of its arguments may hold passwords. What is hidden carries a short
digest, so that a change still shows.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from ._serving_record import PROVEN_ANNOTATION

_SECRET_FLAG = re.compile(r"(?i)^--?[\w-]*(token|key|secret|pass|credential)[\w-]*$")
_SECRET_PAIR = re.compile(r"(?i)^(--?[\w-]*(?:token|key|secret|pass|credential)[\w-]*=)(.*)$")


def conceal(value: Any) -> Any:
    """Return a copy in which environments and secret arguments are hidden."""
    if isinstance(value, Mapping):
        return {name: _conceal_field(name, inside) for name, inside in value.items()}
    if isinstance(value, (list, tuple)):
        return [conceal(item) for item in value]
    return value


def _conceal_field(name: Any, value: Any) -> Any:
    if name in ("env", "environment"):
        return _conceal_environment(value)
    if name in ("args", "extra_args", "command", "embedding_args") and isinstance(
        value, (list, tuple)
    ):
        return _conceal_words(list(value))
    if name == PROVEN_ANNOTATION:
        return f"version {_digest(value, 12)}"
    return conceal(value)


def _conceal_environment(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _hidden(inside) for name, inside in value.items()}
    if isinstance(value, (list, tuple)):
        return [
            {**item, "value": _hidden(item["value"])}
            if isinstance(item, Mapping) and "value" in item
            else conceal(item)
            for item in value
        ]
    return _hidden(value)


def _conceal_words(words: list[Any]) -> list[Any]:
    shown: list[Any] = []
    for index, word in enumerate(words):
        pair = _SECRET_PAIR.match(word) if isinstance(word, str) else None
        before = words[index - 1] if index else ""
        if pair:
            shown.append(pair.group(1) + _hidden(pair.group(2)))
        elif isinstance(before, str) and _SECRET_FLAG.match(before):
            shown.append(_hidden(word))
        else:
            shown.append(word)
    return shown


def _hidden(value: Any) -> str:
    return f"(not shown #{_digest(value, 4)})"


def _digest(value: Any, length: int) -> str:
    return hashlib.sha256(str(value).encode()).hexdigest()[:length]
