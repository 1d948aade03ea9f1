# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""One edited limit, from the inventory to the gateway, by the playbook that users run."""

from __future__ import annotations

import json
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks import CHECKOUT
from benchmarks.lab import JSON_OUTPUT, Lab, parse_json, stopwatch
from benchmarks.report import Report

_GOAL_SECONDS = 15.0
_SLOWEST = 6


def run(lab: Lab, _small: bool) -> Report:
    """Edit a limit of the lowest tier, run the playbook, and put the inventory's limit back."""
    tiers = _inventory(lab)["maas_tiers"]
    edited = json.loads(json.dumps(tiers))
    rate = next(
        rate
        for tier in edited
        if isinstance((tier.get("limits") or {}).get("requests"), list)
        for rate in tier["limits"]["requests"]
    )
    rate["limit"] += 1
    report = Report(
        "edit",
        "one edited limit by the whole playbook maas.platform.tiers",
        "Ansible running a play in which nothing happens",
    )
    start = lab.start_seconds()
    try:
        seconds, played = _play(lab, {"maas_tiers": edited})
    finally:
        back, _played = _play(lab, {})
    unchanged, _played = _play(lab, {})
    report.add("whole run, one limit edited", seconds, "s", seconds / start)
    report.add("whole run, the limit put back", back, "s", back / start)
    report.add("whole run, nothing to do", unchanged, "s", unchanged / start)
    report.add("Ansible, a play in which nothing happens", start, "s", 1.0)
    tasks = sorted(_tasks(played), key=lambda task: task[1], reverse=True)
    for name, took in tasks[:_SLOWEST]:
        report.add(f"of the edited run, task: {name}", took, "s", took / start)
    rest = seconds - sum(took for _name, took in tasks)
    report.add("of the edited run, outside of tasks", rest, "s", rest / start)
    for name, took in _timings(played).items():
        report.add(f"of the module: {name}", took, "s")
    report.judge(f"whole run in at most {_GOAL_SECONDS:g} s", seconds <= _GOAL_SECONDS)
    return report


def _inventory(lab: Lab) -> Any:
    [host] = json.loads(lab.ansible("ansible-inventory", f"-i{lab.inventory}", "--list"))[
        "maas_platform"
    ]["hosts"]
    return json.loads(lab.ansible("ansible-inventory", f"-i{lab.inventory}", "--host", host))


def _play(lab: Lab, variables: dict[str, Any]) -> tuple[float, Any]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "edited.json"
        file.write_text(json.dumps(variables))
        with stopwatch() as seconds:
            printed = lab.ansible(
                "ansible-playbook",
                f"--inventory={lab.inventory}",
                f"--extra-vars=@{file}",
                str(CHECKOUT / "playbooks" / "tiers.yml"),
                **JSON_OUTPUT,
            )
    return seconds[0], parse_json(printed)


def _tasks(played: Any) -> list[tuple[str, float]]:
    found = []
    for play in played["plays"]:
        for entry in play["tasks"]:
            begin, end = (entry["task"]["duration"].get(key) for key in ("start", "end"))
            if begin and end:
                took = datetime.fromisoformat(end) - datetime.fromisoformat(begin)
                found.append((entry["task"]["name"], took.total_seconds()))
    return found


def _timings(played: Any) -> dict[str, float]:
    """Return the phases that the module itself reports, in seconds."""
    for play in played["plays"]:
        for entry in play["tasks"]:
            for result in entry["hosts"].values():
                timings = result.get("timings")
                if isinstance(timings, dict):
                    overlap = {"old and new limits side by side": timings["overlap_seconds"]}
                    return {**timings["phases"], **overlap}
    return {}
