# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""An OpenID Connect provider and a Limitador of our own, in the test's process."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

ISSUER = "https://login.example.test/dex"
CLIENT = "maas-web"
SECRET = "provider's: secret +%"


@dataclass
class Provider:
    """Answers what a login service does; people log in by `log_in`."""

    #: Changes to the next ID token's claims; None leaves one out.
    claims: dict[str, Any] = field(default_factory=dict)
    #: Other people's parts of the discovery document.
    metadata: dict[str, Any] = field(default_factory=dict)
    token_status: int = 200
    token_body: bytes | None = None
    is_reachable: bool = True
    #: What Limitador says.
    counters: list[dict[str, Any]] | None = field(default_factory=list)
    key: Any = field(default_factory=lambda: generate_private_key(SECP256R1()))
    #: Signs instead of `key`, but is not published.
    forged_key: Any = None
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    exchanges: list[httpx.Request] = field(default_factory=list)

    def client(self) -> httpx.AsyncClient:
        """Return a connection to it."""
        return httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    def log_in(self, address: str, user: str, *groups: str) -> str:
        """Log somebody in at the address we sent the browser to; return where it goes then."""
        query = {key: values[0] for key, values in parse_qs(urlsplit(address).query).items()}
        assert address.startswith(f"{ISSUER}/auth?")
        code = secrets.token_urlsafe(16)
        self.codes[code] = {**query, "user": user, "groups": list(groups)}
        back = urlencode({"code": code, "state": query["state"]})
        return f"{query['redirect_uri']}?{back}"

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/counters/"):
            if self.counters is None:
                raise httpx.ConnectError("no route to host", request=request)
            return httpx.Response(200, json=self.counters)
        if not self.is_reachable:
            raise httpx.ConnectError("no route to host", request=request)
        answers = {
            "/dex/.well-known/openid-configuration": self._discovery,
            "/dex/keys": self._keys,
            "/dex/token": self._token,
        }
        return answers[request.url.path](request)

    def _discovery(self, _request: httpx.Request) -> httpx.Response:
        metadata = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/auth",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys",
            **self.metadata,
        }
        return httpx.Response(200, json=metadata)

    def _keys(self, _request: httpx.Request) -> httpx.Response:
        published = jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return httpx.Response(200, json={"keys": [{**published, "kid": "one", "use": "sig"}]})

    def _token(self, request: httpx.Request) -> httpx.Response:
        self.exchanges.append(request)
        form = {key: values[0] for key, values in parse_qs(request.content.decode()).items()}
        if self.token_status != 200 or self.token_body is not None:
            return httpx.Response(self.token_status, content=self.token_body or b"{}")
        login = self.codes.pop(form["code"], None)
        if login is None or not _proves(login["code_challenge"], form["code_verifier"]):
            return httpx.Response(400, json={"error": "invalid_grant"})
        token = self.id_token(login["user"], login["groups"], nonce=login["nonce"])
        return httpx.Response(200, json={"id_token": token, "access_token": "opaque"})

    def id_token(self, user: str, groups: list[str], **more: Any) -> str:
        """Return a signed ID token."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": CLIENT,
            "sub": f"subject of {user}",
            "preferred_username": user,
            "groups": groups,
            "iat": now,
            "exp": now + 24 * 3600,
            **more,
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(claims, self.forged_key or self.key, "ES256", headers={"kid": "one"})


def _proves(challenge: str, verifier: str) -> bool:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=") == challenge


def counter(
    account: str, kind: str, name: str, limit: tuple[int, int], remaining: int, resets: int = 30
) -> dict[str, Any]:
    """Return a counter as Limitador writes one."""
    prefix = "limit" if kind == "requests" else "tokenlimit"
    return {
        "limit": {
            "namespace": "maas-gateway/maas-inference",
            "max_value": limit[0],
            "seconds": limit[1],
            "name": name,
            "conditions": [f'descriptors[0]["{prefix}.{name}__1"] == "1"'],
            "variables": ['descriptors[0]["auth.identity.userid"]'],
        },
        "set_variables": {'descriptors[0]["auth.identity.userid"]': account},
        "remaining": remaining,
        "expires_in_seconds": resets,
    }


def read_cookie(value: str) -> bytes:
    """Return what anybody can read in a signed cookie."""
    body = value.split(".")[0] or value.split(".")[1]
    return base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))


def as_json(value: Any) -> bytes:
    """Return JSON."""
    return json.dumps(value).encode()
