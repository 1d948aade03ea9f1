# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Calls to a model, of a known size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from accounts import User
from wire import Answer, Wire


class Chat:
    """Chat completions through the public Gateway."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def __call__(
        self,
        token: str | User | None,
        model: str,
        *,
        path: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
        tokens: int = 1,
        stream: bool = False,
    ) -> Answer:
        """Ask for a completion of exactly `tokens` tokens from a model written namespace/name."""
        body: dict[str, Any] = {
            "model": model.split("/")[-1],
            "messages": [{"role": "user", "content": "Hi"}],
            "max_tokens": tokens,
            # llama.cpp's own switch: go on to max_tokens, so that a test knows what it spends.
            "ignore_eos": True,
        }
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return self._wire.request(
            "POST",
            path or completions_path(model),
            token=token.token if isinstance(token, User) else token,
            headers=headers,
            body=body,
        )

    def touch(self, user: User, model: str) -> int:
        """Make the cheapest request that counts, which costs no token; return its status."""
        return self._wire.request("GET", f"/{model}/v1/models", token=user.token).status

    def spend(self, user: User, model: str, budget: int, *, stream: bool = False) -> int:
        """Spend a token budget in one completion; return how many tokens the answer reports."""
        answer = self(user, model, tokens=budget, stream=stream)
        assert answer.status == 200, answer
        return usage(answer.events() if stream else [answer.json()])


def completions_path(model: str) -> str:
    """Return the public path of a model's chat completions."""
    return f"/{model}/v1/chat/completions"


def usage(parts: list[Any]) -> int:
    """Return total_tokens of an answer, streamed or not."""
    return [int(part["usage"]["total_tokens"]) for part in parts if part.get("usage")][-1]
