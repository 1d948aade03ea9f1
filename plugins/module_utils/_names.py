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
#: Namespaces of tiers that were renamed or removed, while tokens made there still count.
CATALOG_FORMER_KEY = "former"
#: What is special about single users.
CATALOG_OVERRIDES_KEY = "overrides"

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
#: In every tier's namespace: nothing may run there.
TIER_QUOTA = "maas-tier"
#: On everything the role tiers made, so that what nobody renders any more can be found.
PART_LABEL = "maas.platform/part"
ACCOUNT_LABEL = "maas.platform/account"
USER_ANNOTATION = "maas.platform/user"
#: When the MaaS API last made a token for an account.
LAST_TOKEN_ANNOTATION = "maas.platform/last-token-at"  # noqa: S105 - an annotation, no secret
#: On an account: when the last of its tokens is dead.
TOKENS_EXPIRE_ANNOTATION = "maas.platform/tokens-expire-at"
REVISION_ANNOTATION = "maas.platform/revision"
#: On the namespace of a renamed or removed tier: when its accounts' rights end.
UNTIL_ANNOTATION = "maas.platform/until"
#: On every tier's namespace: how long a token made there may live.
MAX_TTL_ANNOTATION = "maas.platform/max-ttl-seconds"
#: On a namespace whose tier's max_ttl was lowered: how long older tokens may still live.
OLDER_TOKENS_ANNOTATION = "maas.platform/older-tokens-until"

SERVING_GROUP = "serving.kserve.io"
SERVING_RESOURCE = "llminferenceservices"
SERVING_VERB = "post"

#: What the gateway says of itself when it refuses; probes read which revision is in force.
REVISION_HEADER = "x-maas-revision"
#: Set on requests that passed the checks, taken from all others: the models' routes ask for it.
PASSED_HEADER = "x-maas-tier"
#: Beside it, for whom usage is counted: the account's name, the same in every tier.
ACCOUNT_HEADER = "x-maas-account"
#: Names an InferenceObjective to an endpoint picker of Gateway API's inference extension.
OBJECTIVE_HEADER = "x-gateway-inference-objective"
#: In the body of the tier lookup: the revision of the policy that asks.
LOOKUP_REVISION_PARAM = "revision"
#: How long the gateway believes an answer about a tier; revoking somebody waits this long.
TIER_CACHE_SECONDS = 5

#: On everything that belongs to a model; its value is the model's name.
MODEL_LABEL = "maas.platform/model"
#: Beside it, on what belongs to its canary.
CANARY_LABEL = "maas.platform/canary"
#: On a retired model: when that was announced. UNTIL_ANNOTATION says until when it answers.
RETIRED_ANNOTATION = "maas.platform/retired-at"
#: Routes lead here from the public Gateway, and on to the models.
INTERNAL_GATEWAY = "maas-internal"
#: In every models' namespace: who may connect to servers.
MODELS_POLICY = "maas-models"
