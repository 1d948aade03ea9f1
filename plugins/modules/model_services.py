#!/usr/bin/python
# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Bring a cluster's models to what the inventory says."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_services
short_description: The models of a cluster, from deployment to retirement
version_added: 0.2.0
author:
  - The maas.platform authors (@maas-platform)
description:
  - Renders everything that O(models) need, and brings the cluster to it with server-side apply,
    field manager C(maas.platform). That is namespaces and what guards them, an LLMInferenceService
    for each version, disruption budgets and autoscalers, and the route of each model.
  - A version counts as good once all of its pods answered a prompt. Only then does the route lead
    to it, and only then is it remembered, in an annotation of its LLMInferenceService.
  - A new version that does not come up (its container ends again and again, its image cannot be
    pulled, or it is not ready in time) is taken back by itself. The version that answered last is
    applied again, the module waits until that serves, and then fails and says in words what was
    wrong. Meanwhile the old pods go on serving. A first version that does not come up stays as it
    is, to be looked at, without a route.
  - All models are changed side by side; one that fails keeps no other waiting.
  - A canary gets its share of requests once it serves. A canary that is gone from its entry is
    removed after the route leads everything to the stable version, and that serves.
  - A paused model answers 503 before its pods go. A retired one is served until a deadline which is
    decided once and remembered; the run after that removes it. Models that are no longer listed are
    removed, routes first.
  - A run that was killed anywhere is continued by the next.
attributes:
  check_mode:
    description:
      - The API server says what would change; nothing is waited for.
      - Objects whose namespace or kind is still to be made count as created.
    support: full
  diff_mode:
    description: What was changed by hand, and each changed field. Environments are not shown.
    support: full
options:
  models:
    description: The models, as in the inventory's C(maas_models). Required unless O(state=absent).
    type: list
    elements: raw
  defaults:
    description: Merged below every entry; the inventory's C(maas_model_defaults).
    type: dict
    default: {}
  runtimes:
    description: Engines by name, each with an image, command, args, embedding_args, env, resources.
    type: dict
    default: {}
  pools:
    description: The pools of GPU nodes that models may name; the inventory's C(gpu_nodes_pools).
    type: list
    elements: raw
    default: []
  provider:
    description: Who runs the Gateways.
    type: str
    choices: [envoy_gateway, openshift]
    default: envoy_gateway
  gateway_namespace:
    description: The namespace of the Gateways. The models' routes hang on the internal one.
    type: str
    default: maas-gateway
  paths:
    description: What callers reach of a model, below its C(/v1).
    type: list
    elements: str
    default: [chat/completions, completions, embeddings, models]
  request_timeout:
    description: How long an answer may take in all.
    type: str
    default: 15m
  image_mirror:
    description: Replaces the registry of the models' images.
    type: str
    default: ""
  gpu_resource:
    description: The resource that GPUs are counted in where a model names no pool.
    type: str
    default: nvidia.com/gpu
  prompt_check:
    description:
      - Whether a pod is ready once it answered a prompt, rather than a request for its health.
      - A small container beside the server asks it, once for each start.
    type: bool
    default: true
  check_image:
    description: The image of that container, as it is; role C(maas_api)'s has the program.
    type: str
    default: ""
  check_resources:
    description: What that container asks for.
    type: dict
  start_timeout_seconds:
    description: How long the preset lets a server load before it is started anew.
    type: int
    default: 1800
  ready_timeout:
    description: How long a version may take to serve, where its entry does not say.
    type: str
    default: 15m
  retire_after:
    description: How long a retired model is served, where its entry does not say.
    type: str
    default: 168h
  retry_after_seconds:
    description: After how long a paused model tells callers to try again.
    type: int
    default: 60
  pod_monitor:
    description: Whether to make a PodMonitor for each model.
    type: bool
    default: false
  network_peers:
    description: Who besides the internal Gateway may reach the servers, as NetworkPolicy peers.
    type: list
    elements: dict
    default: []
  state:
    description:
      - V(present) converges, V(absent) removes all models; their namespaces stay.
      - V(rendered) reaches for no cluster and returns the objects, as on a cluster without models.
        Retired models are refused, for until when they are served only the cluster knows.
    type: str
    choices: [present, absent, rendered]
    default: present
  directory:
    description:
      - With O(state=rendered), a directory on the machine this runs on to write the objects to,
        one file each under C(<number>-<part>/<kind>.<namespace>.<name>.yaml).
      - Files that this module wrote and that nothing renders any more are removed.
    type: path
  wait_timeout:
    description:
      - How many seconds a route, a pause or a removal may take, at least 1.
      - Versions have O(ready_timeout).
    type: int
    default: 120
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - maas.platform.cluster
seealso:
  - module: maas.platform.inference_probe
"""

EXAMPLES = r"""
- name: Bring the models of the inventory up
  maas.platform.model_services:
    models: "{{ maas_models }}"
    defaults: "{{ maas_model_defaults | default({}) }}"
    runtimes: "{{ model_serving_runtimes }}"
    check_image: ghcr.io/maas-platform/maas-api:0.1.0

- name: Give a second version every tenth request, pause one model, retire another
  maas.platform.model_services:
    prompt_check: false
    models:
      - name: llama
        uri: pvc://models/llama-8b
        runtime: {image: "ghcr.io/llm-d/llm-d-cuda:v0.8.0"}
        canary: {weight: 10, uri: "pvc://models/llama-8b-tuned"}
      - name: granite
        uri: pvc://models/granite
        runtime: {image: "ghcr.io/llm-d/llm-d-cuda:v0.8.0"}
        state: paused
      - name: old
        uri: pvc://models/old
        runtime: {image: "ghcr.io/llm-d/llm-d-cuda:v0.8.0"}
        state: retired
        retire_after: 72h

- name: Write the objects for GitOps
  maas.platform.model_services:
    state: rendered
    models: "{{ maas_models }}"
    runtimes: "{{ model_serving_runtimes }}"
    prompt_check: false
    directory: clusters/production/models
"""

RETURN = r"""
summary:
  description: A line for each model that changed or is not as it should be.
  returned: always
  type: list
  elements: str
  sample: ["model llm/gemma serves as the inventory says (14 s)"]
models:
  description: What became of every model, those that were removed included.
  returned: always
  type: list
  elements: dict
  contains:
    namespace:
      description: Its namespace.
      type: str
      returned: always
    name:
      description: Its name.
      type: str
      returned: always
    result:
      description: One of C(serving), C(paused), C(retired), C(removed), C(failed).
      type: str
      returned: always
    changed:
      description: Whether any of its objects changed.
      type: bool
      returned: always
    rolled_back:
      description: Whether a new version was taken back by itself.
      type: bool
      returned: always
    error:
      description: What went wrong, in words; empty where nothing did.
      type: str
      returned: always
    until:
      description: Until when a retired model is served; empty for others.
      type: str
      returned: always
    seconds:
      description: How long it took until this was known.
      type: float
      returned: always
objects:
  description: What became of every object that changed, or would become of it in check mode.
  returned: always
  type: list
  elements: dict
  contains:
    kind:
      description: The object's kind.
      type: str
      returned: always
    namespace:
      description: Its namespace, empty where it has none.
      type: str
      returned: always
    name:
      description: Its name.
      type: str
      returned: always
    action:
      description: Either C(created), C(updated) or C(deleted).
      type: str
      returned: always
drift:
  description: What was changed by hand since the last run, with who did it where that is known.
  returned: always
  type: list
  elements: str
manifests:
  description: The rendered objects; empty unless O(state=rendered).
  returned: always
  type: list
  elements: dict
files:
  description: The files written or removed under O(directory).
  returned: always
  type: list
  elements: dict
  contains:
    path:
      description: The file.
      type: str
      returned: always
    action:
      description: Either C(created), C(updated) or C(deleted).
      type: str
      returned: always
problems:
  description: What is wrong, one line each, where the module fails.
  returned: failure
  type: list
  elements: str
"""

from ansible_collections.maas.platform.plugins.module_utils._convergence import utc_now
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._files import write_files
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import AUTH_ARGS, Cluster
from ansible_collections.maas.platform.plugins.module_utils._module import MaasModule
from ansible_collections.maas.platform.plugins.module_utils._serving_conceal import conceal
from ansible_collections.maas.platform.plugins.module_utils._serving_convergence import (
    Serving,
    ServingOutcome,
    ServingRun,
)
from ansible_collections.maas.platform.plugins.module_utils._serving_report import (
    diff,
    failure,
    summarize,
)
from ansible_collections.maas.platform.plugins.module_utils._serving_wishes import (
    PARTS,
    make_wishes,
    read_serving,
    render_parts,
    shared_objects,
)


def run(params, connect, check_mode=False, now=utc_now):
    """Return the task's result; connect gives the cluster where one is needed."""
    if params["wait_timeout"] < 1:
        raise MaasError(
            f"wait_timeout has value {params['wait_timeout']}, allowed: whole seconds from 1 on"
        )
    how = ServingRun(check_mode, params["wait_timeout"])
    if params["state"] == "absent":
        return _result(Serving(connect(), how, now).converge([], []), how)
    models, settings = read_serving(params)
    if params["state"] == "rendered":
        return _render(render_parts(models, settings), params["directory"], how)
    shared, wishes = shared_objects(models, settings), make_wishes(models, settings)
    return _result(Serving(connect(), how, now).converge(shared, wishes), how)


def _render(parts, directory, how):
    files = write_files(directory, parts, how.dry_run, PARTS) if directory else []
    result = _result(ServingOutcome(), how)
    result["changed"] = bool(files)
    result["manifests"] = [item for part in PARTS for item in parts[part]]
    result["files"] = [{"path": str(item.path), "action": item.action} for item in files]
    return result


def _result(outcome, how):
    words = failure(outcome.fates)
    result = {
        "changed": bool(outcome.changes),
        "summary": summarize(outcome.fates, how.dry_run),
        "models": [fate.as_result() for fate in outcome.fates],
        "objects": [
            {
                "kind": change.key.kind,
                "namespace": change.key.namespace,
                "name": change.key.name,
                "action": change.action,
            }
            for change in outcome.changes
        ],
        "drift": [str(item) for item in outcome.drift],
        "manifests": [],
        "files": [],
        "warnings": outcome.warnings,
        "diff": diff(outcome.changes, outcome.drift),
    }
    if words:
        problems = [line for fate in outcome.fates if fate.error for line in [fate.error]]
        result.update(failed=True, msg=words, problems=problems)
    return result


def main():
    spec = {
        **AUTH_ARGS,
        "models": {"type": "list", "elements": "raw"},
        "defaults": {"type": "dict", "default": {}},
        "runtimes": {"type": "dict", "default": {}},
        "pools": {"type": "list", "elements": "raw", "default": []},
        "provider": {
            "type": "str",
            "choices": ["envoy_gateway", "openshift"],
            "default": "envoy_gateway",
        },
        "gateway_namespace": {"type": "str", "default": "maas-gateway"},
        "paths": {
            "type": "list",
            "elements": "str",
            "default": ["chat/completions", "completions", "embeddings", "models"],
        },
        "request_timeout": {"type": "str", "default": "15m"},
        "image_mirror": {"type": "str", "default": ""},
        "gpu_resource": {"type": "str", "default": "nvidia.com/gpu"},
        "prompt_check": {"type": "bool", "default": True},
        "check_image": {"type": "str", "default": ""},
        "check_resources": {"type": "dict"},
        "start_timeout_seconds": {"type": "int", "default": 1800},
        "ready_timeout": {"type": "str", "default": "15m"},
        "retire_after": {"type": "str", "default": "168h"},
        "retry_after_seconds": {"type": "int", "default": 60},
        "pod_monitor": {"type": "bool", "default": False},
        "network_peers": {"type": "list", "elements": "dict", "default": []},
        "state": {
            "type": "str",
            "choices": ["present", "absent", "rendered"],
            "default": "present",
        },
        "directory": {"type": "path"},
        "wait_timeout": {"type": "int", "default": 120},
    }
    # Entries may hold environments: what is logged of the call must not.
    module = MaasModule(
        argument_spec=spec,
        supports_check_mode=True,
        required_if=[("state", "present", ["models"]), ("state", "rendered", ["models"])],
        no_log=True,
    )
    called = {"module_args": conceal(module.params)}
    try:
        result = run(
            module.params,
            lambda: Cluster.connect(module.params),
            module.check_mode,
        )
    except MaasError as exc:
        module.fail_json(msg=str(exc), problems=exc.problems, invocation=called)
    result["invocation"] = called
    for warning in result.pop("warnings"):
        module.warn(warning)
    if not module._diff:
        del result["diff"]
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
