# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""An owner's day: edit the inventory, run a playbook; unless told otherwise maas.platform.tiers.

Every edit is an inventory of its own, laid over inventories/kind, so the checkout stays as it is.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from running_lab import CHECKOUT

from playbooks import ENVIRONMENT

KIND = CHECKOUT / "inventories" / "kind"
Entry = dict[str, Any]

#: So much of everything that no test gets there.
WIDE = {
    "requests": [{"limit": 1_000_000, "window": "1h"}],
    "tokens": [{"limit": 100_000_000, "window": "1h"}],
}


def tier(name: str, level: int, group: str, **changes: Any) -> Entry:
    """Write one entry of maas_tiers."""
    return {
        "name": name,
        "level": level,
        "groups": [group],
        "models": ["gemma"],
        "limits": WIDE,
    } | (changes)


@dataclass(frozen=True)
class Outcome:
    """What a run of the playbook said."""

    status: int
    changed: int
    result: dict[str, Any]
    text: str
    results: tuple[dict[str, Any], ...] = ()

    def having(self, key: str) -> dict[str, Any]:
        """Return the last task's result that has this key."""
        found = [result for result in self.results if key in result]
        assert found, f"no task's result has {key!r}: {self.text}"
        return found[-1]

    def at(self, key: str) -> float:
        """Return a time of the change, applied_at or enforced_at, in seconds since 1970."""
        return datetime.fromisoformat(self.result["timings"][key]).timestamp()

    @property
    def message(self) -> str:
        """Why the run failed."""
        return str(self.result.get("msg", self.text))


class Inventory:
    """The lab's inventory with further tiers, as a folder to pass to ansible-playbook."""

    def __init__(self, folder: Path, steady: list[Entry]) -> None:
        self._folder = folder
        self._steady = steady
        text = (KIND / "group_vars" / "maas_platform" / "tiers.yml").read_text()
        self._kind: list[Entry] = yaml.safe_load(text)["maas_tiers"]
        # Tiers that tests brought in, and that the next edit does away with.
        self._brought: set[str] = set()

    def write(self, tiers: list[Entry], **variables: Any) -> list[str]:
        """Write an edit; return the arguments that name it."""
        named = {entry["name"] for entry in tiers}
        # Whoever was in a tier that was renamed goes where the new one goes.
        self._brought -= {old for entry in tiers for old in entry.get("renamed_from", [])}
        gone = [
            {"name": name, "state": "absent", "on_removal": "block"}
            for name in sorted(self._brought - named)
        ]
        edit = {"maas_tiers": [*self._kind, *self._steady, *tiers, *gone], **variables}
        self._brought |= {entry["name"] for entry in tiers}
        folder = self._folder / "group_vars" / "maas_platform"
        folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "hosts.yml").write_text("maas_platform: {}\n")
        text = yaml.safe_dump(edit, allow_unicode=True, sort_keys=False)
        (folder / "tiers.yml").write_text(text)
        return [f"--inventory={KIND}", f"--inventory={self._folder}"]

    def keep_quiet_about(self, name: str) -> None:
        """Leave a tier out of the next edits without a word on what becomes of its users."""
        self._brought.discard(name)

    def speak_again_of(self, name: str) -> None:
        """Do away with that tier by the next edit after all."""
        self._brought.add(name)

    def forget(self) -> None:
        """Let go of the steady tiers as well, so that the next edit removes them."""
        self._brought |= {entry["name"] for entry in self._steady}
        self._steady = []


class Owner:
    """Runs a playbook of maas.platform over an edit and waits for it."""

    def __init__(self, inventory: Inventory, playbook: str = "tiers") -> None:
        self.inventory = inventory
        self._playbook = playbook

    def apply(self, *tiers: Entry, args: tuple[str, ...] = (), **variables: Any) -> Outcome:
        """Run the playbook over these further tiers; it must succeed."""
        outcome = self.run(*tiers, args=args, **variables)
        assert outcome.status == 0, outcome.message
        return outcome

    def apply_twice(self, *tiers: Entry, **variables: Any) -> Outcome:
        """Run the playbook, then again: the second run changes nothing. Return the first's."""
        outcome = self.apply(*tiers, **variables)
        again = self.apply(*tiers, **variables)
        assert again.changed == 0, again.result
        return outcome

    def refuse(self, *tiers: Entry, **variables: Any) -> str:
        """Run the playbook, which must stop before anything changes; return its message."""
        outcome = self.run(*tiers, **variables)
        assert outcome.status != 0
        assert outcome.changed == 0
        return outcome.message

    def run(self, *tiers: Entry, args: tuple[str, ...] = (), **variables: Any) -> Outcome:
        """Run the playbook over these further tiers."""
        done = subprocess.run(
            self._command(list(tiers), variables, args),
            cwd=CHECKOUT,
            env={**_environment(), "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return _read(done)

    def explain(self, *tiers: Entry, **variables: Any) -> str:
        """Return what --check --diff prints for people."""
        done = subprocess.run(
            self._command(list(tiers), variables, ("--check", "--diff")),
            cwd=CHECKOUT,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:]
        return done.stdout

    def kill(self, *tiers: Entry, when: Callable[[], bool], **variables: Any) -> None:
        """Start the playbook and kill all of it as soon as something has come true."""
        process = subprocess.Popen(
            self._command(list(tiers), variables, ()),
            cwd=CHECKOUT,
            env=_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            while not when():
                assert process.poll() is None, "the playbook ended before it could be killed"
                time.sleep(0.02)
        finally:
            # Its workers and the module are in its process group.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=30)

    def _command(
        self, tiers: list[Entry], variables: dict[str, Any], args: tuple[str, ...]
    ) -> list[str]:
        program = str(Path(sys.executable).with_name("ansible-playbook"))
        inventory = self.inventory.write(tiers, **variables)
        return [program, *inventory, f"maas.platform.{self._playbook}", *args]


def _environment() -> dict[str, str]:
    return {**os.environ, **ENVIRONMENT}


def _read(done: subprocess.CompletedProcess[str]) -> Outcome:
    try:
        said = json.loads(done.stdout[done.stdout.index("{") :])
    except ValueError as exc:
        raise AssertionError(f"{done.stdout[-2000:]}{done.stderr[-2000:]}") from exc
    results = [
        task["hosts"]["kind"]
        for play in said["plays"]
        for task in play["tasks"]
        if "kind" in task["hosts"]
    ]
    failed = [result for result in results if result.get("failed")]
    converged = [result for result in results if "revision" in result]
    return Outcome(
        status=done.returncode,
        changed=said["stats"]["kind"]["changed"],
        result=(failed or converged or [{}])[-1],
        text=done.stdout[-3000:] + done.stderr[-3000:],
        results=tuple(results),
    )
