# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""An identity provider and a Limitador of our own, in the test's process."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ISSUER = "https://login.example.test/dex"
CLIENT_ID = "maas-web"
LIMITADOR = "http://limitador.test:8080"
PROMETHEUS = "http://prometheus.test:9090"
USER_ID = 'descriptors[0]["auth.identity.userid"]'

#: Making one takes a second, so all tests share them.
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()

_ALGORITHMS = {
    "RS": jwt.algorithms.RSAAlgorithm,
    "PS": jwt.algorithms.RSAAlgorithm,
    "ES": jwt.algorithms.ECAlgorithm,
    "Ed": jwt.algorithms.OKPAlgorithm,
}


def public(key: Any, kid: str | None, algorithm: str = "RS256", **extra: str) -> dict[str, Any]:
    """Return a key as a provider publishes it."""
    written = _ALGORITHMS[algorithm[:2]].to_jwk(key.public_key())
    known = {"kid": kid} if kid else {}
    return {**json.loads(written), "use": "sig", **known, **extra}


class FakeProvider:
    """Answers with its metadata and keys, and makes tokens."""

    def __init__(self) -> None:
        self.keys = [public(RSA_KEY, "one")]
        self.metadata: dict[str, Any] = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/auth",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys",
        }
        self.is_up = True
        self.calls: list[str] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.calls.append(str(request.url))
        if not self.is_up:
            raise httpx.ConnectError("no route to host", request=request)
        if request.url.path.endswith("/.well-known/openid-configuration"):
            return httpx.Response(200, json=self.metadata)
        if request.url.path.endswith("/keys"):
            return httpx.Response(200, json={"keys": self.keys})
        return httpx.Response(404)

    def token(
        self,
        *groups: str,
        key: Any = RSA_KEY,
        kid: str | None = "one",
        algorithm: str = "RS256",
        drop: tuple[str, ...] = (),
        **claims: Any,
    ) -> str:
        """Return an ID token."""
        now = int(time.time())
        body = {
            "iss": ISSUER,
            "aud": CLIENT_ID,
            "sub": "alice",
            "iat": now,
            "exp": now + 600,
            "groups": list(groups),
            **claims,
        }
        for name in drop:
            del body[name]
        headers = {"kid": kid} if kid else {}
        return jwt.encode(body, key, algorithm=algorithm, headers=headers)


@dataclass
class FakeLimitador:
    """Answers with counters."""

    counters: list[dict[str, Any]] = field(default_factory=list)
    is_up: bool = True
    calls: list[str] = field(default_factory=list)

    def count(
        self,
        user: str,
        name: str,
        used: int,
        *,
        limit: int = 5,
        seconds: int = 120,
        kind: str = "limit",
        expires: int = 90,
    ) -> None:
        """Add a counter, in the form that Limitador tells it."""
        self.counters.append(
            {
                "expires_in_seconds": expires,
                "limit": {
                    "conditions": [f'descriptors[0]["{kind}.{name}__e8e187b1"] == "1"'],
                    "id": None,
                    "max_value": limit,
                    "name": name,
                    "namespace": "maas-gateway/maas-inference",
                    "seconds": seconds,
                    "variables": [USER_ID],
                },
                "remaining": limit - used,
                "set_variables": {USER_ID: user},
            }
        )

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.calls.append(request.url.raw_path.decode())
        if not self.is_up:
            raise httpx.ConnectError("no route to host", request=request)
        return httpx.Response(200, json=self.counters)


class Others(httpx.MockTransport):
    """Sends each request to whom it is for."""

    def __init__(self, provider: FakeProvider, limitador: FakeLimitador) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            if request.url.host == "limitador.test":
                return limitador.answer(request)
            return provider.answer(request)

        super().__init__(answer)
