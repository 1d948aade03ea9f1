# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._model_services import (
    render_service,
    render_services,
)

from tests.unit.plugins.model_entries import model, settings

_BARE = {"prompt_check": False}


def _spec(given=None, **change):
    return render_service(model(**change), settings(**(_BARE if given is None else given)))["spec"]


def _main(given=None, **change):
    return _spec(given, **change)["template"]["containers"][0]


def test_a_model_with_its_own_image_is_rendered_whole():
    entry = {
        "uri": "hf://google/gemma-3-270m",
        "replicas": 1,
        "storage_initializer": False,
        "runtime": {
            "image": "ghcr.io/x/lab-gemma:1",
            "args": ["--alias", "$(MODEL_NAME)"],
            "resources": {"limits": {"memory": "1Gi"}},
        },
    }
    assert render_services(model(**entry), settings(**_BARE)) == [
        {
            "apiVersion": "serving.kserve.io/v1alpha2",
            "kind": "LLMInferenceService",
            "metadata": {
                "name": "m",
                "namespace": "llm",
                "labels": {
                    "app.kubernetes.io/managed-by": "maas.platform",
                    "app.kubernetes.io/part-of": "maas",
                    "maas.platform/model": "m",
                },
            },
            "spec": {
                "model": {"uri": "hf://google/gemma-3-270m", "name": "m"},
                "replicas": 1,
                "storageInitializer": {"enabled": False},
                "template": {
                    "containers": [
                        {
                            "name": "main",
                            "image": "ghcr.io/x/lab-gemma:1",
                            "env": [{"name": "MODEL_NAME", "value": "m"}],
                            "resources": {"limits": {"memory": "1Gi"}},
                            "args": ["--alias", "$(MODEL_NAME)"],
                        }
                    ]
                },
            },
        }
    ]


def test_a_server_starts_once_it_answered_a_prompt():
    main, check = _spec({})["template"]["containers"]
    assert main["startupProbe"] == {
        "httpGet": {"path": "/started", "port": 8001},
        "timeoutSeconds": 2,
    }
    assert check["name"] == "prompt-check"
    assert check["image"] == "ghcr.io/maas-platform/maas-api:0.1.0"
    assert check["command"] == ["python3", "-m", "maas_api.model_check"]
    assert check["args"] == [
        *("--model", "m", "--task", "completion"),
        *("--server", "http://127.0.0.1:8000", "--port", "8001"),
    ]
    assert check["securityContext"]["readOnlyRootFilesystem"] is True


def test_an_embedding_model_is_asked_for_an_embedding_and_told_to_make_some():
    main, check = _spec({}, task="embedding")["template"]["containers"]
    assert main["args"] == ["--alias", "$(MODEL_NAME)", "--embeddings"]
    assert check["args"][3] == "embedding"


@pytest.mark.parametrize(("timeout", "tries"), [("30m", None), ("1h", 1800), ("61m1s", 1831)])
def test_only_a_longer_time_to_get_ready_changes_the_preset_s(timeout, tries):
    assert _main({}, ready_timeout=timeout)["startupProbe"].get("failureThreshold") == tries


def test_the_engine_follows_from_gpus_and_image():
    assert _main()["image"] == "ghcr.io/ggml-org/llama.cpp:server"
    assert _main(gpus=1)["image"] == "ghcr.io/llm-d/llm-d-cuda:v0.8.0"
    own = _main(gpus=1, runtime={"image": "x:1"})
    assert own["image"] == "x:1"
    assert not {"command", "args"} & own.keys()


def test_an_engine_with_another_image_keeps_its_command():
    main = _main(runtime={"engine": "vllm", "image": "x:1", "extra_args": ["--fast"]})
    assert main["image"] == "x:1"
    assert main["command"] == ["vllm", "serve", "/mnt/models"]
    assert main["args"] == ["--port", "8000", "--fast"]


def test_an_engine_nobody_knows_is_no_rendering():
    with pytest.raises(MaasError, match="no engine sglang with an image"):
        _spec(runtime={"engine": "sglang"})


def test_gpus_are_requested_and_limited():
    main = _main(gpus=2, runtime={"resources": {"requests": {"cpu": "4"}}})
    assert main["resources"] == {
        "requests": {"cpu": "4", "nvidia.com/gpu": 2},
        "limits": {"nvidia.com/gpu": 2},
    }


def test_gpus_without_a_pool_tolerate_the_usual_taint():
    assert _spec(gpus=1)["template"]["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]
    assert "tolerations" not in _spec()["template"]


def test_a_pool_says_where_and_which_resource():
    template = _spec(gpus=1, pool="h100")["template"]
    assert template["nodeSelector"] == {"gpu": "h100"}
    assert template["tolerations"][0] == {
        "key": "gpu",
        "operator": "Equal",
        "value": "h100",
        "effect": "NoSchedule",
    }
    assert _main(gpus=1, pool="parts")["resources"]["limits"] == {"nvidia.com/mig-1g.10gb": 1}


def test_a_pool_of_claims_is_claimed_from():
    claim, service = render_services(model(gpus=2, pool="claims"), settings(**_BARE))
    assert claim["kind"] == "ResourceClaimTemplate"
    assert claim["spec"]["spec"]["devices"]["requests"] == [
        {
            "name": "gpu",
            "exactly": {
                "deviceClassName": "gpu.nvidia.com",
                "allocationMode": "ExactCount",
                "count": 2,
            },
        }
    ]
    template = service["spec"]["template"]
    assert template["resourceClaims"] == [
        {"name": "gpu", "resourceClaimTemplateName": claim["metadata"]["name"]}
    ]
    assert template["containers"][0]["resources"] == {"claims": [{"name": "gpu"}]}


def test_vllm_cuts_a_model_over_all_gpus_of_a_pod():
    assert _main(gpus=4)["args"] == ["--port", "8000", "--tensor-parallel-size", "4"]
    cut = {"tensor": 2, "data": 2}
    assert _main(parallelism=cut)["args"][2:] == [
        *("--tensor-parallel-size", "2"),
        *("--data-parallel-size", "2"),
    ]


@pytest.mark.parametrize("word", ["--tensor-parallel-size=2", "-tp"])
def test_vllm_is_not_told_twice(word):
    assert _main(gpus=4, runtime={"extra_args": [word]})["args"] == ["--port", "8000", word]


def test_other_engines_are_told_by_their_entry():
    assert _main(gpus=4, runtime={"image": "x:1", "args": ["-a"]})["args"] == ["-a"]


def test_a_pipeline_over_nodes_is_a_group_of_pods():
    cut = {"parallelism": {"tensor": 8, "pipeline": 2}, "nodes": 2}
    policy, service = render_services(model(**cut), settings(**_BARE))
    assert (policy["kind"], policy["metadata"]["name"]) == ("NetworkPolicy", "m-nodes")
    spec = service["spec"]
    assert spec["parallelism"] == {"tensor": 8, "pipeline": 2}
    (main,) = spec["template"]["containers"]
    (other,) = spec["worker"]["containers"]
    sizes = ["--tensor-parallel-size", "8", "--pipeline-parallel-size", "2"]
    nodes = ["--nnodes", "2", "--master-addr", "$(LWS_LEADER_ADDRESS)", "--node-rank"]
    assert main["args"] == ["--port", "8000", *sizes, *nodes, "0"]
    assert other["args"] == [
        *("--port", "8000", *sizes, *nodes),
        *("$(LWS_WORKER_INDEX)", "--headless"),
    ]
    assert main["resources"] == other["resources"]
    assert "startupProbe" not in other


def test_ranks_over_nodes_are_numbered():
    cut = {"parallelism": {"data": 16}, "nodes": 2}
    spec = _spec(**cut)
    assert spec["parallelism"] == {"tensor": 1, "data": 16, "dataLocal": 8}
    (main,) = spec["template"]["containers"]
    (other,) = spec["worker"]["containers"]
    assert main["resources"]["limits"] == {"nvidia.com/gpu": 8}
    assert main["args"][-6:-2] == [
        *("--data-parallel-size-local", "8", "--data-parallel-address", "$(POD_IP)")
    ]
    assert other["command"] == [
        *("sh", "-c"),
        'exec "$@" --data-parallel-start-rank "$((LWS_WORKER_INDEX * 8))"',
        *("sh", "vllm", "serve", "/mnt/models"),
    ]
    assert other["args"][-1] == "--headless"


def test_what_kserve_would_run_as_a_template_stays_text():
    runtime = {
        "image": "x:1",
        "args": ["--chat-template={{ messages }}"],
        "env": {"A": "{{x}}"},
    }
    main = _main(runtime=runtime)
    assert main["args"] == ["--chat-template={{`{{`}} messages }}"]
    assert main["env"][1] == {"name": "A", "value": "{{`{{`}}x}}"}


def test_images_come_from_the_mirror():
    given = {**_BARE, "image_mirror": "mirror.example.com/all"}
    main = _main(given, runtime={"image": "ghcr.io/x/y:1"})
    assert main["image"] == "mirror.example.com/all/x/y:1"
    main = _main(given, runtime={"image": "library/y:1"})
    assert main["image"] == "mirror.example.com/all/library/y:1"


@pytest.mark.parametrize(
    ("change", "annotations"),
    [
        ({}, {"serving.kserve.io/storageSecretName": "download"}),
        ({"uri": "s3://b/k"}, {"serving.kserve.io/storageSecretName": "download"}),
        ({"uri": "pvc://c/d"}, None),
        ({"storage_initializer": False}, None),
    ],
)
def test_a_download_has_its_secret(change, annotations):
    service = render_service(model(storage={"secret": "download"}, **change), settings(**_BARE))
    assert service["metadata"].get("annotations") == annotations


def test_pods_are_spread_and_ranked():
    template = _spec(spread="zone", priority_class="high")["template"]
    assert template["priorityClassName"] == "high"
    (spread,) = template["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == (
        "topology.kubernetes.io/zone",
        "ScheduleAnyway",
    )
    assert spread["labelSelector"]["matchLabels"]["app.kubernetes.io/name"] == "m"


def test_a_canary_is_a_service_of_its_own_with_the_model_s_name_inside():
    entry = {"replicas": 2, "canary": {"weight": 10, "uri": "hf://x/new"}}
    stable, canary = render_services(model(**entry), settings())
    assert canary["metadata"]["name"] == "m-canary"
    assert canary["metadata"]["labels"]["maas.platform/model"] == "m"
    assert canary["metadata"]["labels"]["maas.platform/canary"] == "true"
    assert "maas.platform/canary" not in stable["metadata"]["labels"]
    assert canary["spec"]["model"] == {"uri": "hf://x/new", "name": "m"}
    assert "--model" in canary["spec"]["template"]["containers"][1]["args"]
    assert canary["spec"]["replicas"] == 1


def test_a_paused_model_is_rendered_as_it_was():
    assert render_services(model(state="paused"), settings()) == render_services(
        model(), settings()
    )


def test_spec_is_merged_and_containers_by_name():
    extra = {
        "model": {"criticality": "x"},
        "template": {
            "serviceAccountName": "sa",
            "containers": [
                {"name": "main", "tty": True, "env": [{"name": "A", "value": "b"}]},
                {"name": "sidecar", "image": "s:1"},
            ],
        },
    }
    spec = _spec({}, spec=extra)
    assert spec["model"]["name"] == "m"
    assert spec["template"]["serviceAccountName"] == "sa"
    main, check, sidecar = spec["template"]["containers"]
    assert main["tty"] is True
    assert main["env"] == [{"name": "MODEL_NAME", "value": "m"}, {"name": "A", "value": "b"}]
    assert (check["name"], sidecar) == ("prompt-check", {"name": "sidecar", "image": "s:1"})
