# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Names that the cluster, the gateway and the service agree on. Pure."""

from __future__ import annotations

GATEWAY_NAME = "maas-default-gateway"
HTTPS_LISTENER = "https"
GATEWAY_NAMESPACE = "maas-gateway"
ROUTE_NAME = "maas-inference"
API_NAMESPACE = "maas-api"
API_SERVICE = "maas-api"
API_PORT = 8080
MODEL_NAMESPACE = "llm"

CATALOG_NAME = "tier-to-group-mapping"
CATALOG_KEY = "tiers"

AUTH_POLICY = "gateway-auth-policy"
REQUEST_POLICY = "gateway-rate-limits"
TOKEN_POLICY = "gateway-token-rate-limits"  # noqa: S105 - an object's name, no secret

TIER_NAMESPACE_PREFIX = f"{GATEWAY_NAME}-tier-"
TOKEN_AUDIENCE = f"{GATEWAY_NAME}-sa"

FIELD_MANAGER = "maas.platform"
MANAGED_LABELS = {
    "app.kubernetes.io/managed-by": FIELD_MANAGER,
    "app.kubernetes.io/part-of": "maas",
}
#: On namespaces whose models may be called through the gateway.
MODELS_LABEL = "maas.platform/models"
#: On what a tier owns; its value is the tier's name.
TIER_LABEL = "maas.platform/tier"
#: On everything the role tiers made, so that what nobody renders any more can be found.
PART_LABEL = "maas.platform/part"
ACCOUNT_LABEL = "maas.platform/account"
USER_ANNOTATION = "maas.platform/user"
REVISION_ANNOTATION = "maas.platform/revision"

SERVING_GROUP = "serving.kserve.io"
SERVING_RESOURCE = "llminferenceservices"
SERVING_VERB = "post"

#: What the gateway says of itself when it refuses; probes read which revision is in force.
REVISION_HEADER = "x-maas-revision"
#: Set on requests that passed the checks, taken from all others: the models' routes ask for it.
PASSED_HEADER = "x-maas-tier"
#: How long the gateway believes an answer about a tier; revoking somebody waits this long.
TIER_CACHE_SECONDS = 5
