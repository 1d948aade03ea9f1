# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Writing lists of mappings as YAML, without a YAML library. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

# What YAML 1.1 wants escaped and JSON leaves as it is.
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def write_yaml(entries: Iterable[Mapping[str, Any]]) -> str:
    """Return the entries as YAML, one key to a line; JSON values are YAML values."""
    lines = []
    for entry in entries:
        for index, (key, value) in enumerate(entry.items()):
            lead = "  " if index else "- "
            lines.append(f"{lead}{key}: {write_value(value)}\n")
    return "".join(lines) or "[]\n"


def write_value(value: Any) -> str:
    """Return a value as JSON that YAML reads the same."""
    text = json.dumps(value, ensure_ascii=False)
    return _ESCAPED.sub(lambda match: f"\\u{ord(match.group()):04x}", text)
