# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Watches: complete, current, and back after every kind of failure."""

from __future__ import annotations

import pytest
from conftest import PREFIX, TIERS, Platform, wait_for, wait_for_revision
from maas_api.objects import ServiceAccount
from maas_api.watch import Watch

pytestmark = pytest.mark.anyio

FREE = PREFIX + "free"
LABELS = {"labels": {"maas.platform/account": "true"}}


@pytest.fixture
def watch(platform: Platform) -> Watch[ServiceAccount]:
    found = platform.application.view.accounts.watches[FREE]
    assert found is not None
    return found


async def add(platform: Platform, name: str, text: str = "") -> None:
    metadata = {**LABELS, "annotations": {"maas.platform/user": f"{name}{text}"}}
    await platform.kubernetes.put("serviceaccounts", FREE, name, metadata=metadata)


async def test_lists_have_pages(cold: Platform) -> None:
    for number in range(7):
        await add(cold, f"user-{number}")
    await cold.write_catalog()
    view = cold.application.view
    await wait_for(lambda: view.catalogs.current and not view.missing())
    watch = view.accounts.watches[FREE]
    assert watch is not None
    assert len(watch.items) == 7


async def test_changes_arrive(platform: Platform, watch: Watch[ServiceAccount]) -> None:
    await add(platform, "a")
    await wait_for(lambda: "a" in watch.items)
    await platform.kubernetes.remove("serviceaccounts", FREE, "a")
    await wait_for(lambda: "a" not in watch.items)


async def test_text_does_not_end_lines(platform: Platform, watch: Watch[ServiceAccount]) -> None:
    await add(platform, "a", "\u0085\u2028\u000b")
    await wait_for(lambda: "a" in watch.items)


async def test_a_version_too_old_is_listed_anew(
    platform: Platform, watch: Watch[ServiceAccount]
) -> None:
    await add(platform, "a")
    await wait_for(lambda: "a" in watch.items)
    await platform.kubernetes.deliver(False)
    await platform.kubernetes.remove("serviceaccounts", FREE, "a")
    await add(platform, "b")
    platform.kubernetes.events.clear()
    await platform.kubernetes.emit_error("serviceaccounts", FREE, 410)
    platform.transport.cut()
    platform.transport.mend()
    await platform.kubernetes.deliver(True)
    await wait_for(lambda: watch.is_synced and set(watch.items) == {"b"}, 10)


async def test_an_error_event_is_survived(platform: Platform, watch: Watch[ServiceAccount]) -> None:
    await platform.kubernetes.emit_error("serviceaccounts", FREE, 500)
    await wait_for(lambda: not watch.is_synced)
    await wait_for(lambda: watch.is_synced, 10)
    await add(platform, "a")
    await wait_for(lambda: "a" in watch.items)


async def test_nonsense_is_survived(platform: Platform, watch: Watch[ServiceAccount]) -> None:
    await platform.kubernetes.put("serviceaccounts", FREE, "x", metadata=LABELS)
    await wait_for(lambda: "x" in watch.items)
    bad = {"metadata": {**LABELS, "name": ["no text"]}}
    event = {"type": "ADDED", "object": bad}
    async with platform.kubernetes._changed:
        platform.kubernetes.events.append((10**6, "serviceaccounts", FREE, event))
        platform.kubernetes._changed.notify_all()
    await wait_for(lambda: not watch.is_synced)
    assert watch.failure.startswith("unreadable")


async def test_a_broken_connection_resumes_where_it_was(
    platform: Platform, watch: Watch[ServiceAccount]
) -> None:
    await add(platform, "a")
    await wait_for(lambda: "a" in watch.items)
    platform.kubernetes.calls.clear()
    platform.transport.cut()
    await wait_for(lambda: not watch.is_synced)
    gauge = "maas_api_watch_synced"
    labels = {"resource": "serviceaccounts", "namespace": FREE}
    assert platform.metric(gauge, **labels) == 0
    await add(platform, "b")
    platform.transport.mend()
    await wait_for(lambda: watch.is_synced and "b" in watch.items, 10)
    assert platform.metric(gauge, **labels) == 1
    path = f"/api/v1/namespaces/{FREE}/serviceaccounts"
    assert ("WATCH", path) in platform.kubernetes.calls
    assert ("GET", path) not in platform.kubernetes.calls


async def test_a_failure_is_logged_once(cold: Platform) -> None:
    cold.kubernetes.fail("*", "/configmaps", 403)
    await wait_for(lambda: len(cold.kubernetes.calls) >= 3, 10)
    failures = [line for line in cold.log_lines() if line["event"] == "watch failed"]
    assert len([line for line in failures if "403" in line["reason"]]) == 1
    assert "403" in (await cold.client.get("/ready")).json()["message"]


async def test_only_what_is_needed_is_watched(platform: Platform) -> None:
    assert {path for method, path in platform.kubernetes.calls if method in {"GET", "WATCH"}} == {
        "/api/v1/namespaces/maas-api/configmaps",
        f"/api/v1/namespaces/{PREFIX}free/serviceaccounts",
        f"/api/v1/namespaces/{PREFIX}premium/serviceaccounts",
        "/apis/serving.kserve.io/v1alpha2/namespaces/llm/llminferenceservices",
    }


async def test_an_unreadable_token_file_is_survived(
    platform: Platform, watch: Watch[ServiceAccount], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_request: object) -> None:
        raise FileNotFoundError("token")

    with monkeypatch.context() as patch:
        patch.setattr(platform.transport, "handle_async_request", fail)
        platform.transport.cut()
        await wait_for(lambda: "FileNotFoundError" in watch.failure, 10)
    platform.transport.mend()
    await wait_for(lambda: watch.is_synced, 10)
    assert (await platform.client.get("/health")).status_code == 200


async def test_the_metrics_say_how_old_what_is_known_may_be(
    platform: Platform, watch: Watch[ServiceAccount]
) -> None:
    labels = {"resource": "serviceaccounts", "namespace": FREE}
    watch._heard_at -= 100
    age = platform.metric("maas_api_watch_age_seconds", **labels)
    assert age is not None
    assert age >= 100
    await add(platform, "a")
    await wait_for(lambda: "a" in watch.items)
    age = platform.metric("maas_api_watch_age_seconds", **labels)
    assert age is not None
    assert age < 50


async def test_a_namespace_that_is_gone_is_gone_from_the_metrics(platform: Platform) -> None:
    labels = {"resource": "serviceaccounts", "namespace": PREFIX + "premium"}
    assert platform.metric("maas_api_watch_synced", **labels) == 1
    await platform.write_catalog(TIERS[:1], revision="r2")
    await wait_for_revision(platform, "r2")
    for name in ("maas_api_watch_synced", "maas_api_watch_age_seconds"):
        assert platform.metric(name, **labels) is None


async def test_a_mistake_of_ours_ends_no_watch(platform: Platform) -> None:
    watch = platform.application.view.accounts.watches[FREE]
    assert watch is not None
    real = watch._on_change

    def break_down(*_: object) -> None:
        watch._on_change = real
        raise ValueError("a mistake")

    watch._on_change = break_down
    await add(platform, "a")
    await wait_for(lambda: "a mistake" in watch.failure)
    await add(platform, "b")
    await wait_for(lambda: watch.is_synced and watch.items.keys() == {"a", "b"}, 10)
    assert (await platform.client.get("/health")).status_code == 200
