#!/usr/bin/python
# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Converge what the tiers need on a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tier_policies
short_description: Namespaces, access, catalog and gateway policies of the tiers
version_added: 0.1.0
author:
  - The maas.platform authors (@maas-platform)
description:
  - Renders everything that tiers need from O(tiers), O(models) and O(overrides), and brings the
    cluster to it with server-side apply, field manager C(maas.platform).
  - Reads the tiers that are in force first. Renamed tiers, tiers that migrate or drain, and their
    deadlines are decided from that; objects of earlier runs that nothing renders any more, and
    accounts that stand for nobody, are deleted. A tier that is gone from O(tiers) while users
    still have accounts in it, without an entry that says what becomes of them, is refused before
    anything changes.
  - Switches in an order that leaves no request without a limit and no user without a right. First
    namespaces and rights that are added, then the catalog, which every ready replica of the MaaS
    API must have read, then the limits of old and new together, then the AuthPolicy; what is no
    longer wanted goes last.
  - Returns when the new tiers are in force. That is when Kuadrant says so of the present
    generations, Authorino serves the revision, and Limitador counts by the new limits. Limitador is
    read through a port-forward of the API server; where that is not allowed, a warning says that
    only Kuadrant's word was taken.
  - Where a step fails after the first change, what was in force before is put back, and the
    error says so.
attributes:
  check_mode:
    description:
      - The API server says what would change.
      - Objects whose namespace or kind is still to be made count as created.
    support: full
  diff_mode:
    description:
      - The tiers before and after in words, what was changed by hand, and each changed field.
    support: full
options:
  tiers:
    description:
      - The tiers, as in the inventory's C(maas_tiers).
      - Required unless O(state=absent).
    type: list
    elements: raw
  models:
    description: The models, as in the inventory's C(maas_models).
    type: list
    elements: raw
    default: []
  overrides:
    description: Users with limits of their own, or suspended; C(maas_user_overrides).
    type: list
    elements: raw
    default: []
  parts:
    description:
      - Which parts to converge; they are applied in this order whatever the order here.
      - Parts alone put right what was changed by hand. Where O(tiers) say something else than the
        cluster, they are refused, so that no part knows other tiers than the rest; only
        V(namespaces) may come first, and then deletes nothing.
    type: list
    elements: str
    choices: [namespaces, access, catalog, policies]
    default: [namespaces, access, catalog, policies]
  gateway_namespace:
    description: The namespace of the public Gateway; the policies stand beside it.
    type: str
    default: maas-gateway
  kuadrant_namespace:
    description: The namespace in which Kuadrant keeps what it made of the policies.
    type: str
    default: kuadrant-system
  state:
    description:
      - V(present) converges, V(absent) deletes the chosen parts with all accounts in them.
      - V(rendered) reaches for no cluster and returns the objects, as on a cluster without tiers.
        Renamed tiers, and tiers that migrate or drain, are refused, for what becomes of their
        users depends on the cluster.
      - The namespace of the MaaS API is made and never deleted; that is role C(maas_api)'s to do.
    type: str
    choices: [present, absent, rendered]
    default: present
  directory:
    description:
      - With O(state=rendered), a directory on the machine this runs on to write the objects to,
        one file each under C(<number>-<part>/<kind>.<namespace>.<name>.yaml).
      - Files of O(parts) that this module wrote and that nothing renders any more are removed;
        other files are left alone, and one in the way of a new one is an error.
    type: path
  wait:
    description:
      - Whether to wait in the end until the policies are in force, or the objects gone.
      - What keeps a change in order is waited for in any case. A new tier is let in only once
        its limits hold.
    type: bool
    default: true
  wait_timeout:
    description: How many seconds each wait may take, at least 1.
    type: int
    default: 120
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - maas.platform.catalog
  - maas.platform.cluster
seealso:
  - module: maas.platform.tier_info
  - module: maas.platform.tier_token
"""

EXAMPLES = r"""
- name: Bring the tiers of the inventory into force
  maas.platform.tier_policies:
    tiers: "{{ maas_tiers }}"
    models: "{{ maas_models }}"
    overrides: "{{ maas_user_overrides | default([]) }}"

- name: Rename one tier, and let another drain for a day
  maas.platform.tier_policies:
    models: "{{ maas_models }}"
    tiers:
      - name: pro
        renamed_from: [premium]
        level: 10
        groups: [tier-premium-users]
        models: ["*"]
        limits: {requests: [{limit: 20, window: 2m}], tokens: unlimited}
      - name: trial
        state: absent
        on_removal: {drain: 24h}

- name: Write the objects for GitOps
  maas.platform.tier_policies:
    state: rendered
    tiers: "{{ maas_tiers }}"
    models: "{{ maas_models }}"
    directory: clusters/production/tiers
"""

RETURN = r"""
revision:
  description: A short name of exactly these tiers; empty where O(state=absent).
  returned: success
  type: str
  sample: 3f2a9c1b7d60
summary:
  description: What changes for tiers and users, a line each.
  returned: success
  type: list
  elements: str
  sample: ["tier free: requests 5 per 2m -> 7 per 2m"]
objects:
  description: What became of every object that changed, or would become of it in check mode.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: The object's kind.
      type: str
      returned: success
    namespace:
      description: Its namespace, empty where it has none.
      type: str
      returned: success
    name:
      description: Its name.
      type: str
      returned: success
    action:
      description: Either C(created), C(updated) or C(deleted).
      type: str
      returned: success
drift:
  description: What was changed by hand since the last run, with who did it where that is known.
  returned: success
  type: list
  elements: str
transitions:
  description: Tiers' namespaces on their way to another tier, or out.
  returned: success
  type: list
  elements: dict
  contains:
    namespace:
      description: The namespace.
      type: str
      returned: success
    name:
      description: What its tier was called.
      type: str
      returned: success
    tier:
      description: The tier whose rights its accounts have; empty for one that is deleted.
      type: str
      returned: success
    state:
      description: >-
        C(renamed), C(migrated) or C(draining); of those deleted in this run C(expired),
        C(blocked) or C(vanished).
      type: str
      returned: success
    until:
      description: When its accounts are refused, and after which a run deletes it.
      type: str
      returned: success
    accounts:
      description: How many accounts are in it.
      type: int
      returned: success
pruned_accounts:
  description: Accounts that were deleted, or would be, as C(<namespace>/<name>).
  returned: success
  type: list
  elements: str
timings:
  description: When the change took place, and how long it took.
  returned: success
  type: dict
  contains:
    applied_at:
      description: When the first policy was written; none where no policy changed.
      type: str
      returned: success
    enforced_at:
      description: When everything was seen to be in force; none where that was not waited for.
      type: str
      returned: success
    overlap_seconds:
      description: The time between the two, in which old and new held side by side.
      type: float
      returned: success
    phases:
      description: Seconds by phase of the change.
      type: dict
      returned: success
manifests:
  description: The rendered objects; empty unless O(state=rendered).
  returned: success
  type: list
  elements: dict
files:
  description: The files written or removed under O(directory).
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file.
      type: str
      returned: success
    action:
      description: Either C(created), C(updated) or C(deleted).
      type: str
      returned: success
"""

from ansible_collections.maas.platform.plugins.module_utils._convergence import (
    converge,
    remove,
    utc_now,
)
from ansible_collections.maas.platform.plugins.module_utils._describe import (
    describe_catalog,
    describe_changes,
    describe_moves,
)
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._files import write_files
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import AUTH_ARGS, Cluster
from ansible_collections.maas.platform.plugins.module_utils._module import MaasModule
from ansible_collections.maas.platform.plugins.module_utils._outcome import Outcome
from ansible_collections.maas.platform.plugins.module_utils._policies import (
    PARTS,
    Platform,
    render_plan,
)
from ansible_collections.maas.platform.plugins.module_utils._renderable import check_renderable
from ansible_collections.maas.platform.plugins.module_utils._sizes import check_sizes
from ansible_collections.maas.platform.plugins.module_utils._switch import Run
from ansible_collections.maas.platform.plugins.module_utils._tiers import parse_inventory
from ansible_collections.maas.platform.plugins.module_utils._transitions import fresh_plan


def run(params, connect, check_mode=False, diff_mode=False, now=utc_now):
    """Return the task's result; connect gives the cluster where one is needed."""
    if params["wait_timeout"] < 1:
        raise MaasError(
            f"wait_timeout has value {params['wait_timeout']}, allowed: whole seconds from 1 on; "
            "wait: false returns without waiting in the end"
        )
    how = Run(
        parts=tuple(part for part in PARTS if part in params["parts"]),
        dry_run=check_mode,
        look=diff_mode,
        wait=params["wait"],
        wait_seconds=params["wait_timeout"],
        kuadrant_namespace=params["kuadrant_namespace"],
    )
    platform = Platform(params["gateway_namespace"], params["api_namespace"])
    if params["state"] == "absent":
        return _result(remove(connect(), platform, how))
    inventory = parse_inventory(
        params["tiers"], params["models"], raw_overrides=params["overrides"]
    )
    if params["state"] == "rendered":
        return _render(inventory, platform, how, params["directory"])
    return _result(converge(connect(), inventory, platform, how, now))


def _render(inventory, platform, how, directory):
    check_renderable(inventory)
    planned = fresh_plan(inventory)
    rendered = render_plan(planned, platform)
    check_sizes(rendered)
    parts = {part: rendered.part(part) for part in how.parts}
    files = write_files(directory, parts, how.dry_run) if directory else []
    result = _result(Outcome(revision=rendered.revision, warnings=list(planned.warnings)))
    result["changed"] = bool(files)
    result["manifests"] = rendered.chosen(how.parts)
    result["files"] = [{"path": str(item.path), "action": item.action} for item in files]
    result["diff"] = [
        {
            "before_header": str(item.path),
            "after_header": str(item.path),
            "before": item.before,
            "after": item.after,
        }
        for item in files
    ]
    return result


def _result(outcome):
    return {
        "changed": bool(outcome.changes),
        "revision": outcome.revision,
        "summary": describe_moves(outcome.before, outcome.after),
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
        "transitions": outcome.transitions,
        "pruned_accounts": outcome.pruned_accounts,
        "warnings": outcome.warnings,
        "timings": outcome.timings.as_result(),
        "manifests": [],
        "files": [],
        "diff": _diff(outcome),
    }


def _diff(outcome):
    """Return the diffs in the order in which people ask: tiers, by whom, objects."""
    diffs = []
    before, after = describe_catalog(outcome.before), describe_catalog(outcome.after)
    if before != after:
        diffs.append(
            {
                "before_header": f"tiers on the cluster (revision {outcome.previous_revision})",
                "after_header": f"tiers in the inventory (revision {outcome.revision})",
                "before": before,
                "after": after,
            }
        )
    if outcome.drift:
        lines = "".join(f"  {item}\n" for item in outcome.drift)
        diffs.append({"prepared": f"changed by hand on the cluster:\n{lines}"})
    if outcome.changes:
        fields = describe_changes(outcome.changes)
        diffs.append(
            {"before_header": "objects on the cluster", "after_header": "objects wanted", **fields}
        )
    return diffs


def main():
    spec = {
        **AUTH_ARGS,
        "tiers": {"type": "list", "elements": "raw"},
        "models": {"type": "list", "elements": "raw", "default": []},
        "overrides": {"type": "list", "elements": "raw", "default": []},
        "parts": {
            "type": "list",
            "elements": "str",
            "choices": list(PARTS),
            "default": list(PARTS),
        },
        "gateway_namespace": {"type": "str", "default": "maas-gateway"},
        "api_namespace": {"type": "str", "default": "maas-api"},
        "kuadrant_namespace": {"type": "str", "default": "kuadrant-system"},
        "state": {
            "type": "str",
            "choices": ["present", "absent", "rendered"],
            "default": "present",
        },
        "directory": {"type": "path"},
        "wait": {"type": "bool", "default": True},
        "wait_timeout": {"type": "int", "default": 120},
    }
    module = MaasModule(
        argument_spec=spec,
        supports_check_mode=True,
        required_if=[("state", "present", ["tiers"]), ("state", "rendered", ["tiers"])],
    )
    try:
        result = run(
            module.params,
            lambda: Cluster.connect(module.params),
            module.check_mode,
            module._diff,
        )
    except MaasError as exc:
        module.fail_from(exc)
    for warning in result.pop("warnings"):
        module.warn(warning)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
