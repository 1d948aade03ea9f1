# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Models on a cluster in memory: deployed, changed, rolled back, moved on and removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.maas.platform.plugins.module_utils._model_routes import Stage
from ansible_collections.maas.platform.plugins.module_utils._serving_convergence import (
    Serving,
    ServingOutcome,
    ServingRun,
)
from ansible_collections.maas.platform.plugins.module_utils._serving_wish import Wish

from tests.unit.plugins.fake_serving import FakeServing, crashing, unpullable

START = datetime(2026, 11, 23, 8, 0, 0, tzinfo=UTC)
LABELS = {"app.kubernetes.io/managed-by": "maas.platform", "app.kubernetes.io/part-of": "maas"}


def service(name: str, image: str, model: str | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {
            "name": name,
            "namespace": "llm",
            "labels": {**LABELS, "maas.platform/model": model or name},
        },
        "spec": {
            "replicas": 1,
            **spec,
            "template": {"containers": [{"name": "main", "image": image}]},
        },
    }


def route(name: str) -> Any:
    def render(stage: Stage) -> list[dict[str, Any]]:
        how = {"canary": stage.canary, "paused": stage.paused}
        if stage.until:
            how["until"] = stage.until.isoformat()
        labels = {**LABELS, "maas.platform/model": name}
        return [
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "HTTPRoute",
                "metadata": {"name": name, "namespace": "llm", "labels": labels},
                "spec": {"stage": how},
            }
        ]

    return render


def wish(name: str, image: str = "good:1", canary: str = "", **options: Any) -> Wish:
    services = [service(name, image)]
    if canary:
        services.append(service(f"{name}-canary", canary, name))
    options.setdefault("state", "present")
    options.setdefault("ready_seconds", 60)
    return Wish("llm", name, services=services, route=route(name), **options)


class Models:
    """A cluster that is converged again and again."""

    def __init__(self) -> None:
        self.api = FakeServing()
        self.time = START

    def run(
        self,
        *wishes: Wish,
        shared: Sequence[dict[str, Any]] = (),
        dry_run: bool = False,
        wait_seconds: float = 20,
    ) -> ServingOutcome:
        self.api.order.clear()
        self.api.log.clear()
        how = ServingRun(dry_run=dry_run, wait_seconds=wait_seconds)
        return Serving(self.api.cluster(), how, lambda: self.time).converge([shared], list(wishes))

    def image(self, name: str) -> str:
        return str(self.api.service(name)["spec"]["template"]["containers"][0]["image"])

    def stage(self, name: str) -> dict[str, Any]:
        return dict(self.api.route(name)["spec"]["stage"])

    def writes(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path in self.api.log if method != "GET"]


@pytest.fixture
def models() -> Models:
    return Models()


def test_new_model_gets_its_route_when_it_serves(models: Models) -> None:
    models.api.steps["good:1"] = 4
    routes: list[tuple[int, bool]] = []
    models.api.after_step = lambda step: routes.append((step, models.api.names("httproutes") != []))

    outcome = models.run(wish("gemma"))

    assert [fate.result for fate in outcome.fates] == ["serving"]
    assert not any(there for step, there in routes if step <= 4)
    assert models.stage("gemma") == {"canary": False, "paused": False}


def test_second_run_changes_nothing_and_does_not_wait(models: Models) -> None:
    models.run(wish("gemma"), wish("other"))
    slept = models.api.slept

    outcome = models.run(wish("gemma"), wish("other"))

    assert outcome.changes == []
    assert models.writes() == []
    assert models.api.slept == slept
    assert [fate.changed for fate in outcome.fates] == [False, False]


def test_what_models_share_changes_only_when_it_differs(models: Models) -> None:
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "llm", "labels": LABELS},
    }
    models.run(wish("gemma"), shared=[namespace])

    outcome = models.run(wish("gemma"), shared=[namespace])

    assert outcome.changes == []
    assert models.writes() == []


def test_dry_run_changes_and_waits_for_nothing(models: Models) -> None:
    outcome = models.run(wish("gemma"), dry_run=True)

    assert sorted(str(change.key) for change in outcome.changes) == [
        "HTTPRoute llm/gemma",
        "LLMInferenceService llm/gemma",
    ]
    assert models.api.names("llminferenceservices") == []
    assert models.api.slept == 0


def test_crashing_version_is_rolled_back_and_named(models: Models) -> None:
    models.run(wish("gemma"))
    models.api.broken["bad:1"] = crashing(3, "loading\nerror: unknown argument --foo\n")

    outcome = models.run(wish("gemma", "bad:1"))

    (fate,) = outcome.fates
    assert (fate.result, fate.rolled_back) == ("failed", True)
    assert "container main" in fate.error
    assert "error: unknown argument --foo" in fate.error
    assert "put back by itself and serves" in fate.error
    assert models.image("gemma") == "good:1"


def test_image_that_is_not_there_is_rolled_back_at_once(models: Models) -> None:
    models.run(wish("gemma"))
    models.api.broken["gone:1"] = unpullable("manifest unknown: not found")
    slept = models.api.slept

    (fate,) = models.run(wish("gemma", "gone:1", ready_seconds=900)).fates

    assert "the image gone:1 of container main cannot be pulled" in fate.error
    assert models.api.slept - slept < 10
    assert models.image("gemma") == "good:1"


def test_registry_that_does_not_answer_gets_a_moment(models: Models) -> None:
    models.run(wish("gemma"))
    models.api.broken["slow:1"] = unpullable("i/o timeout", "ErrImagePull")
    models.api.after_step = lambda _step: (
        models.api.broken.pop("slow:1", None) if models.api.slept > 20 else None  # type: ignore[func-returns-value]
    )

    (fate,) = models.run(wish("gemma", "slow:1")).fates

    assert fate.result == "serving"
    assert models.image("gemma") == "slow:1"


def test_version_that_never_gets_ready_is_rolled_back_in_time(models: Models) -> None:
    models.run(wish("gemma"))
    models.api.steps["slow:1"] = 10_000

    (fate,) = models.run(wish("gemma", "slow:1", ready_seconds=30)).fates

    assert "not ready after 30 s" in fate.error
    assert fate.rolled_back
    assert models.image("gemma") == "good:1"


def test_bad_version_twice_then_a_good_one(models: Models) -> None:
    models.run(wish("gemma"))
    models.api.broken["bad:1"] = crashing(3, "error: no")
    first = models.run(wish("gemma", "bad:1")).fates[0]
    second = models.run(wish("gemma", "bad:1")).fates[0]

    (third,) = models.run(wish("gemma", "good:2")).fates

    assert first.error.replace(" ", "") == second.error.replace(" ", "")
    assert third.result == "serving"
    assert models.image("gemma") == "good:2"


def test_first_deployment_that_fails_stays_without_a_route(models: Models) -> None:
    models.api.broken["bad:1"] = crashing(3, "error: no such file")

    (fate,) = models.run(wish("gemma", "bad:1")).fates

    assert (fate.result, fate.rolled_back) == ("failed", False)
    assert "first version does not serve" in fate.error
    assert models.image("gemma") == "bad:1"
    assert models.api.names("httproutes") == []


def test_what_served_before_anything_was_noted_is_what_a_bad_version_goes_back_to(
    models: Models,
) -> None:
    models.run(wish("gemma"))
    annotations = models.api.service("gemma")["metadata"]["annotations"]
    del annotations["maas.platform/proven"]
    models.api.broken["bad:1"] = crashing(3, "error: no")

    (fate,) = models.run(wish("gemma", "bad:1")).fates

    assert fate.rolled_back
    assert models.image("gemma") == "good:1"


def test_run_killed_before_the_proof_converges(models: Models) -> None:
    models.run(wish("gemma"))
    models.api.steps["good:2"] = 6

    class Killed(BaseException):
        pass

    def kill(step: int) -> None:
        raise Killed

    models.api.after_step = kill
    with pytest.raises(Killed):
        models.run(wish("gemma", "good:2"))
    models.api.after_step = lambda _step: None

    (fate,) = models.run(wish("gemma", "good:2")).fates

    assert fate.result == "serving"
    assert models.run(wish("gemma", "good:2")).changes == []


def test_run_killed_in_a_bad_version_rolls_back_the_next_time(models: Models) -> None:
    models.run(wish("gemma"))
    models.api.broken["bad:1"] = crashing(1, "error: no")
    models.api.after_step = lambda _step: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        models.run(wish("gemma", "bad:1"))
    models.api.after_step = lambda _step: None
    models.api.broken["bad:1"] = crashing(3, "error: no")

    (fate,) = models.run(wish("gemma", "bad:1")).fates

    assert fate.rolled_back
    assert models.image("gemma") == "good:1"


def test_two_bad_models_do_not_keep_a_good_one_waiting(models: Models) -> None:
    models.run(wish("one"), wish("two"), wish("three"))
    models.api.broken["bad:1"] = crashing(3, "error: no")
    models.api.broken["gone:1"] = unpullable()

    outcome = models.run(wish("one", "bad:1"), wish("two", "gone:1"), wish("three", "good:2"))

    assert [fate.result for fate in outcome.fates] == ["failed", "failed", "serving"]
    assert [models.image(name) for name in ("one", "two", "three")] == [
        "good:1",
        "good:1",
        "good:2",
    ]


def test_canary_gets_its_share_only_when_it_serves(models: Models) -> None:
    models.run(wish("gemma"))
    models.api.broken["bad:1"] = crashing(3, "error: no")

    (fate,) = models.run(wish("gemma", canary="bad:1")).fates
    assert fate.result == "failed"
    assert models.stage("gemma")["canary"] is False

    (fate,) = models.run(wish("gemma", canary="good:2")).fates
    assert fate.result == "serving"
    assert models.stage("gemma")["canary"] is True


def test_canary_that_gets_worse_is_rolled_back_and_keeps_its_share(models: Models) -> None:
    models.run(wish("gemma", canary="good:2"))
    models.api.broken["bad:1"] = crashing(3, "error: no")

    (fate,) = models.run(wish("gemma", canary="bad:1")).fates

    assert fate.rolled_back
    assert models.image("gemma-canary") == "good:2"
    assert models.stage("gemma")["canary"] is True


def test_promotion_rolls_the_stable_version_then_the_route_then_the_canary_goes(
    models: Models,
) -> None:
    models.run(wish("gemma", canary="good:2"))

    (fate,) = models.run(wish("gemma", "good:2")).fates

    assert fate.result == "serving"
    assert models.api.order == [
        "PATCH llminferenceservices gemma",
        "PATCH llminferenceservices gemma",  # that it answered
        "PATCH httproutes gemma",
        "DELETE llminferenceservices gemma-canary",
    ]
    assert models.stage("gemma")["canary"] is False


def test_promotion_that_fails_keeps_the_canary(models: Models) -> None:
    models.run(wish("gemma", canary="good:2"))
    models.api.broken["bad:1"] = crashing(3, "error: no")

    (fate,) = models.run(wish("gemma", "bad:1")).fates

    assert fate.rolled_back
    assert models.stage("gemma")["canary"] is True
    assert models.api.names("llminferenceservices") == ["gemma", "gemma-canary"]


def test_pause_leads_callers_away_first_and_resume_last(models: Models) -> None:
    models.run(wish("gemma"))

    (fate,) = models.run(wish("gemma", state="paused")).fates

    assert fate.result == "paused"
    assert models.api.order == ["PATCH httproutes gemma", "PATCH llminferenceservices gemma"]
    assert models.stage("gemma")["paused"] is True
    assert models.api.names("deployments") == []
    assert models.run(wish("gemma", state="paused")).changes == []

    (fate,) = models.run(wish("gemma")).fates

    assert fate.result == "serving"
    assert models.api.order == ["PATCH llminferenceservices gemma", "PATCH httproutes gemma"]
    assert models.stage("gemma")["paused"] is False


def test_version_changed_in_a_pause_is_rolled_back_when_it_is_resumed(models: Models) -> None:
    models.run(wish("gemma"))
    models.api.broken["bad:1"] = crashing(3, "error: no")
    assert models.run(wish("gemma", "bad:1", state="paused")).fates[0].result == "paused"

    (fate,) = models.run(wish("gemma", "bad:1")).fates

    assert fate.rolled_back
    assert models.image("gemma") == "good:1"


def test_deadline_of_a_retired_model_is_decided_once(models: Models) -> None:
    models.run(wish("gemma"))
    hour = wish("gemma", state="retired", retire_seconds=3600)

    (fate,) = models.run(hour).fates
    assert (fate.result, fate.until) == ("retired", START + timedelta(hours=1))

    models.time += timedelta(minutes=30)
    outcome = models.run(replace(hour, retire_seconds=60))
    assert outcome.fates[0].until == START + timedelta(hours=1)
    assert outcome.changes == []
    assert models.stage("gemma")["until"] == "2026-11-23T09:00:00+00:00"


def test_retired_model_goes_after_its_deadline_route_first(models: Models) -> None:
    models.run(wish("gemma"))
    retired = wish("gemma", state="retired", retire_seconds=60)
    models.run(retired)
    models.time += timedelta(seconds=61)

    (fate,) = models.run(retired).fates

    assert fate.result == "removed"
    assert models.api.order == ["DELETE httproutes gemma", "DELETE llminferenceservices gemma"]
    outcome = models.run(retired)
    assert (outcome.fates, outcome.changes) == ([], [])
    assert "can be taken out of maas_models" in outcome.warnings[0]


def test_retirement_taken_back_is_forgotten(models: Models) -> None:
    models.run(wish("gemma"))
    models.run(wish("gemma", state="retired", retire_seconds=60))

    models.run(wish("gemma"))

    assert "maas.platform/until" not in models.api.service("gemma")["metadata"]["annotations"]
    assert "until" not in models.stage("gemma")


def test_model_that_is_no_longer_listed_goes_route_first(models: Models) -> None:
    models.run(wish("gemma"), wish("other"))

    outcome = models.run(wish("other"))

    assert [(fate.name, fate.result) for fate in outcome.fates] == [
        ("other", "serving"),
        ("gemma", "removed"),
    ]
    assert models.api.order == ["DELETE httproutes gemma", "DELETE llminferenceservices gemma"]


def test_model_whose_rollout_hangs_can_be_removed(models: Models) -> None:
    models.api.steps["slow:1"] = 10_000
    models.run(wish("gemma", "slow:1", ready_seconds=5))

    (fate,) = models.run().fates

    assert fate.result == "removed"
    assert models.api.names("llminferenceservices") == []


def test_manual_change_is_repaired_and_told(models: Models) -> None:
    models.run(wish("gemma"))
    path = "/apis/serving.kserve.io/v1alpha2/namespaces/llm/llminferenceservices/gemma"
    containers = [{"name": "main", "image": "mine:1"}]
    models.api.edit(path, {("spec", "template", "containers"): containers})

    outcome = models.run(wish("gemma"))

    assert models.image("gemma") == "good:1"
    assert "changed by kubectl-edit" in str(outcome.drift[0])
    assert [str(change.key) for change in outcome.changes] == ["LLMInferenceService llm/gemma"]


def test_number_of_pods_that_nobody_wrote_down_is_left_alone(models: Models) -> None:
    free = wish("gemma", keeps_replicas=True)
    del free.services[0]["spec"]["replicas"]
    models.run(free)
    path = "/apis/serving.kserve.io/v1alpha2/namespaces/llm/llminferenceservices/gemma"
    models.api.edit(path, {("spec", "replicas"): 3})

    models.run(free)

    assert models.api.service("gemma")["spec"]["replicas"] == 3


def test_webhook_that_comes_back_is_waited_for(models: Models) -> None:
    models.api.webhook_down = 5

    (fate,) = models.run(wish("gemma")).fates

    assert fate.result == "serving"


def test_webhook_that_stays_away_is_named(models: Models) -> None:
    models.api.webhook_down = 1000

    (fate,) = models.run(wish("gemma")).fates

    assert "KServe's controller" in fate.error
    assert "see its pods in namespace kserve" in fate.error


def test_controller_that_does_not_look_is_named_in_time(models: Models) -> None:
    models.api.kserve_runs = False

    (fate,) = models.run(wish("gemma", ready_seconds=10)).fates

    assert "KServe's controller has not looked at" in fate.error


def test_gateway_that_does_not_take_a_route_is_named(models: Models) -> None:
    models.api.gateway_runs = False

    (fate,) = models.run(wish("gemma"), wait_seconds=5).fates

    assert "HTTPRoute llm/gemma: no Gateway has taken it yet" in fate.error


def test_version_that_the_cluster_refuses_fails_alone(models: Models) -> None:
    path = "/apis/serving.kserve.io/v1alpha2/namespaces/llm/llminferenceservices/gemma"
    models.api.refused[path] = "spec.parallelism is immutable"

    outcome = models.run(wish("gemma"), wish("other"))

    assert [fate.result for fate in outcome.fates] == ["failed", "serving"]
    assert "spec.parallelism is immutable" in outcome.fates[0].error
