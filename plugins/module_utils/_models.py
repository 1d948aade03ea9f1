# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Models as the inventory writes them. Pure: no Ansible, no cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ._checks import Problems, dns_label, keys, mapping, sequence, text, whole_number
from ._errors import nearest
from ._names import API_NAMESPACE, MODEL_NAMESPACE, TIER_NAMESPACE_PREFIX

#: KServe names a Service <model>-kserve-workload-svc, and a Service's name has at most 63.
LONGEST_NAME = 63 - len("-kserve-workload-svc")

_KEYS = {
    "name": f"a DNS label that starts with a letter, at most {LONGEST_NAME} characters",
    "namespace": "the namespace it runs in, a DNS label",
    "display_name": "text",
    "description": "text",
    "uri": "where its files are: hf://, oci://, pvc:// or s3://",
    "replicas": "a whole number, at least 0",
    "gpus": "a whole number, at least 0",
    "storage_initializer": "true or false",
    "runtime": "a mapping with image, command, args, env, resources",
    "spec": "a mapping, merged over the LLMInferenceService's spec",
}
_RUNTIME_KEYS = {
    "image": "an image reference",
    "command": "a list of text",
    "args": "a list of text",
    "env": "a mapping of names to text",
    "resources": "a mapping with requests and limits",
}
_LATER = ("autoscaling", "state", "tiers", "canary")
_SCHEMES = ("hf", "oci", "pvc", "s3")
_URI = re.compile(r"([a-z0-9+]+)://\S+")
#: The first path segments that are not models.
_TAKEN_NAMESPACES = (API_NAMESPACE, "v1", "ui")


@dataclass(frozen=True, order=True)
class ModelRef:
    """Where a model lives: the two path segments a caller writes."""

    namespace: str
    name: str


@dataclass(frozen=True)
class Model:
    """One model. runtime and spec are the role's to read and stay as they were written."""

    name: str
    namespace: str
    uri: str
    display_name: str = ""
    description: str = ""
    replicas: int | None = None
    gpus: int = 0
    storage_initializer: bool = True
    runtime: Mapping[str, Any] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ref(self) -> ModelRef:
        """Return where the model lives."""
        return ModelRef(self.namespace, self.name)


def read_models(
    problems: Problems,
    raw: Any,
    path: str = "maas_models",
    default_namespace: str = MODEL_NAMESPACE,
) -> list[Model]:
    """Return the models that could be read, and keep the problems of the others."""
    models: list[Model] = []
    seen: dict[str, str] = {}
    for index, entry in enumerate(sequence(problems, path, raw, "a list of models") or []):
        here = f"{path}[{index}]"
        model = _read_model(problems, here, entry, default_namespace)
        if model is None:
            continue
        if model.name in seen:
            problems.found(f"{here}.name", model.name, f"a name that {seen[model.name]} has not")
            continue
        seen[model.name] = here
        models.append(model)
    return models


def _read_model(problems: Problems, path: str, entry: Any, default_namespace: str) -> Model | None:
    raw = mapping(problems, path, entry, f"a mapping with {', '.join(_KEYS)}")
    if raw is None:
        return None
    keys(problems, path, raw, _KEYS, required=("name", "uri"), later=_LATER, shown=False)
    name = _read_name(problems, f"{path}.name", raw["name"]) if "name" in raw else None
    namespace = _read_namespace(
        problems, f"{path}.namespace", raw.get("namespace", default_namespace)
    )
    uri = _read_uri(problems, f"{path}.uri", raw["uri"]) if "uri" in raw else None
    replicas = None
    if raw.get("replicas") is not None:
        replicas = whole_number(problems, f"{path}.replicas", raw["replicas"], 0)
    gpus = whole_number(problems, f"{path}.gpus", raw.get("gpus", 0), 0)
    initializer = raw.get("storage_initializer", True)
    if not isinstance(initializer, bool):
        problems.found(f"{path}.storage_initializer", initializer, "true or false")
    runtime = _read_runtime(problems, f"{path}.runtime", raw.get("runtime", {}))
    spec = mapping(problems, f"{path}.spec", raw.get("spec", {}), _KEYS["spec"])
    texts = {
        key: text(problems, f"{path}.{key}", raw[key]) or ""
        for key in ("display_name", "description")
        if raw.get(key, "") != ""
    }
    if name is None:
        return None
    # The name is enough to tell whether tiers name it; a problem above keeps it from use.
    return Model(
        name=name,
        namespace=namespace or default_namespace,
        uri=uri or "",
        display_name=texts.get("display_name", name),
        description=texts.get("description", ""),
        replicas=replicas,
        gpus=gpus or 0,
        storage_initializer=bool(initializer),
        runtime=dict(runtime or {}),
        spec=dict(spec or {}),
    )


def _read_name(problems: Problems, path: str, raw: Any) -> str | None:
    # Services' names start with a letter, and this name becomes part of one.
    if isinstance(raw, str) and raw[:1].isdigit():
        problems.found(path, raw, _KEYS["name"])
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


def _read_uri(problems: Problems, path: str, raw: Any) -> str | None:
    match = _URI.fullmatch(raw) if isinstance(raw, str) else None
    if match is None:
        problems.found(path, raw, _KEYS["uri"])
    elif match.group(1) not in _SCHEMES:
        problems.found(path, raw, _KEYS["uri"], nearest(match.group(1), _SCHEMES))
    else:
        return str(raw)
    return None


def _read_runtime(problems: Problems, path: str, entry: Any) -> Mapping[str, Any] | None:
    raw = mapping(problems, path, entry, _KEYS["runtime"])
    if raw is None:
        return None
    keys(problems, path, raw, _RUNTIME_KEYS, shown=False)
    if "image" in raw:
        text(problems, f"{path}.image", raw["image"], _RUNTIME_KEYS["image"])
    for key in ("command", "args"):
        words = sequence(problems, f"{path}.{key}", raw.get(key, []), _RUNTIME_KEYS[key])
        for index, word in enumerate(words or []):
            if not isinstance(word, str):
                problems.found(f"{path}.{key}[{index}]", word, "text (quote numbers)")
    _check_env(problems, f"{path}.env", raw.get("env", {}))
    _check_resources(problems, f"{path}.resources", raw.get("resources", {}))
    return raw


def _check_env(problems: Problems, path: str, env: Any) -> None:
    # Values may be secrets, a download token for instance: no message shows one.
    if not isinstance(env, Mapping):
        problems.hidden(path, _RUNTIME_KEYS["env"])
        return
    for key, value in env.items():
        if not isinstance(key, str) or not isinstance(value, str):
            problems.hidden(f"{path}.{key}", "text (quote numbers)")


def _check_resources(problems: Problems, path: str, raw: Any) -> None:
    resources = mapping(problems, path, raw, _RUNTIME_KEYS["resources"])
    if resources is not None:
        known = {"requests": "a mapping of resource names", "limits": "a mapping of resource names"}
        keys(problems, path, resources, known)
        for key, allowed in known.items():
            mapping(problems, f"{path}.{key}", resources.get(key, {}), allowed)
