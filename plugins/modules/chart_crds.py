#!/usr/bin/python
# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Bring the CRDs of a Helm chart into a cluster, and keep them as the chart has them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: chart_crds
short_description: The CRDs of a Helm chart, applied on the server's side
version_added: 0.1.0
author:
  - The maas.platform authors (@maas-platform)
description:
  - Renders a chart and applies the CRDs in it, from its C(crds) folder or from its templates.
    Helm installs those of the folder once and never updates them.
  - An annotation says which text they came from, so an unchanged chart costs one reading.
  - CRDs that someone else installed are left alone, unless O(adopt) says otherwise.
  - Several megabytes of schema pass through one process, and never through a template.
attributes:
  check_mode:
    description: Asks the server what would come out, and changes nothing.
    support: full
  diff_mode:
    description: Schemas are too large to be shown.
    support: none
options:
  name:
    description: A word for the label C(maas.platform/crds), which says that these CRDs are ours.
    type: str
    required: true
  chart_ref:
    description: The chart; an OCI reference, an archive or a directory. Needed to have CRDs.
    type: str
  chart_version:
    description: Its version. Not looked at for an archive or a directory.
    type: str
  helm_binary:
    description: Helm 3.
    type: str
    default: helm
  conversion_ca_pem:
    description: The CA of the CRDs' conversion webhooks, PEM. Empty where they have none.
    type: str
    default: ""
  adopt:
    description: Take over CRDs of these names that someone else installed.
    type: bool
    default: false
  state:
    description: With V(absent), our CRDs and all objects of their kinds are removed.
    type: str
    choices: [present, absent]
    default: present
  wait_timeout:
    description: How many seconds to wait until the cluster serves the kinds, or no longer.
    type: int
    default: 120
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - maas.platform.cluster
"""

EXAMPLES = r"""
- name: Bring the kinds of the Gateway API
  maas.platform.chart_crds:
    name: gateway-api
    chart_ref: oci://docker.io/envoyproxy/gateway-helm
    chart_version: v1.9.1

- name: Remove those that we brought
  maas.platform.chart_crds:
    name: gateway-api
    state: absent
"""

RETURN = r"""
crds:
  description: The names of the CRDs that are ours now; those removed, with O(state=absent).
  returned: success
  type: list
  elements: str
left_alone:
  description: The names of CRDs of the chart that someone else installed.
  returned: success
  type: list
  elements: str
"""

try:
    import yaml

    # Ten times as fast, and there unless PyYAML was built without libyaml.
    LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
except ImportError:
    yaml = None

from ansible_collections.maas.platform.plugins.module_utils._crds import (
    API_VERSION,
    CRDS_LABEL,
    KIND,
    crds_of,
    digest_of,
    is_current,
    mark,
    missing,
)
from ansible_collections.maas.platform.plugins.module_utils._errors import MaasError
from ansible_collections.maas.platform.plugins.module_utils._kubernetes import AUTH_ARGS, Cluster
from ansible_collections.maas.platform.plugins.module_utils._module import MaasModule
from ansible_collections.maas.platform.plugins.module_utils._objects import Key, key_of


def run(params, cluster, render, check_mode):
    """Return the task's result; render gives the chart's manifests as one text."""
    selector = f"{CRDS_LABEL}={params['name']}"
    ours = cluster.select(API_VERSION, KIND, selector=selector)
    if params["state"] == "absent":
        return remove(params, cluster, ours, check_mode)
    text = render()
    digest = digest_of(text, params["conversion_ca_pem"])
    result = {"changed": False, "crds": _names(ours), "left_alone": []}
    if is_current(ours, digest):
        return result
    wanted = crds_of(yaml.load_all(text, LOADER))
    if not wanted:
        raise MaasError(
            f"the chart {params['chart_ref']} has no CustomResourceDefinition; name one that has"
        )
    if not params["adopt"]:
        result["left_alone"] = find_foreign(cluster, wanted, ours)
    applied = [item for item in wanted if item["metadata"]["name"] not in result["left_alone"]]
    manifests = mark(applied, params["name"], digest, params["conversion_ca_pem"])
    live = {key_of(item): item for item in ours}
    changes = cluster.apply_all(manifests, live, dry_run=check_mode)
    result["changed"] = any(change.changed for change in changes)
    result["crds"] = _names(manifests)
    if not check_mode and manifests:

        def unserved():
            return ", ".join(missing(cluster.select(API_VERSION, KIND, selector=selector)))

        cluster.wait("the cluster does not serve the new kinds", unserved, params["wait_timeout"])
    return result


def find_foreign(cluster, wanted, ours):
    """Return the names of wanted CRDs that are in the cluster and not ours."""
    candidates = sorted(set(_names(wanted)) - set(_names(ours)))
    found = cluster.each(lambda name: cluster.find(Key(API_VERSION, KIND, "", name)), candidates)
    return [name for name, item in zip(candidates, found, strict=True) if item is not None]


def remove(params, cluster, ours, check_mode):
    """Remove our CRDs, and wait until they are gone."""
    cluster.each(lambda item: cluster.delete(item, check_mode), ours)
    if ours and not check_mode:
        selector = f"{CRDS_LABEL}={params['name']}"

        def left():
            return ", ".join(_names(cluster.select(API_VERSION, KIND, selector=selector)))

        cluster.wait("objects of these kinds are not gone", left, params["wait_timeout"])
    return {"changed": bool(ours), "crds": _names(ours), "left_alone": []}


def _names(crds):
    return [item["metadata"]["name"] for item in crds]


def render_with(module):
    """Return what renders the chart that the module's options name."""

    def render():
        params = module.params
        if yaml is None:
            raise MaasError("the Python package PyYAML is missing on the machine this task runs on")
        if not params["chart_ref"]:
            raise MaasError("chart_ref is needed to have the CRDs of a chart")
        command = [params["helm_binary"], "template", "crds", params["chart_ref"], "--include-crds"]
        if params["chart_version"]:
            command += ["--version", params["chart_version"]]
        status, out, err = module.run_command(command)
        if status:
            raise MaasError(
                f"Helm could not render {params['chart_ref']}: {err.strip()[-500:]}; see that "
                f"{params['helm_binary']} is Helm 3 and that the chart can be reached from this "
                "machine (a site without internet access names its own copy)"
            )
        return out

    return render


def main():
    spec = {
        **AUTH_ARGS,
        "name": {"type": "str", "required": True},
        "chart_ref": {"type": "str"},
        "chart_version": {"type": "str"},
        "helm_binary": {"type": "str", "default": "helm"},
        "conversion_ca_pem": {"type": "str", "default": ""},
        "adopt": {"type": "bool", "default": False},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "wait_timeout": {"type": "int", "default": 120},
    }
    module = MaasModule(argument_spec=spec, supports_check_mode=True)
    try:
        cluster = Cluster.connect(module.params)
        result = run(module.params, cluster, render_with(module), module.check_mode)
    except MaasError as exc:
        module.fail_from(exc)
    if result["left_alone"]:
        module.warn(
            "left alone, because someone else installed them: " + ", ".join(result["left_alone"])
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
