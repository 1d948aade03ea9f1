# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The EnvoyPatchPolicies of the Gateways, as the inventory switches and fills them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLE = Path(__file__).resolve().parents[3] / "roles/gateway_api"
MODELS = [
    {"name": "gemma", "uri": "hf://a/b"},
    {"name": "llama", "uri": "hf://a/b", "namespace": "research"},
    {"name": "qwen", "uri": "hf://a/b", "spec": {"model": {"name": "Qwen/Qwen3"}}},
    {"name": "gone", "namespace": "research", "state": "absent"},
    {"name": "odd", "uri": "hf://a/b", "spec": {"model": {"name": '"] = os.exit()'}}},
]


@pytest.fixture
def render(tmp_path: Path) -> Any:
    """Return a way to see the filters and the front route's matches."""

    def run(**inventory: Any) -> Any:
        out = tmp_path / "rendered.json"
        variables: dict[str, Any] = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
        variables |= {"maas_domain": "example.test", "maas_models": MODELS, **inventory}
        for file in sorted((ROLE / "vars/main").glob("*.yml")):
            variables |= yaml.safe_load(file.read_text())
        said = "{{ {'filters': _gateway_api_filters, 'matches': _gateway_api_matches} | to_json }}"
        play = {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": {
                **variables,
                "role_path": str(ROLE),
                "ansible_python_interpreter": sys.executable,
            },
            "tasks": [{"ansible.builtin.copy": {"content": said, "dest": str(out), "mode": "600"}}],
        }
        playbook = tmp_path / "play.yml"
        playbook.write_text(yaml.safe_dump([play], sort_keys=False))
        program = Path(sys.executable).with_name("ansible-playbook")
        command = [program, "--inventory=localhost,", "--connection=local", playbook]
        done = subprocess.run(
            command, cwd=ROLE.parent.parent, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(out.read_text())

    return run


def filters(rendered: Any) -> dict[str, list[Any]]:
    return {
        policy["metadata"]["name"]: [
            patch["operation"]["value"]
            for patch in policy["spec"]["jsonPatches"]
            if patch["operation"]["path"].endswith("/http_filters/0")
        ]
        for policy in rendered["filters"]
    }


def test_both_gateways_read_bodies(render: Any) -> None:
    rendered = render()
    found = filters(rendered)
    assert [one["name"] for one in found["maas-default-gateway"]] == [
        "envoy.filters.http.lua",
        "envoy.filters.http.match_delegate",
        "envoy.filters.http.lua",
    ]
    delegate = found["maas-default-gateway"][1]["typed_config"]
    assert delegate["extension_config"]["typed_config"]["max_request_bytes"] == 16 * 1024 * 1024
    assert json.dumps(delegate).count('"header_name": "x-maas-read"') == 1
    assert [one["name"] for one in found["maas-internal"]] == ["envoy.filters.http.lua"]
    [first, second] = [match["path"]["value"] for match in rendered["matches"]]
    assert first.endswith("|v1/(chat/completions|completions|embeddings))$")
    assert second.startswith("^/research/")


def test_models_that_are_elsewhere_are_in_the_table(render: Any) -> None:
    script = filters(render())["maas-default-gateway"][0]["typed_config"]["default_source_code"]
    table = script["inline_string"].split("local ROUTES = {\n")[1].split("}")[0]
    assert [line.strip() for line in table.strip().splitlines()] == [
        '["llama"] = "/research/llama",',
        '["Qwen/Qwen3"] = "/llm/qwen",',
    ]


@pytest.mark.parametrize(
    ("base_url", "usage", "policies"),
    [
        (False, False, {"maas-default-gateway": 0, "maas-internal": 0}),
        (True, False, {"maas-default-gateway": 3, "maas-internal": 0}),
        (False, True, {"maas-default-gateway": 1, "maas-internal": 1}),
        # As a command line has them.
        ("false", "false", {"maas-default-gateway": 0, "maas-internal": 0}),
    ],
)
def test_each_can_be_switched_off(
    render: Any, base_url: bool | str, usage: bool | str, policies: dict[str, int]
) -> None:
    rendered = render(gateway_api_base_url=base_url, gateway_api_stream_usage=usage)
    assert {name: len(found) for name, found in filters(rendered).items()} == policies
    assert ("v1/(chat" in json.dumps(rendered["matches"])) == (base_url is True)


def test_each_worker_has_its_part_of_the_memory(render: Any) -> None:
    rendered = render(gateway_api_body_memory="64Mi", gateway_api_envoy_concurrency=4)
    config = filters(rendered)["maas-default-gateway"][2]["typed_config"]
    lines = config["default_source_code"]["inline_string"].splitlines()
    assert lines[:4] == [
        'local AUDIENCE = "maas-default-gateway-sa"',
        "local LARGEST = 16777216",
        "local SMALL_SUM = 4194304",
        "local LARGE_SUM = 12582912",
    ]


def test_envoys_own_answers_are_in_the_shape_of_openai(render: Any) -> None:
    for policy in render()["filters"]:
        operations = [patch["operation"] for patch in policy["spec"]["jsonPatches"]]
        [config] = [one["value"] for one in operations if one["path"].endswith("_reply_config")]
        for mapper in config["mappers"]:
            shown = mapper["body_format_override"]
            error = json.loads(shown["text_format_source"]["inline_string"])["error"]
            assert shown["content_type"] == "application/json"
            assert set(error) == {"message", "type", "param", "code"}
            assert "%" not in error["message"]


def test_openshift_has_no_base_url(render: Any) -> None:
    rendered = render(maas_gateway={"provider": "openshift"})
    assert "v1/(chat" not in json.dumps(rendered["matches"])
