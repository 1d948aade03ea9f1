# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What the service counts. One registry an application, so that tests share none."""

from __future__ import annotations

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

#: From a lookup's fraction of a millisecond to a revocation's six seconds.
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 7.5, 10)


class Metrics:
    """Every metric, by the name the code gives it."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "maas_api_requests",
            "Requests answered.",
            ("route", "method", "status"),
            registry=registry,
        )
        self.durations = Histogram(
            "maas_api_request_duration_seconds",
            "Time to answer a request.",
            ("route",),
            buckets=_BUCKETS,
            registry=registry,
        )
        self.lookups = Counter(
            "maas_api_tier_lookups",
            "Tier lookups: found, no_tier, dead_account, refused, malformed or unavailable.",
            ("result",),
            registry=registry,
        )
        self.account_reads = Counter(
            "maas_api_account_reads",
            "Lookups that asked the API server, because the watch did not show the account.",
            registry=registry,
        )
        self.minted = Counter(
            "maas_api_tokens_minted", "Tokens made.", ("tier",), registry=registry
        )
        self.revoked = Counter(
            "maas_api_accounts_revoked",
            "Accounts deleted, and all their tokens with them.",
            ("tier",),
            registry=registry,
        )
        self.reviews = Counter(
            "maas_api_token_reviews",
            "Tokens for the API server to judge: good, refused, remembered as refused, not_asked "
            "because too many of that address were no good or too many waited.",
            ("result",),
            registry=registry,
        )
        self.oidc_fetches = Counter(
            "maas_api_oidc_fetches",
            "Questions to the identity provider: its metadata or its keys; done or failed.",
            ("what", "result"),
            registry=registry,
        )
        self.catalog_valid = Gauge(
            "maas_api_catalog_valid",
            "1 while the tier catalog in use is the ConfigMap's, 0 while it is an older one.",
            registry=registry,
        )
        self.catalogs_refused = Counter(
            "maas_api_catalogs_refused",
            "Tier catalogs that could not be read; the one before stayed in use.",
            registry=registry,
        )
        self.watch_synced = Gauge(
            "maas_api_watch_synced",
            "1 while a watch is open and complete.",
            ("resource", "namespace"),
            registry=registry,
        )
        self.watch_age = Gauge(
            "maas_api_watch_age_seconds",
            "How long ago a watch was last heard of; about a minute where nothing changes.",
            ("resource", "namespace"),
            registry=registry,
        )
        self.watch_restarts = Counter(
            "maas_api_watch_failures",
            "Watches that ended with an error.",
            ("resource",),
            registry=registry,
        )
        self.kubernetes_calls = Counter(
            "maas_api_kubernetes_calls",
            "Calls to the API server; status 0 had no answer.",
            ("method", "status"),
            registry=registry,
        )

    def render(self) -> bytes:
        """Return all metrics as Prometheus reads them."""
        return generate_latest(self.registry)
