#!/usr/bin/python
# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Read the models of a cluster and how they are."""

from __future__ import annotations

DOCUMENTATION = r"""
module: model_info
short_description: The models of a cluster, how they are, and who may call them
version_added: 0.2.0
author:
  - The maas.platform authors (@maas-platform)
description:
  - Reads every LLMInferenceService with what runs it, its route, its autoscaler and the tiers that
    may call it, and says in words why one does not serve.
  - With O(models), also names those that the inventory has and the cluster has not.
attributes:
  check_mode:
    description: Changes nothing.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
options:
  name:
    description: Only this model; one that is neither there nor in O(models) is an error.
    type: str
  namespace:
    description: Only models of this namespace.
    type: str
  models:
    description: Models as in the inventory's C(maas_models), to tell which are missing.
    type: list
    elements: raw
    default: []
  model_defaults:
    description: What is merged below every model, the inventory's C(maas_model_defaults).
    type: dict
    default: {}
  url:
    description:
      - Where people reach the platform, such as C(https://maas.example.com:8443).
      - By default the host of the public Gateway, port 443.
    type: str
    default: ""
  gateway_namespace:
    description: The namespace of the public Gateway.
    type: str
    default: maas-gateway
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - maas.platform.catalog
  - maas.platform.cluster
seealso:
  - module: maas.platform.model_services
  - module: maas.platform.tier_info
"""

EXAMPLES = r"""
- name: Read how the models are
  maas.platform.model_info:
    models: "{{ maas_models }}"
  register: models_found
  failed_when: models_found.models | rejectattr('state', 'in', ['serving', 'paused', 'retired'])

- name: Read one of them, with its URL as people type it
  maas.platform.model_info:
    name: gemma
    url: https://maas.example.com:8443
"""

RETURN = r"""
models:
  description: The models, by namespace and name.
  returned: success
  type: list
  elements: dict
  contains:
    namespace:
      description: Its namespace.
      type: str
      returned: success
    name:
      description: Its name.
      type: str
      returned: success
    state:
      description:
        - C(serving) all of its present version answers; C(degraded) it answers, and not all of it;
          C(starting) it may come up; C(failed) it will not by itself.
        - C(paused); C(retired), see C(until).
        - C(missing) it is in O(models) only; C(unmanaged) somebody else made it.
      type: str
      returned: success
    until:
      description: Until when a retired model is served; empty for others.
      type: str
      returned: success
    url:
      description: What clients take for a base URL; empty where no Gateway says the host.
      type: str
      returned: success
    replicas:
      description: How many copies are C(wanted), and C(ready).
      type: dict
      returned: success
    canary:
      description:
        - Its C(weight) in a hundred requests, whether all of it is C(ready), its C(replicas),
          whether it is C(proven), and its C(error). Empty where there is none.
      type: dict
      returned: success
    autoscaling:
      description: C(min), C(max), C(current) and C(desired) copies; empty where nothing scales it.
      type: dict
      returned: success
    gpus:
      description:
        - What all copies that are wanted have C(asked) for, and what pods hold (C(used)), the
          canary's included. Claims are not counted.
      type: dict
      returned: success
    nodes:
      description: The nodes its pods are on.
      type: list
      elements: str
      returned: success
    pools:
      description: The pools of those nodes.
      type: list
      elements: str
      returned: success
    tiers:
      description: The tiers that may call it, as in the catalog; disabled ones are left out.
      type: list
      elements: str
      returned: success
    proven:
      description: Whether its present version has answered a prompt.
      type: bool
      returned: success
    error:
      description: What is wrong, in words and without secrets; empty where nothing is.
      type: str
      returned: success
table:
  description: The same as a table, a line each.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.maas.platform.plugins.module_utils._checks import Problems
from ansible_collections.maas.platform.plugins.module_utils._convergence import utc_now
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError, nearest, show
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import AUTH_ARGS, Cluster
from ansible_collections.maas.platform.plugins.module_utils._model_info import (
    describe,
    look,
    table,
)
from ansible_collections.maas.platform.plugins.module_utils._models import read_models
from ansible_collections.maas.platform.plugins.module_utils._module import MaasModule


def run(params, cluster, now=utc_now):
    """Return the task's result; reach the cluster through cluster only."""
    problems = Problems()
    wanted = read_models(problems, params["models"], defaults=params["model_defaults"])
    if problems:
        raise MaasError("maas_models is not valid", problems)
    seen = look(cluster, params["gateway_namespace"], params["api_namespace"], params["url"])
    # What is retired is removed in the end, whatever its entry says.
    expected = [model.ref for model in wanted if model.state != "retired"]
    models = describe(cluster, seen, expected, now())
    if params["namespace"] is not None:
        models = [model for model in models if model["namespace"] == params["namespace"]]
    if params["name"] is not None:
        models = _named(models, params["name"])
    return {"changed": False, "models": models, "table": table(models)}


def _named(models, name):
    found = [model for model in models if model["name"] == name]
    if not found:
        known = [model["name"] for model in models]
        hint = nearest(name, known)
        raise MaasError(
            f"there is no model {show(name)}; the models are {', '.join(known) or '(none)'}"
            + (f" ({hint})" if hint else "")
        )
    return found


def main():
    spec = {
        **AUTH_ARGS,
        "name": {"type": "str"},
        "namespace": {"type": "str"},
        "models": {"type": "list", "elements": "raw", "default": []},
        "model_defaults": {"type": "dict", "default": {}},
        "url": {"type": "str", "default": ""},
        "gateway_namespace": {"type": "str", "default": "maas-gateway"},
        "api_namespace": {"type": "str", "default": "maas-api"},
    }
    # Entries may hold environments: what is logged of the call must not.
    module = MaasModule(argument_spec=spec, supports_check_mode=True, no_log=True)
    called = {"module_args": {"name": module.params["name"], "url": module.params["url"]}}
    try:
        result = run(module.params, Cluster.connect(module.params))
    except MaasError as exc:
        module.fail_json(msg=str(exc), problems=exc.problems, invocation=called)
    module.exit_json(**result, invocation=called)


if __name__ == "__main__":
    main()
