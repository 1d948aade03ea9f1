# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Programs to copy that call a model. Pure; names are quoted for the language they land in."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from urllib.parse import urljoin

from ..models import Model


@dataclass(frozen=True)
class CallableModel:
    """A model, and how to call it."""

    id: str
    base_url: str
    own_url: str
    ready: bool
    curl: str
    python: str


def callable_model(model: Model, has_base_url: bool) -> CallableModel:
    """Return a model with its programs; they read the token from the environment.

    All models answer at one base URL, by the body's `model`; each has one of its own as well.
    """
    own_url = f"{model.url}/v1"
    base_url = urljoin(model.url, "/v1") if has_base_url else own_url
    return CallableModel(
        id=model.id,
        base_url=base_url,
        own_url=own_url,
        ready=model.ready,
        curl=curl(model.id, base_url),
        python=python(model.id, base_url),
    )


def curl(model: str, base_url: str) -> str:
    """Return a shell command."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello"}]})
    return (
        f"curl {shlex.quote(base_url + '/chat/completions')} \\\n"
        '  -H "Authorization: Bearer $MAAS_TOKEN" \\\n'
        "  -H 'Content-Type: application/json' \\\n"
        f"  -d {shlex.quote(body)}"
    )


def python(model: str, base_url: str) -> str:
    """Return a program that uses the openai library."""
    return (
        "import os\n"
        "\n"
        "from openai import OpenAI\n"
        "\n"
        f"client = OpenAI(base_url={base_url!r}, api_key=os.environ['MAAS_TOKEN'])\n"
        "answer = client.chat.completions.create(\n"
        f"    model={model!r},\n"
        "    messages=[{'role': 'user', 'content': 'Hello'}],\n"
        ")\n"
        "print(answer.choices[0].message.content)"
    )
