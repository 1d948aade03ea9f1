# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Rendering the AuthPolicies of the public Gateway. Pure.

The request is refused unless every step says yes. Authorino treats a failing metadata source
as no metadata, and an authorization rule whose condition does not hold as granted: so no rule
here has a condition, and the tier that was looked up must be there and be the right one.
Values are taken by selectors where they can be; the one CEL expression is there because only
an expression that fails turns a verified identity into no identity (401).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ._manifests import Manifest, manifest
from ._names import (
    ACCOUNT_HEADER,
    API_PORT,
    API_SERVICE,
    AUTH_POLICY,
    GATEWAY_NAME,
    HTTPS_LISTENER,
    LOOKUP_REVISION_PARAM,
    OBJECTIVE_HEADER,
    PASSED_HEADER,
    REVISION_ANNOTATION,
    REVISION_HEADER,
    SERVING_GROUP,
    SERVING_RESOURCE,
    SERVING_VERB,
    TIER_CACHE_SECONDS,
    TOKEN_AUDIENCE,
)
from ._tier import Tier

_API = "kuadrant.io/v1"

# The API server is asked again after this long, also about tokens that have expired since.
_TOKEN_CACHE_SECONDS = 30
_ACCESS_CACHE_SECONDS = 60

_USER = "auth.identity.user.username"
_TIER = "auth.identity.tier"
# Of system:serviceaccount:<namespace>:<account>.
_ACCOUNT = f'{_USER}.@extract:{{"sep":":","pos":3}}'
_MODEL_NAMESPACE, _MODEL = (
    f'request.url_path.@extract:{{"sep":"/","pos":{position}}}' for position in (1, 2)
)
_NAME = "[a-z0-9][-a-z0-9]*"
# Namespace, model, then segments without escapes and without dots in front: what the rules
# below read from the path is then what every later hop reads from it.
_SEGMENT = r"/[A-Za-z0-9_~!$&'()*+,;=:@-][A-Za-z0-9._~!$&'()*+,;=:@-]*"
_PATH = rf"^/{_NAME}/{_NAME}({_SEGMENT})*/?([?].*)?$"


def render_auth_policy(
    tiers: Sequence[Tier],
    owners: Mapping[str, str],
    gateway_namespace: str,
    api_namespace: str,
    revision: str,
) -> Manifest:
    """Render the policy of the HTTPS listener: routes without one of their own get it too.

    owners maps every namespace whose accounts are somebody to the tier whose rights they have.

    Kuadrant's filter runs on both listeners: its rules know host and path, not the listener. So
    the HTTP listener asks Authorino, too, and redirects only what passed.
    """
    return manifest(
        _API,
        "AuthPolicy",
        AUTH_POLICY,
        gateway_namespace,
        part="policies",
        annotations={REVISION_ANNOTATION: revision},
        spec={
            "targetRef": {
                "group": "gateway.networking.k8s.io",
                "kind": "Gateway",
                "name": GATEWAY_NAME,
                "sectionName": HTTPS_LISTENER,
            },
            "rules": {
                "authentication": {"tier-token": _authentication(owners, revision)},
                "metadata": {"tier": _lookup(api_namespace, revision)},
                "authorization": {
                    "known-tier": _known_tier(tiers),
                    "model-access": _model_access(revision),
                },
                "response": _response(tiers, revision),
            },
        },
    )


def _authentication(owners: Mapping[str, str], revision: str) -> dict[str, Any]:
    tiers = {f"system:serviceaccount:{space}": tier for space, tier in owners.items()}
    account = f'{_USER}.substring(0, {_USER}.lastIndexOf(":"))'
    return {
        "kubernetesTokenReview": {"audiences": [TOKEN_AUDIENCE]},
        "cache": _cache(revision, "{request.headers.authorization}", _TOKEN_CACHE_SECONDS),
        # Any pod can get a token for this audience. Only accounts in the tiers' namespaces are
        # somebody: for others the map has no entry, the expression fails, the answer is 401.
        "overrides": {"tier": {"expression": f"{json.dumps(tiers, sort_keys=True)}[{account}]"}},
    }


def _lookup(api_namespace: str, revision: str) -> dict[str, Any]:
    asked: dict[str, Any] = {
        key: {"selector": f"auth.identity.user.{key}"} for key in ("groups", "username", "uid")
    }
    # While a change spreads, policy and answer are to be of the same catalog.
    asked[LOOKUP_REVISION_PARAM] = {"value": revision}
    return {
        "http": {
            "url": f"http://{API_SERVICE}.{api_namespace}.svc.cluster.local:{API_PORT}"
            "/v1/tiers/lookup",
            "method": "POST",
            "contentType": "application/json",
            "bodyParameters": asked,
        },
        "cache": _cache(revision, f"{{{_USER}}}:{{auth.identity.user.uid}}", TIER_CACHE_SECONDS),
    }


def _known_tier(tiers: Sequence[Tier]) -> dict[str, Any]:
    def same(tier: str) -> list[dict[str, str]]:
        where = ("auth.metadata.tier.tier", _TIER)
        return [{"selector": path, "operator": "eq", "value": tier} for path in where]

    # A disabled tier's accounts are somebody who may do nothing: 403, not 401. An empty list of
    # choices would be no condition at all, so there is always one; no tier is called "-".
    enabled = [tier.name for tier in tiers if tier.enabled] or ["-"]
    return {
        "patternMatching": {
            "patterns": [
                {"selector": "request.path", "operator": "matches", "value": _PATH},
                {"any": [{"all": same(tier)} for tier in enabled]},
            ]
        }
    }


def _model_access(revision: str) -> dict[str, Any]:
    return {
        # After known-tier: who is nobody's business costs no review.
        "priority": 1,
        "kubernetesSubjectAccessReview": {
            "user": {"selector": _USER},
            "authorizationGroups": {"selector": "auth.identity.user.groups"},
            "resourceAttributes": {
                "verb": {"value": SERVING_VERB},
                "group": {"value": SERVING_GROUP},
                "resource": {"value": SERVING_RESOURCE},
                "namespace": {"selector": _MODEL_NAMESPACE},
                "name": {"selector": _MODEL},
            },
        },
        "cache": _cache(
            revision, f"{{{_USER}}}|{{{_MODEL_NAMESPACE}}}/{{{_MODEL}}}", _ACCESS_CACHE_SECONDS
        ),
    }


def _response(tiers: Sequence[Tier], revision: str) -> dict[str, Any]:
    return {
        "success": {
            "headers": {
                # The routes behind the internal Gateway want it, and clients' own are taken
                # off before: a request that no filter has seen gets no further.
                PASSED_HEADER: {"plain": {"selector": _TIER}},
                ACCOUNT_HEADER: {"plain": {"selector": _ACCOUNT}},
                **_objective(tiers),
            },
            "filters": {
                "identity": {
                    "json": {
                        "properties": {
                            # Namespace and name: two tiers may hold accounts of one name.
                            "userid": {"selector": _USER},
                            # The same in whatever tier: what is special about a user.
                            "account": {"selector": _ACCOUNT},
                            "tier": {"selector": _TIER},
                        }
                    }
                }
            },
        },
        "unauthenticated": _refuse(
            401,
            "No valid token: send one as 'Authorization: Bearer …'; POST /maas-api/v1/tokens "
            "makes one.",
            "authentication_error",
            "invalid_api_key",
            revision,
            {"www-authenticate": {"value": 'Bearer realm="maas"'}},
        ),
        # One text for every reason: nobody learns which models or tiers there are.
        "unauthorized": _refuse(
            403,
            "This token does not allow this.",
            "permission_error",
            "access_denied",
            revision,
            {},
        ),
    }


def _objective(tiers: Sequence[Tier]) -> dict[str, Any]:
    """Name the InferenceObjective of every request, as soon as one tier has a priority.

    Tiers without one get the header, too: a name that no object has counts as 0, and ours takes
    the place of what a client wrote to be served first.
    """
    if all(tier.priority == 0 for tier in tiers):
        return {}
    return {OBJECTIVE_HEADER: {"plain": {"selector": f"{{{_MODEL}}}.{{{_TIER}}}"}}}


def _refuse(
    status: int, text: str, kind: str, code: str, revision: str, headers: dict[str, Any]
) -> dict[str, Any]:
    # The shape of OpenAI's errors, which the callers' clients know how to show.
    body = {"error": {"message": text, "type": kind, "param": None, "code": code}}
    return {
        "code": status,
        # Without a message of ours, a header would tell the caller the reason.
        "message": {"value": kind},
        "headers": {
            "content-type": {"value": "application/json"},
            REVISION_HEADER: {"value": revision},
            **headers,
        },
        "body": {"value": json.dumps(body, ensure_ascii=False)},
    }


def _cache(revision: str, key: str, seconds: int) -> dict[str, Any]:
    return {"key": {"selector": f"{revision}:{key}"}, "ttl": seconds}
