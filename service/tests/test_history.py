# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Usage over time, from a Prometheus of the test's own."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from maas_api.errors import ApiError
from maas_api.history import STEPS, History
from maas_api.messages import UsageHistory

pytestmark = pytest.mark.anyio

URL = "http://prometheus.test:9090"


class FakePrometheus:
    """Answers with the series of those shown, and with the one of everybody."""

    def __init__(self) -> None:
        self.series: list[dict[str, Any]] = []
        self.whole: list[dict[str, Any]] = []
        self.asked: list[dict[str, str]] = []
        self.status = 200

    def answer(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/api/v1/query_range"
        asked = dict(request.url.params)
        self.asked.append(asked)
        result = self.series if "topk" in asked["query"] else self.whole
        body = {"status": "success", "data": {"resultType": "matrix", "result": result}}
        return httpx.Response(self.status, json=body)

    def history(self, url: str | None = URL) -> History:
        client = httpx.AsyncClient(transport=httpx.MockTransport(self.answer))
        users = {"alice-522b276a": "alice"}
        return History(url, lambda name: users.get(name, name), client)


@pytest.fixture
def prometheus() -> FakePrometheus:
    return FakePrometheus()


async def read(prometheus: FakePrometheus, *args: Any) -> UsageHistory:
    found = await prometheus.history().read(*args)
    assert found is not None
    return found


async def test_without_prometheus_there_is_none(prometheus: FakePrometheus) -> None:
    assert await prometheus.history(None).read("tier", "tokens", 24) is None


@pytest.mark.parametrize("hours", STEPS)
async def test_the_question(prometheus: FakePrometheus, hours: int) -> None:
    found = await read(prometheus, "model", "tokens", hours)
    shown, whole = prometheus.asked
    step = STEPS[hours]
    used = f"sum_over_time(maas:tokens:used[{step * 1000 - 1}ms])"
    in_all = f"sum_over_time(maas:tokens:used[{hours * 3_600_000 - 1}ms] @ end())"
    largest = f"topk(8, sum by (model) ({in_all}))"
    assert shown["query"] == f"sum by (model) ({used}) and on (model) {largest}"
    assert whole["query"] == f"sum ({used})"
    assert {**shown, "query": ""} == {**whole, "query": ""}
    asked = shown
    assert (int(asked["start"]), int(asked["step"])) == (found.begin + step, step)
    assert int(asked["end"]) - found.begin == hours * 3600
    assert found.begin + hours * 3600 - step <= time.time() <= found.begin + hours * 3600
    assert (found.begin % step, found.step_seconds, found.series) == (0, step, [])


async def test_values_stand_in_their_step_and_gaps_are_zero(prometheus: FakePrometheus) -> None:
    begin = (await read(prometheus, "user", "requests", 1)).begin
    values = [[begin + 60, "3"], [begin + 180, "NaN"], [begin + 3600, "2.004"]]
    prometheus.series = [{"metric": {"user": "alice-522b276a"}, "values": values}]
    found = await read(prometheus, "user", "requests", 1)
    if found.begin != begin:  # a minute ended meanwhile
        prometheus.series[0]["values"] = [[moment + 60, text] for moment, text in values]
        found = await read(prometheus, "user", "requests", 1)
    (series,) = found.series
    assert series.name == "alice"
    assert series.values == [3.0, *[0.0] * 58, 2.0]


async def test_small_ones_are_put_together(prometheus: FakePrometheus) -> None:
    begin = (await read(prometheus, "tier", "tokens", 720)).begin
    prometheus.series = [
        {"metric": {"tier": f"t{number}"}, "values": [[begin + 28800, str(number)]]}
        for number in range(4, 12)
    ]
    everything = [[begin + 28800, str(sum(range(12)))], [begin + 57600, "7"]]
    prometheus.whole = [{"metric": {}, "values": everything}]
    found = await read(prometheus, "tier", "tokens", 720)
    assert [series.name for series in found.series] == [
        *(f"t{number}" for number in range(11, 3, -1)),
        "others",
    ]
    assert found.series[-1].values[:3] == [0 + 1 + 2 + 3, 7, 0]


async def test_where_nobody_is_left_there_are_no_others(prometheus: FakePrometheus) -> None:
    begin = (await read(prometheus, "tier", "tokens", 720)).begin
    # A call that was counted between the two questions is nobody's debt.
    prometheus.series = [{"metric": {"tier": "free"}, "values": [[begin + 28800, "5"]]}]
    prometheus.whole = [{"metric": {}, "values": [[begin + 28800, "4"]]}]
    found = await read(prometheus, "tier", "tokens", 720)
    assert [series.name for series in found.series] == ["free"]


@pytest.mark.parametrize(
    "wish", [("pod", "tokens", 24), ("tier", "seconds", 24), ("tier", "tokens", 25)]
)
async def test_only_a_few_questions_are_asked(
    prometheus: FakePrometheus, wish: tuple[str, str, int]
) -> None:
    with pytest.raises(ApiError) as caught:
        await prometheus.history().read(*wish)
    assert caught.value.status == 400
    assert prometheus.asked == []


async def test_a_prometheus_that_fails(prometheus: FakePrometheus) -> None:
    prometheus.status = 500
    with pytest.raises(ApiError) as caught:
        await prometheus.history().read("tier", "tokens", 24)
    assert caught.value.status == 503
