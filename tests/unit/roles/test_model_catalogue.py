# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Entries to copy are entries that can be used as they are, in any choice."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.maas.platform.plugins.module_utils._checks import Problems
from ansible_collections.maas.platform.plugins.module_utils._model_engines import read_engines
from ansible_collections.maas.platform.plugins.module_utils._model_problems import model_problems
from ansible_collections.maas.platform.plugins.module_utils._model_services import render_services
from ansible_collections.maas.platform.plugins.module_utils._model_settings import ServingSettings
from ansible_collections.maas.platform.plugins.module_utils._models import read_models

ROLE = Path(__file__).resolve().parents[3] / "roles/model_serving"
FILES = sorted((ROLE / "files/catalogue").glob("*.yml"))
ENGINES = yaml.safe_load((ROLE / "defaults/main.yml").read_text())["model_serving_runtimes"]
ENTRIES = [entry for path in FILES for entry in yaml.safe_load(path.read_text())]


def _read(entries):
    return read_models(Problems(), entries, defaults={})


def test_there_are_the_families_that_are_promised():
    assert [path.stem for path in FILES] == ["granite", "llama", "qwen"]


def test_all_entries_are_valid_together():
    assert model_problems(ENTRIES, {}, ENGINES) == []


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["name"])
def test_an_entry_has_gpus_or_cpus_and_memory_to_load_into(entry):
    (model,) = _read([entry])
    asked = model.runtime.resources
    assert asked["requests"].keys() == {"cpu", "memory"}
    assert asked["limits"].keys() == {"memory"}
    assert model.gpus or "cpu" in model.name
    assert model.display_name != model.name


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["name"])
def test_an_entry_s_gpus_are_all_at_work(entry):
    (model,) = _read([entry])
    settings = ServingSettings(engines=read_engines(Problems(), ENGINES), prompt_check=False)
    service = render_services(model, settings)[-1]
    args = service["spec"]["template"]["containers"][0]["args"]
    tensor = int(args[args.index("--tensor-parallel-size") + 1]) if model.gpus > 1 else 1
    assert tensor == max(1, model.gpus)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["name"])
def test_gated_models_say_where_the_token_is(entry):
    (model,) = _read([entry])
    assert (model.storage_secret is not None) == ("meta-llama" in model.uri)
