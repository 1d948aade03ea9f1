#!/usr/bin/python
# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Report who used what."""

from __future__ import annotations

DOCUMENTATION = r"""
module: usage_report
short_description: Requests and tokens by user, tier and model over a period
version_added: 0.1.0
author:
  - The maas.platform authors (@maas-platform)
description:
  - Asks the platform's Prometheus, through the API server's proxy of its Service, what was used.
  - Numbers are whole and exact as far as Prometheus ran; refused requests count for nobody.
attributes:
  check_mode:
    description: Changes nothing.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
options:
  period:
    description: How far back from O(until), such as C(24h) or C(30d).
    type: str
    default: 30d
  until:
    description: The end of the period in seconds since 1970. Now, unless given.
    type: float
  by:
    description: What the rows are told apart by.
    type: list
    elements: str
    choices: [user, tier, model]
    default: [user, tier, model]
  prometheus_namespace:
    description: The namespace of Prometheus.
    type: str
    default: maas-observability
  prometheus_service:
    description: Its Service and port.
    type: str
    default: prometheus:9090
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - maas.platform.cluster
notes:
  - Needs the rights to C(get) C(services/proxy) of that Service, and to C(list) ServiceAccounts for
    the users' names.
"""

EXAMPLES = r"""
- name: Ask who used what in the last 30 days
  maas.platform.usage_report:
    period: 30d
  register: usage

- name: Ask what each tier used today
  maas.platform.usage_report:
    period: 24h
    by: [tier]
  register: usage_by_tier
"""

RETURN = r"""
rows:
  description: One for each combination of O(by), those that used most tokens first.
  returned: success
  type: list
  elements: dict
  contains:
    user:
      description: The user's name; the account's, where the account is gone.
      type: str
      returned: success
    account:
      description: The name of the account.
      type: str
      returned: success
    tier:
      description: The tier it was in.
      type: str
      returned: success
    model:
      description: Namespace and name of the model.
      type: str
      returned: success
    requests:
      description: Requests that reached the model.
      type: int
      returned: success
    tokens:
      description: Tokens read and written.
      type: int
      returned: success
    prompt_tokens:
      description: Tokens read.
      type: int
      returned: success
    completion_tokens:
      description: Tokens written.
      type: int
      returned: success
csv:
  description: The same as CSV, with a heading.
  returned: success
  type: str
complete:
  description: Whether Prometheus has data from the whole period.
  returned: success
  type: bool
data_since:
  description: The time of its oldest data in seconds since 1970, where it says so.
  returned: success
  type: float
"""

import time
from dataclasses import asdict

from ansible_collections.maas.platform.plugins.module_utils._accounts import owner_of
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import (
    AUTH_ARGS,
    ApiError,
    Cluster,
)
from ansible_collections.maas.platform.plugins.module_utils._module import MaasModule
from ansible_collections.maas.platform.plugins.module_utils._names import ACCOUNT_LABEL
from ansible_collections.maas.platform.plugins.module_utils._usage import (
    COUNTED,
    LABELS,
    make_rows,
    parse_period,
    question,
    read_answer,
    write_csv,
)

_OLDEST = "min(prometheus_tsdb_lowest_timestamp_seconds)"


def run(params, cluster, now=time.time):
    """Return the task's result; reach the cluster through cluster only."""
    seconds = parse_period(params["period"])
    until = params["until"] or now()
    by = [label for label in LABELS if label in params["by"]]
    ask = _asker(params, cluster, until)
    answers = {counted: ask(question(counted, by, seconds)) for counted in COUNTED}
    oldest = next(iter(ask(_OLDEST).values()), None)
    rows = make_rows(answers, _owners(cluster) if "user" in by else {})
    return {
        "changed": False,
        "rows": [asdict(row) for row in rows],
        "csv": write_csv(rows),
        "complete": oldest is not None and oldest <= until - seconds,
        "data_since": oldest,
    }


def _asker(params, cluster, until):
    where = f"{params['prometheus_namespace']}/services/{params['prometheus_service']}"

    def ask(promql):
        query = [("query", promql), ("time", f"{until:.3f}")]
        path = f"/api/v1/namespaces/{where}/proxy/api/v1/query"
        try:
            return read_answer(cluster.request("GET", path, query)[1])
        except ApiError as exc:
            raise MaasError(
                f"Prometheus at {where} could not be asked: {exc}; role observability installs it"
            ) from exc

    return ask


def _owners(cluster):
    accounts = cluster.select("v1", "ServiceAccount", selector=ACCOUNT_LABEL)
    return {
        account["metadata"]["name"]: user for account in accounts if (user := owner_of(account))
    }


def main():
    spec = {
        **AUTH_ARGS,
        "period": {"type": "str", "default": "30d"},
        "until": {"type": "float"},
        "by": {
            "type": "list",
            "elements": "str",
            "choices": list(LABELS),
            "default": list(LABELS),
        },
        "prometheus_namespace": {"type": "str", "default": "maas-observability"},
        "prometheus_service": {"type": "str", "default": "prometheus:9090"},
    }
    module = MaasModule(argument_spec=spec, supports_check_mode=True)
    try:
        result = run(module.params, Cluster.connect(module.params))
    except MaasError as exc:
        module.fail_from(exc)
    if not result["complete"]:
        module.warn("Prometheus has no data from the beginning of this period: usage is missing")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
