# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Tokens that look right: real claims, changed, and signed by the cluster's own key or another."""

from __future__ import annotations

from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from hidden import Hidden
from running_lab import Lab


def resigned(lab: Lab, token: str, **changes: Any) -> str:
    """Sign a real token's claims again, changed, with the cluster's own key."""
    return _sign(token, lab.signing_key, changes)


def forged(token: str, **changes: Any) -> str:
    """Sign a real token's claims with a key of our own, under the cluster's key's name."""
    return _sign(token, generate_private_key(65537, 2048), changes)


def unsigned(token: str) -> str:
    """Return a real token's claims under algorithm none, which needs no key."""
    return Hidden(jwt.encode(_claims(token), "", algorithm="none"))


def _sign(token: str, key: Any, changes: dict[str, Any]) -> str:
    kid = jwt.get_unverified_header(token)["kid"]
    claims = _claims(token) | changes
    return Hidden(jwt.encode(claims, key, algorithm="RS256", headers={"kid": kid}))


def _claims(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))
