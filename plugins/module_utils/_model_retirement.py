# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""How a retired model tells its callers, and stops answering on time by itself. Pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from ._manifests import Manifest, manifest
from ._model import Model
from ._names import MODEL_LABEL

# The clock of the gateway decides, whether or not anybody runs a playbook. The same script for
# every model. Nothing to go by counts as over.
_SCRIPT = """\
function envoy_on_request(handle)
  local said = handle:filterContext()
  if os.time() >= (tonumber(said:get("until")) or 0) then
    handle:respond({[":status"] = "404", ["content-type"] = "application/json"}, said:get("body"))
  end
end
"""


def retirement_headers(since: datetime, until: datetime) -> list[dict[str, str]]:
    """Return what every answer of a retired model carries: RFC 9745 and RFC 8594."""
    return [
        {"name": "Deprecation", "value": f"@{_seconds(since)}"},
        {"name": "Sunset", "value": format_datetime(_utc(until), usegmt=True)},
    ]


def render_deadline(model: Model, until: datetime) -> Manifest:
    """Return what makes the internal Gateway answer 404 from the deadline on."""
    day = _utc(until).strftime("%Y-%m-%d")
    message = f"The model {model.name} was retired on {day} and is not served any more."
    return manifest(
        "gateway.envoyproxy.io/v1alpha1",
        "EnvoyExtensionPolicy",
        model.name,
        model.namespace,
        labels={MODEL_LABEL: model.name},
        spec={
            "targetRefs": [
                {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": model.name}
            ],
            "lua": [
                {
                    "type": "Inline",
                    "inline": _SCRIPT,
                    "filterContext": {
                        "until": _seconds(until),
                        "body": error_body(message, "invalid_request_error", "model_retired"),
                    },
                }
            ],
        },
    )


def error_body(message: str, kind: str, code: str) -> str:
    """Return an error as OpenAI's clients read it."""
    error: dict[str, Any] = {"message": message, "type": kind, "param": "model", "code": code}
    return json.dumps({"error": error})


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
