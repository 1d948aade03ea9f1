# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Reading one entry of maas_models: every key for itself. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

from ._checks import (
    Problems,
    choice,
    dns_label,
    dns_subdomain,
    duration,
    keys,
    mapping,
    shown_text,
    switch,
    whole_number,
)
from ._errors import nearest
from ._model import CANARY_SUFFIX, LONGEST_SERVICE, Canary, Model, Spread, Task
from ._model_defaults import merge_keys
from ._model_runtime import KEYS as RUNTIME_KEYS
from ._model_runtime import read_runtime
from ._model_scaling import (
    AUTOSCALING_KEYS,
    PARALLELISM_KEYS,
    read_autoscaling,
    read_parallelism,
)
from ._names import API_NAMESPACE, TIER_NAMESPACE_PREFIX

LONGEST_NAME = LONGEST_SERVICE
STATES = ("present", "paused", "retired", "absent")

#: What an entry says of itself alone, whatever its model's versions are.
_OWN_KEYS = {
    "name": f"a DNS label that starts with a letter, at most {LONGEST_NAME} characters",
    "namespace": "the namespace it runs in, a DNS label",
    "display_name": "text",
    "description": "text",
    "state": f"one of {', '.join(STATES)}",
    "retire_after": "a duration such as 168h",
}
#: What a canary may say, too.
_VERSION_KEYS = {
    "uri": "where its files are: hf://, oci://, pvc:// or s3://",
    "replicas": "a whole number, at least 0",
    "autoscaling": f"a mapping with {', '.join(AUTOSCALING_KEYS)}",
    "gpus": "a whole number, at least 0: of each pod",
    "nodes": "a whole number, at least 1: pods of one copy of the server",
    "parallelism": f"a mapping with {', '.join(PARALLELISM_KEYS)}",
    "pool": "the name of a pool in gpu_nodes_pools",
    "storage_initializer": "true or false",
    "storage": "a mapping with secret",
    "runtime": f"a mapping with {', '.join(RUNTIME_KEYS)}",
    "spec": "a mapping, merged over the LLMInferenceService's spec",
}
_COMMON_KEYS = {
    "priority_class": "the name of a PriorityClass",
    "spread": f"one of {', '.join(get_args(Spread))}",
    "ready_timeout": "a duration such as 15m",
    "task": f"one of {', '.join(get_args(Task))}",
}
_CANARY_KEYS = {"weight": "a whole number from 0 to 100", **_VERSION_KEYS}
KEYS = {
    **_OWN_KEYS,
    **_VERSION_KEYS,
    **_COMMON_KEYS,
    "canary": f"a mapping with {', '.join(_CANARY_KEYS)}",
}
#: What maas_model_defaults may say: nothing that tells models apart.
DEFAULT_KEYS = {
    key: allowed for key, allowed in (_VERSION_KEYS | _COMMON_KEYS).items() if key != "uri"
}
_SCHEMES = ("hf", "oci", "pvc", "s3")
_URI = re.compile(r"([a-z0-9+]+)://[^\s{}]+")
#: The first path segments that are not models.
_TAKEN_NAMESPACES = (API_NAMESPACE, "v1", "ui")


def read_entry(
    problems: Problems,
    path: str,
    entry: Any,
    default_namespace: str,
    defaults: Mapping[str, Any],
) -> tuple[str, Model | None] | None:
    """Return an entry's name and its model; no model where it is to be absent."""
    raw = mapping(problems, path, entry, f"a mapping with {', '.join(KEYS)}")
    if raw is None:
        return None
    state = _read_state(problems, path, raw)
    required = ("name",) if state == "absent" else ("name", "uri")
    keys(problems, path, raw, KEYS, required=required, shown=False)
    name = _read_name(problems, f"{path}.name", raw["name"]) if "name" in raw else None
    namespace = _read_namespace(
        problems, f"{path}.namespace", _given(raw, "namespace", default_namespace)
    )
    own: dict[str, Any] = {
        "name": name or "",
        "namespace": namespace or default_namespace,
        "display_name": name or "",
        **_read_texts(problems, path, raw),
        "state": state,
        "retire_after_seconds": _read_retire_after(problems, path, raw, state),
    }
    _read_version(problems, path, raw)
    canary = _read_canary(problems, path, raw, name)
    if name is None:
        return None
    if state == "absent":
        return name, None
    # The name is enough to tell whether tiers name it; a problem above keeps it from use. Keys
    # were looked at where they stand: what is wrong with one is not said again of the whole.
    merged = merge_keys(defaults, raw)
    model = Model(**own, **_read_version(Problems(), path, merged))
    if canary is not None:
        weight = canary["weight"]
        second = _read_version(Problems(), path, _canary_keys(merged, canary))
        version = Model(**own, **second, is_canary=True)
        model = replace(model, canary=Canary(weight, version))
    return name, model


def read_defaults(problems: Problems, raw: Any, path: str) -> Mapping[str, Any]:
    """Return what every entry starts from; nothing where it is not valid."""
    defaults = mapping(problems, path, raw, f"a mapping with {', '.join(DEFAULT_KEYS)}")
    if defaults is None:
        return {}
    before = len(problems)
    keys(problems, path, defaults, DEFAULT_KEYS, shown=False)
    _read_version(problems, path, defaults)
    return defaults if len(problems) == before else {}


def _given(raw: Mapping[str, Any], key: str, absent: Any) -> Any:
    return absent if raw.get(key) is None else raw[key]


def _read_name(problems: Problems, path: str, raw: Any) -> str | None:
    # Services' names start with a letter, and this name becomes part of one.
    if isinstance(raw, str) and raw[:1].isdigit():
        problems.found(path, raw, _OWN_KEYS["name"])
        return None
    return dns_label(problems, path, raw, LONGEST_NAME)


def _read_namespace(problems: Problems, path: str, raw: Any) -> str | None:
    namespace = dns_label(problems, path, raw)
    if namespace is None:
        return None
    reserved = namespace in _TAKEN_NAMESPACES or namespace.startswith(
        ("kube-", "openshift-", TIER_NAMESPACE_PREFIX)
    )
    if reserved:
        problems.found(path, raw, "a namespace of your own; this one is taken")
        return None
    return namespace


def _read_texts(problems: Problems, path: str, raw: Mapping[str, Any]) -> dict[str, str]:
    return {
        key: shown_text(problems, f"{path}.{key}", raw[key]) or ""
        for key in ("display_name", "description")
        if raw.get(key) not in (None, "")
    }


def _read_state(problems: Problems, path: str, raw: Mapping[str, Any]) -> str:
    state = choice(problems, f"{path}.state", _given(raw, "state", "present"), STATES)
    return state or "present"


def _read_retire_after(
    problems: Problems, path: str, raw: Mapping[str, Any], state: str
) -> int | None:
    if raw.get("retire_after") is None:
        return None
    if state != "retired":
        problems.found(f"{path}.retire_after", raw["retire_after"], "with state: retired only")
        return None
    return duration(problems, f"{path}.retire_after", raw["retire_after"])


def _read_version(problems: Problems, path: str, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is said of one version, as the fields of a Model."""
    given = {key: value for key, value in raw.items() if value is not None}

    def here(key: str) -> str:
        return f"{path}.{key}"

    def number(key: str, minimum: int) -> int | None:
        if key not in given:
            return None
        return whole_number(problems, here(key), given[key], minimum, 2**31 - 1)

    if "replicas" in given and "autoscaling" in given:
        problems.found(here("replicas"), given["replicas"], "replicas or autoscaling, not both")
    parallelism = None
    if "parallelism" in given:
        parallelism = read_parallelism(problems, here("parallelism"), given["parallelism"])
    nodes = number("nodes", 1) or 1
    gpus = number("gpus", 0)
    if gpus is None:
        gpus = parallelism.gpus // nodes if parallelism and "gpus" not in given else 0
    autoscaling = None
    if "autoscaling" in given:
        autoscaling = read_autoscaling(problems, here("autoscaling"), given["autoscaling"])
    initializer = _given(given, "storage_initializer", True)
    return {
        "uri": (_read_uri(problems, here("uri"), given["uri"]) if "uri" in given else None) or "",
        "replicas": number("replicas", 0),
        "autoscaling": autoscaling,
        "gpus": gpus,
        "nodes": nodes,
        "parallelism": parallelism,
        "pool": dns_label(problems, here("pool"), given["pool"]) if "pool" in given else None,
        "storage_initializer": switch(problems, here("storage_initializer"), initializer) is True,
        "storage_secret": _read_storage(problems, here("storage"), given.get("storage")),
        "runtime": read_runtime(problems, here("runtime"), given.get("runtime", {})),
        "spec": mapping(problems, here("spec"), given.get("spec", {}), KEYS["spec"]) or {},
        **_read_common(problems, path, given),
    }


def _read_common(problems: Problems, path: str, given: Mapping[str, Any]) -> dict[str, Any]:
    common: dict[str, Any] = {}
    for key, field, read in (
        ("priority_class", "priority_class", dns_subdomain),
        ("ready_timeout", "ready_seconds", duration),
    ):
        if key in given:
            common[field] = read(problems, f"{path}.{key}", given[key])
    for key, known in (("spread", get_args(Spread)), ("task", get_args(Task))):
        if key in given:
            word = choice(problems, f"{path}.{key}", given[key], known)
            if word is not None:
                common[key] = word
    return common


def _read_uri(problems: Problems, path: str, raw: Any) -> str | None:
    match = _URI.fullmatch(raw) if isinstance(raw, str) else None
    if match is None:
        problems.found(path, raw, KEYS["uri"])
    elif match.group(1) not in _SCHEMES:
        problems.found(path, raw, KEYS["uri"], nearest(match.group(1), _SCHEMES))
    else:
        return str(raw)
    return None


def _read_storage(problems: Problems, path: str, entry: Any) -> str | None:
    if entry is None:
        return None
    allowed = "a mapping with secret, the name of a Secret in the model's namespace"
    # What stands there by mistake may be the secret itself.
    raw = mapping(Problems(), path, entry, allowed)
    if raw is None:
        problems.hidden(path, allowed)
        return None
    keys(problems, path, raw, {"secret": allowed}, required=("secret",), shown=False)
    if raw.get("secret") is None:
        return None
    scratch = Problems()
    name = dns_subdomain(scratch, path, raw["secret"])
    if name is None:
        problems.hidden(f"{path}.secret", scratch[0].allowed)
    return name


def _read_canary(
    problems: Problems, path: str, raw: Mapping[str, Any], name: str | None
) -> Mapping[str, Any] | None:
    """Return the canary's keys if its weight could be read."""
    if raw.get("canary") is None:
        return None
    here = f"{path}.canary"
    canary = mapping(problems, here, raw["canary"], KEYS["canary"])
    if canary is None:
        return None
    keys(problems, here, canary, _CANARY_KEYS, required=("weight",), shown=False)
    weight = None
    if "weight" in canary:
        weight = whole_number(problems, f"{here}.weight", canary["weight"], 0, 100)
    _read_version(problems, here, canary)
    if not any(canary.get(key) is not None for key in canary.keys() - {"weight"}):
        others = ", ".join(_VERSION_KEYS)
        problems.hidden(here, f"with weight, at least one of {others}")
    longest = LONGEST_SERVICE - len(CANARY_SUFFIX)
    if name is not None and len(name) > longest:
        problems.found(f"{path}.name", name, f"at most {longest} characters for a model's canary")
    if raw.get("state") == "retired":
        problems.hidden(here, "no canary of a retired model; take it out")
    return None if weight is None else canary


def _canary_keys(entry: Mapping[str, Any], canary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a canary's version: the entry's, under its own.

    Without a number of its own it gets its share of the model's copies, rounded up.
    """
    below = {key: value for key, value in entry.items() if key != "canary"}
    above = {key: value for key, value in canary.items() if key != "weight"}
    merged = merge_keys(below, above)
    copies = merged.get("replicas")
    if "replicas" not in above and isinstance(copies, int):
        merged["replicas"] = max(1, -(-copies * canary["weight"] // 100))
    return merged
