#!/usr/bin/python
# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Call a model through the gateway and check the answer's status."""

from __future__ import annotations

DOCUMENTATION = r"""
module: inference_probe
short_description: One call of a model through the gateway, as a user's client makes it
version_added: 0.1.0
author:
  - The maas.platform authors (@maas-platform)
description:
  - Sends one chat completion and fails unless the answer has one of the expected statuses.
  - A call counts against the limits of the token's user, like any other.
attributes:
  check_mode:
    description: Calls nothing and says so; the result then has no status.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
options:
  url:
    description: The model's URL, without C(/v1).
    type: str
    required: true
  path:
    description: What to call below O(url).
    type: str
    default: /v1/chat/completions
  model:
    description: The model's name.
    type: str
    required: true
  token:
    description: The caller's token; without one the call carries none.
    type: str
  address:
    description: Connect here instead of resolving the host in O(url).
    type: str
    default: ""
  ca_path:
    description: A file with the certificate authority of the gateway.
    type: path
  ca_pem:
    description: The certificate authority itself, as PEM.
    type: str
  prompt:
    description: What to ask.
    type: str
    default: Say hello.
  max_tokens:
    description: How many tokens the model may answer with.
    type: int
    default: 8
  expected_status:
    description: The statuses that are right.
    type: list
    elements: int
    default: [200]
  timeout:
    description: How many seconds to wait for the connection, and for each part of the answer.
    type: int
    default: 30
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
requirements:
  - python >= 3.11
notes:
  - The connection options are accepted because C(module_defaults) sets them for every module of
    the group C(maas.platform.maas). They are not used here.
seealso:
  - module: maas.platform.tier_token
"""

EXAMPLES = r"""
- name: Check that nobody gets in without a token
  maas.platform.inference_probe:
    url: https://maas.example.com/llm/gemma
    model: gemma
    expected_status: [401]

- name: Check that a user of the tier is served
  maas.platform.inference_probe:
    url: https://maas.example.com/llm/gemma
    model: gemma
    token: "{{ alice_token.token }}"
  no_log: true
"""

RETURN = r"""
status:
  description: The answer's status; empty in check mode.
  returned: always
  type: int
  sample: 200
latency_ms:
  description: How long it took, connection included.
  returned: always
  type: int
usage:
  description: The tokens the model counted.
  returned: always
  type: dict
text:
  description: What the model answered.
  returned: always
  type: str
error:
  description: The message of a refusal.
  returned: always
  type: str
revision:
  description: The revision of the tiers that refused the call; empty where it was not refused.
  returned: always
  type: str
"""

from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import AUTH_ARGS
from ansible_collections.maas.platform.plugins.module_utils._module import MaasModule
from ansible_collections.maas.platform.plugins.module_utils._names import REVISION_HEADER
from ansible_collections.maas.platform.plugins.module_utils._probe import Target, post


def run(params, check_mode=False, send=post):
    """Return the task's result; send makes the call."""
    result = dict.fromkeys(("status", "latency_ms", "usage", "text", "error", "revision"))
    result["changed"] = False
    if check_mode:
        return result
    target = Target(
        params["url"].rstrip("/") + params["path"],
        params["address"],
        params["ca_path"] or "",
        params["ca_pem"] or "",
        params["timeout"],
    )
    body = {
        "model": params["model"],
        "messages": [{"role": "user", "content": params["prompt"]}],
        "max_tokens": params["max_tokens"],
    }
    answer = send(target, body, params["token"])
    content = answer.body if isinstance(answer.body, dict) else {}
    result.update(
        status=answer.status,
        latency_ms=answer.latency_ms,
        usage=content.get("usage"),
        text=_text(content),
        error=_error(answer, content),
        revision=answer.headers.get(REVISION_HEADER, ""),
    )
    if answer.status not in params["expected_status"]:
        expected = " or ".join(str(status) for status in params["expected_status"])
        raise MaasError(
            f"{target.url} answered {answer.status} instead of {expected}: {result['error']}"
        )
    return result


def _text(content):
    choices = content.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return ""
    return str((choices[0].get("message") or {}).get("content") or "")


def _error(answer, content):
    if answer.status < 400:
        return ""
    error = content.get("error")
    if isinstance(error, dict):
        return str(error.get("message") or "")
    return str(content.get("message") or error or answer.body)[:200]


def main():
    spec = {
        **AUTH_ARGS,
        "url": {"type": "str", "required": True},
        "path": {"type": "str", "default": "/v1/chat/completions"},
        "model": {"type": "str", "required": True},
        "token": {"type": "str", "no_log": True},
        "address": {"type": "str", "default": ""},
        "ca_path": {"type": "path"},
        "ca_pem": {"type": "str"},
        "prompt": {"type": "str", "default": "Say hello."},
        "max_tokens": {"type": "int", "default": 8, "no_log": False},
        "expected_status": {"type": "list", "elements": "int", "default": [200]},
        "timeout": {"type": "int", "default": 30},
    }
    module = MaasModule(
        argument_spec=spec,
        supports_check_mode=True,
        mutually_exclusive=[("ca_path", "ca_pem")],
    )
    try:
        result = run(module.params, module.check_mode)
    except MaasError as exc:
        module.fail_from(exc)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
