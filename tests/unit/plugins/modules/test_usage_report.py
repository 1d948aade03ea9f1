# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from ansible_collections.maas.platform.plugins.module_utils._accounts import account_manifest
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import Cluster
from ansible_collections.maas.platform.plugins.modules import usage_report

ALICE = account_manifest("Alice", "free")
ACCOUNT = ALICE["metadata"]["name"]
PROXY = "/api/v1/namespaces/maas-observability/services/prometheus:9090/proxy/api/v1/query"
PARAMS = {
    "period": "1h",
    "until": 10_000.0,
    "by": ["user", "tier", "model"],
    "prometheus_namespace": "maas-observability",
    "prometheus_service": "prometheus:9090",
}


def series(value, **labels):
    return {"metric": labels, "value": [0, str(value)]}


class FakePrometheus:
    """Answers three questions, and says how old its data is."""

    def __init__(self):
        self.oldest = 0
        self.asked = []
        self.refuses = None

    def __call__(self, method, path, query, _body, _content_type):
        if path == "/api/v1/serviceaccounts":
            return 200, {"metadata": {}, "items": [ALICE]}
        assert (method, path) == ("GET", PROXY)
        if self.refuses:
            return self.refuses
        asked = dict(query)
        self.asked.append(asked)
        return 200, {"status": "success", "data": {"result": self._result(asked["query"])}}

    def _result(self, promql):
        if "lowest_timestamp" in promql:
            return [series(self.oldest)]
        value = {"requests": 2, "tokens": 50, "prompt_tokens": 20}[promql.split(":")[1]]
        return [
            series(value, user=ACCOUNT, tier="free", model="llm/m"),
            series(value * 2, user="gone-12345678", tier="free", model="llm/m"),
        ]


@pytest.fixture
def prometheus():
    return FakePrometheus()


def report(prometheus, **changes):
    cluster = Cluster(prometheus, "https://fake", lambda _seconds: None)
    return usage_report.run({**PARAMS, **changes}, cluster)


def test_rows_name_the_user_and_sum_up(prometheus):
    result = report(prometheus)
    assert result["rows"] == [
        {
            "user": "gone-12345678",
            "account": "gone-12345678",
            "tier": "free",
            "model": "llm/m",
            "requests": 4,
            "tokens": 100,
            "prompt_tokens": 40,
            "completion_tokens": 60,
        },
        {
            "user": "Alice",
            "account": ACCOUNT,
            "tier": "free",
            "model": "llm/m",
            "requests": 2,
            "tokens": 50,
            "prompt_tokens": 20,
            "completion_tokens": 30,
        },
    ]
    assert result["csv"].splitlines()[2] == f"Alice,{ACCOUNT},free,llm/m,2,50,20,30"
    assert not result["changed"]


def test_the_period_ends_when_it_was_asked_to(prometheus):
    report(prometheus, by=["model", "tier"])
    assert prometheus.asked[0] == {
        "query": "sum by (tier, model) (sum_over_time(maas:requests:used[3600s]))",
        "time": "10000.000",
    }


@pytest.mark.parametrize(("oldest", "complete"), [(6_400, True), (6_401, False)])
def test_data_that_begins_later_is_not_the_whole_period(prometheus, oldest, complete):
    prometheus.oldest = oldest
    assert report(prometheus)["complete"] is complete


def test_a_prometheus_that_is_not_there_says_who_installs_it(prometheus):
    prometheus.refuses = (404, {"reason": "NotFound", "message": 'services "prometheus" not found'})
    with pytest.raises(MaasError, match="role observability installs it"):
        report(prometheus)
