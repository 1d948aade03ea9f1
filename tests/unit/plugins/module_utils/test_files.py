# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import yaml
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._files import write_files

_SPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "maas-api"}}
_MAP = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "tiers", "namespace": "maas-api"},
    "data": {"tiers": "- name: gratis ✨\n  level: 0\n"},
}
_PARTS = {"namespaces": [_SPACE], "catalog": [_MAP]}


def _tree(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_every_object_has_a_file_of_its_own_and_the_second_time_nothing_is_written(tmp_path):
    changes = write_files(str(tmp_path), _PARTS)
    assert [change.action for change in changes] == ["created", "created"]
    assert _tree(tmp_path) == [
        "1-namespaces/namespace.maas-api.yaml",
        "3-catalog/configmap.maas-api.tiers.yaml",
    ]
    text = (tmp_path / "3-catalog/configmap.maas-api.tiers.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == _MAP
    # People review these files: a text of many lines is shown as such.
    assert "    - name: gratis ✨\n" in text
    assert write_files(str(tmp_path), _PARTS) == []


def test_what_is_rendered_no_more_is_removed_and_others_files_stay(tmp_path):
    write_files(str(tmp_path), _PARTS)
    theirs = tmp_path / "3-catalog" / "kustomization.yaml"
    theirs.write_text("resources: []\n", encoding="utf-8")
    (change,) = write_files(str(tmp_path), {"namespaces": [_SPACE], "catalog": []})
    assert (change.action, change.path.name) == ("deleted", "configmap.maas-api.tiers.yaml")
    assert _tree(tmp_path) == [
        "1-namespaces/namespace.maas-api.yaml",
        "3-catalog/kustomization.yaml",
    ]


def test_a_dry_run_says_the_same_and_writes_nothing(tmp_path):
    checked = write_files(str(tmp_path), _PARTS, dry_run=True)
    assert _tree(tmp_path) == []
    assert write_files(str(tmp_path), _PARTS) == checked


def test_a_file_of_somebody_else_is_in_the_way_and_nothing_is_written(tmp_path):
    (tmp_path / "1-namespaces").mkdir()
    theirs = tmp_path / "1-namespaces" / "namespace.maas-api.yaml"
    theirs.write_text("kind: Namespace\n", encoding="utf-8")
    with pytest.raises(MaasError, match="was not rendered by this module, so nothing was written"):
        write_files(str(tmp_path), _PARTS)
    assert theirs.read_text(encoding="utf-8") == "kind: Namespace\n"
    assert _tree(tmp_path) == ["1-namespaces/namespace.maas-api.yaml"]


def test_a_directory_that_cannot_be_one_is_named(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(MaasError, match=r"directory .*file cannot hold the rendered objects"):
        write_files(str(tmp_path / "file"), _PARTS)
