# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What modules say of themselves is what they do, and every module is in the action group."""

from __future__ import annotations

import importlib
from pathlib import Path
from unittest import mock

import pytest
import yaml
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import AUTH_ARGS

_ROOT = Path(__file__).parents[4]
_MODULES = sorted(path.stem for path in (_ROOT / "plugins/modules").glob("[!_]*.py"))
_FILTERS = sorted(path.stem for path in (_ROOT / "plugins/filter").glob("[!_]*.py"))
_PACKAGE = "ansible_collections.maas.platform.plugins"


def _module(name):
    return importlib.import_module(f"{_PACKAGE}.modules.{name}")


def _fragments(documentation):
    options = {}
    for name in documentation.get("extends_documentation_fragment", []):
        if name.startswith("maas.platform."):
            fragment = importlib.import_module(f"{_PACKAGE}.doc_fragments.{name.rsplit('.', 1)[1]}")
            options.update(yaml.safe_load(fragment.ModuleDocFragment.DOCUMENTATION)["options"])
    return options


def _spec(module):
    made = mock.Mock(side_effect=KeyboardInterrupt)
    with mock.patch.object(module, "MaasModule", made), pytest.raises(KeyboardInterrupt):
        module.main()
    return made.call_args.kwargs


def test_the_action_group_is_the_list_of_modules():
    runtime = yaml.safe_load((_ROOT / "meta/runtime.yml").read_text())
    assert sorted(runtime["action_groups"]["maas"]) == _MODULES


@pytest.mark.parametrize("name", _MODULES)
def test_options_are_documented_as_they_are(name):
    module = _module(name)
    documentation = yaml.safe_load(module.DOCUMENTATION)
    documented = {**_fragments(documentation), **documentation["options"]}
    spec = _spec(module)["argument_spec"]
    # The group's defaults set the connection for every module.
    assert set(AUTH_ARGS) <= set(spec)
    own = {key: value for key, value in spec.items() if key not in AUTH_ARGS}
    assert set(own) == set(documented)
    for key, value in own.items():
        for field in ("type", "default", "choices", "elements", "required"):
            assert value.get(field) == documented[key].get(field), (key, field)
        suboptions = set(value.get("options", {}))
        assert suboptions == set(documented[key].get("suboptions", {})), key


@pytest.mark.parametrize("name", _MODULES)
def test_modules_say_what_check_mode_does(name):
    module = _module(name)
    documentation = yaml.safe_load(module.DOCUMENTATION)
    assert documentation["module"] == name
    assert set(documentation["attributes"]) == {"check_mode", "diff_mode"}
    assert documentation["attributes"]["check_mode"]["support"] == "full"
    assert _spec(module)["supports_check_mode"] is True
    assert "kubernetes.core.k8s_auth_options" in documentation["extends_documentation_fragment"]


@pytest.mark.parametrize("name", _MODULES)
def test_examples_and_returns_are_yaml(name):
    module = _module(name)
    for task in yaml.safe_load(module.EXAMPLES):
        assert f"maas.platform.{name}" in task
    assert yaml.safe_load(module.RETURN)


@pytest.mark.parametrize("name", _FILTERS)
def test_every_filter_is_documented(name):
    documentation = yaml.safe_load((_ROOT / f"plugins/filter/{name}.yml").read_text())
    assert documentation["DOCUMENTATION"]["name"] == name
    filters = importlib.import_module(f"{_PACKAGE}.filter.{name}").FilterModule().filters()
    assert list(filters) == [name]
