# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Texts that somebody chose reach the catalog and nothing else, whatever they hold."""

from __future__ import annotations

import copy
import json
import re

import pytest
import yaml
from ansible_collections.maas.platform.plugins.module_utils._accounts import account_name
from ansible_collections.maas.platform.plugins.module_utils._catalog import read_catalog
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._policies import PARTS, render_plan
from ansible_collections.maas.platform.plugins.module_utils._tiers import (
    parse_inventory,
    resolve_tier,
)
from ansible_collections.maas.platform.plugins.module_utils._transitions import fresh_plan
from hypothesis import given
from hypothesis import strategies as st

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NASTY = [
    'x"] || true || ["',
    "{auth.identity.user.username}",
    '@extract:{"sep":" ","pos":1}',
    "a.b.#(c==1)|@this",
    "back\\slash\\u0041",
    "it's {{ lookup('env', 'HOME') }} {% raw %}",
    "system:serviceaccounts:kube-system",
    "oidc:/groups/team a/b",
    "- yaml: [1]",
    "# no comment",
    "!!python/object:os.system",
    "*alias &anchor",
    "無料 🎁 große",
    "'",
    '"',
    "null",
]
_text = st.sampled_from(_NASTY) | st.text(max_size=30)


def _raw(name="Plain", group="plain", user="plain"):
    limits = {"requests": [{"limit": 5, "window": "2m"}], "tokens": "unlimited"}
    tiers = [
        {
            "name": "free",
            "display_name": name,
            "description": name,
            "level": 0,
            "groups": [group],
            "models": ["*"],
            "limits": limits,
        },
        {
            "name": "old",
            "state": "absent",
            "on_removal": {"migrate_to": "free"},
            "groups": [group],
        },
    ]
    overrides = [{"user": user, "reason": name, "limits": {"tokens": limits["requests"]}}]
    return tiers, overrides


def _rendered(*texts):
    tiers, overrides = _raw(*texts)
    inventory = parse_inventory(tiers, [], raw_overrides=overrides)
    return inventory, render_plan(fresh_plan(inventory))


def _without(rendered, *words):
    """Return everything but the catalog, without what may differ."""
    text = json.dumps(rendered.chosen(set(PARTS) - {"catalog"}), ensure_ascii=False)
    for word in (rendered.revision, *words):
        text = text.replace(word, "…")
    return text


_PLAIN = _rendered("Plain", "plain", "plain")[1]


@given(_text, _text, _text)
def test_any_text_is_refused_or_harmless(name, group, user):
    try:
        inventory, rendered = _rendered(name, group, user)
    except MaasError:
        return
    assert _without(rendered, account_name(user)) == _without(_PLAIN, account_name("plain"))
    (config_map,) = rendered.catalog
    data = {key: yaml.safe_load(text) for key, text in config_map["data"].items()}
    catalog = read_catalog(data)
    assert catalog.tiers[0].display_name == (name or "free")
    assert resolve_tier(catalog.tiers, [group]) == catalog.tiers[0]
    assert catalog.override(account_name(user)).user == user
    assert inventory.tiers[0].description == name


@pytest.mark.parametrize("text", _NASTY)
def test_these_are_names_like_any_other(text):
    _rendered(text, text, text)


@pytest.mark.parametrize("text", ["a\nb", "a\x00", "a\x1b[0m", "\ud800", " a", "a\t", "a\u2028b"])
def test_what_is_more_than_a_line_is_refused_and_shown_as_it_is(text):
    for texts in ((text, "plain", "plain"), ("Plain", text, "plain"), ("Plain", "plain", text)):
        with pytest.raises(MaasError) as caught:
            _rendered(*texts)
        for problem in caught.value.problems:
            problem.encode()
            assert "\n" not in problem
            assert "\x1b" not in problem


def test_a_key_is_shown_as_it_is_too():
    tiers, overrides = _raw()
    tiers[0]["limits"] = {**tiers[0]["limits"], "models": {"a\n\u202eb": {}}, "c\x1b": 1}
    with pytest.raises(MaasError) as caught:
        parse_inventory(tiers, [], raw_overrides=overrides)
    assert any(".models.a\\u000a\\u202eb: value" in line for line in caught.value.problems)
    assert all(line.isprintable() for line in caught.value.problems)


def test_many_tiers_with_the_longest_names_there_may_be():
    base = _raw()[0][0]
    tiers = []
    for number in range(25):
        tier = copy.deepcopy(base)
        tier.update(name=f"t{number:02}" + "-x" * 17, level=number, groups=[f"g/{number}:ü"])
        tiers.append(tier)
    assert {len(tier["name"]) for tier in tiers} == {37}
    models = [{"name": "m" * 43, "uri": "hf://x/y", "namespace": "n" * 63}]
    tiers[0]["limits"] = {**tiers[0]["limits"], "models": {"m" * 43: {"tokens": "unlimited"}}}
    rendered = render_plan(fresh_plan(parse_inventory(tiers, models)))
    for item in rendered.chosen(PARTS):
        metadata = item["metadata"]
        assert _LABEL.fullmatch(metadata.get("namespace", "x"))
        assert _LABEL.fullmatch(metadata["name"]), metadata["name"]
        assert all(len(value) <= 63 for value in metadata["labels"].values())
    (auth,) = [item for item in rendered.policies if item["kind"] == "AuthPolicy"]
    assert all(tier["name"] in json.dumps(auth) for tier in tiers)
