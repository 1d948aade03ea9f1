# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The edits of the story, one inventory after another; see conftest.py."""

from __future__ import annotations

from day2 import Entry
from model_owner import context, model

BIRCH, CEDAR, MAPLE, WILLOW, OAK = (
    f"story-{tree}" for tree in ("birch", "cedar", "maple", "willow", "oak")
)
NAMES = (BIRCH, CEDAR, MAPLE, WILLOW)
#: What callers see of a version: its context.
FIRST, SECOND, CANARY = 1024, 1536, 512
RETIRE_SECONDS = 75
READY_SECONDS = 40

# 2. Four models come. What is to be scaled is slow, so that load does not take the whole machine.
SLOW = context(FIRST)
SLOW["resources"]["limits"]["cpu"] = "400m"
ADDED = [model(name, runtime=SLOW if name == MAPLE else context(FIRST)) for name in NAMES]

# 3. One is changed, and three are changed for the worse; put right before the next chapter.
BIRCH_CHANGED = model(BIRCH, runtime=context(SECOND))
CHANGED = [BIRCH_CHANGED, *ADDED[1:]]

# 4. A canary, a pause, a scale that follows the load, a retirement.
SCALED = model(MAPLE, runtime=SLOW)
SCALED["autoscaling"] = {
    "min": 1,
    "max": 2,
    "signal": "requests",
    "target": 1,
    "scale_down_after": "15s",
}
del SCALED["replicas"]
RETIRED = model(WILLOW, runtime=context(FIRST), state="retired", retire_after=f"{RETIRE_SECONDS}s")
MOVED = [
    BIRCH_CHANGED | {"canary": {"weight": 50, "runtime": context(CANARY)}},
    model(CEDAR, runtime=context(FIRST), state="paused"),
    SCALED,
    RETIRED,
]

# 5. The canary gets nothing, the paused model comes back with a canary of its own.
MOVED_ON = [
    BIRCH_CHANGED | {"canary": {"weight": 0, "runtime": context(CANARY)}},
    model(CEDAR, runtime=context(FIRST), canary={"weight": 50, "runtime": context(CANARY)}),
    SCALED,
    RETIRED,
]

# 6. One canary becomes the model, the other goes.
SETTLED = [
    model(BIRCH, runtime=context(CANARY)),
    model(CEDAR, runtime=context(FIRST)),
    SCALED,
]

# 7. One model more and another change, in a run that is killed.
GROWN = [model(BIRCH, runtime=context(SECOND)), *SETTLED[1:], model(OAK)]


def changed_badly() -> list[Entry]:
    """Write the updates of chapter 3: a good one, and three that cannot work."""
    cedar, maple, willow = (dict(entry) for entry in ADDED[1:])
    runtime = context(FIRST)
    cedar["runtime"] = runtime | {"args": [*runtime["args"], "--no-such-option"]}
    maple["runtime"] = SLOW | {"image": f"{runtime['image']}-which-nobody-built"}
    willow["runtime"] = {"image": LISTENS_IMAGE, "command": ["python3", "-c", LISTENS]}
    willow["ready_timeout"] = f"{READY_SECONDS}s"
    return [BIRCH_CHANGED, cedar, maple, willow]


#: The one image with a Python that is certain to be on the cluster.
LISTENS_IMAGE = "ghcr.io/maas-platform/maas-api:0.1.0"
#: A server that is well by its own account, and that never answers a prompt.
LISTENS = """
import http.server, threading

class Silent(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self):
        threading.Event().wait()

http.server.ThreadingHTTPServer(("", 8000), Silent).serve_forever()
"""
