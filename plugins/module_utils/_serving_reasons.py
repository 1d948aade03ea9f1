# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Why a pod of a model does not serve, in words a model owner can act on. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ._objects import conditions

#: From so many restarts on, a container that never served will not serve.
MOST_RESTARTS = 3
#: The longest piece of a log or a message that is told.
_LONGEST = 300

#: failed: this never gets better. doubtful: it hardly does; a moment's patience. waiting: it may.
Severity = Literal["failed", "doubtful", "waiting"]

_NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_NO_CONTAINER = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
#: What a registry says that will say the same next time.
_FINAL_PULL = re.compile(
    r"not found|manifest unknown|denied|unauthorized|forbidden|invalid reference", re.IGNORECASE
)
_TELLING = re.compile(
    r"error|exception|fail|fatal|invalid|unknown|cannot|can't|unable|denied|no such|not found|"
    r"out of memory|killed|abort",
    re.IGNORECASE,
)
#: Text that gives a secret away, however it got into a log.
_SECRETS = (
    re.compile(r"\b(hf_|sk-|ghp_|glpat-|xox[abp]-)[\w-]{8,}"),
    re.compile(r"\bAKIA[0-9A-Z]{12,}"),
    re.compile(r"\beyJ[\w-]{10,}\.[\w-]+(\.[\w-]*)?"),
    re.compile(r"(?i)\bbearer\s+\S+"),
    re.compile(r"://[^/\s:@]+:[^/\s@]+@"),
    re.compile(
        r"(?i)\b[\w-]*(password|passwd|secret|token|api[_-]?key|credential)[\w-]*[\"']?\s*[=:]"
        r"\s*[\"']?[^\s\"',]+"
    ),
)
_SECRET_NAME = re.compile(r"(?i)token|key|secret|pass|credential")


@dataclass(frozen=True)
class Finding:
    """What keeps one container, or a whole pod, from serving."""

    severity: Severity
    words: str
    pod: str = ""
    container: str = ""
    #: Whether its log has more to say, and of which of its lives.
    log: Literal["", "present", "previous"] = ""


def look_at_pod(pod: Mapping[str, Any]) -> Finding | None:
    """Return what keeps a pod from serving; None where nothing does."""
    state = conditions(pod)
    if (state.get("Ready") or {}).get("status") == "True":
        return None
    name = str(pod["metadata"]["name"])
    found = sorted(_findings(pod, name), key=lambda it: _ORDER[it.severity])
    if found:
        return found[0]
    scheduled = state.get("PodScheduled") or {}
    if scheduled.get("status") == "False":
        why = shorten(str(scheduled.get("message") or scheduled.get("reason") or ""))
        return Finding("waiting", f"no node takes pod {name}: {why}", name)
    reason = (pod.get("status") or {}).get("reason")
    if reason:
        text = shorten(str((pod.get("status") or {}).get("message") or ""))
        return Finding("waiting", f"pod {name} is {reason}: {text}", name)
    return Finding("waiting", f"pod {name} is not ready yet", name)


_ORDER: Mapping[Severity, int] = {"failed": 0, "doubtful": 1, "waiting": 2}


def _findings(pod: Mapping[str, Any], name: str) -> Iterator[Finding]:
    status = pod.get("status") or {}
    for item in status.get("initContainerStatuses") or []:
        yield from _look_at_container(pod, name, item, "init container")
    for item in status.get("containerStatuses") or []:
        yield from _look_at_container(pod, name, item, "container")


def _look_at_container(
    pod: Mapping[str, Any], name: str, item: Mapping[str, Any], kind: str
) -> Iterator[Finding]:
    container = str(item.get("name"))
    state = item.get("state") or {}
    waiting, running = state.get("waiting") or {}, state.get("running")
    last = (item.get("lastState") or {}).get("terminated") or {}
    ended = state.get("terminated") or last
    if item.get("ready") or (kind == "init container" and ended and not ended.get("exitCode")):
        return
    reason = str(waiting.get("reason") or "")
    message = hide(shorten(str(waiting.get("message") or "")), pod)
    what = f"{kind} {container} of pod {name}"
    if reason in _NO_IMAGE:
        image = _image(pod, container)
        refusal = _FINAL_PULL.search(str(waiting.get("message") or ""))
        final = reason in _NO_IMAGE[2:] or refusal is not None
        yield Finding(
            "failed" if final else "doubtful",
            f"the image {image} of {kind} {container} cannot be pulled ({reason}): {message}",
            name,
            container,
        )
    elif reason in _NO_CONTAINER:
        yield Finding(
            "doubtful", f"{what} cannot be started ({reason}): {message}", name, container
        )
    elif ended and ended.get("exitCode"):
        restarts = int(item.get("restartCount") or 0)
        yield Finding(
            "failed" if restarts >= MOST_RESTARTS else "waiting",
            f"{what} ended {restarts + (0 if waiting or running else 1)} time(s), last with "
            f"{_ending(ended)}{_said(ended, pod)}",
            name,
            container,
            "" if ended.get("message") else "previous" if waiting or running else "present",
        )
    elif running is not None:
        if item.get("started") is False or kind == "init container":
            yield Finding(
                "waiting", f"{what} runs and is not ready yet", name, container, "present"
            )
        else:
            yield Finding("waiting", f"{what} runs and is not ready", name, container, "present")


def _ending(ended: Mapping[str, Any]) -> str:
    reason = str(ended.get("reason") or "")
    code = f"exit code {ended.get('exitCode')}"
    if reason == "OOMKilled":
        return f"{code} (it needed more memory than its limit)"
    return code if reason in ("", "Error") else f"{code} ({reason})"


def _said(ended: Mapping[str, Any], pod: Mapping[str, Any]) -> str:
    line = telling_line(str(ended.get("message") or ""), pod)
    return f": {line}" if line else ""


def telling_line(log: str, pod: Mapping[str, Any]) -> str:
    """Return the line of a log that says most about its end, without secrets; or nothing."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    if not lines:
        return ""
    telling = [line for line in lines if _TELLING.search(line)]
    return hide(shorten((telling or lines)[-1]), pod)


def shorten(text: str) -> str:
    """Return text as one line of a bearable length, without terminal control."""
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    line = " ".join("".join(c if c.isprintable() else " " for c in plain).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def hide(text: str, pod: Mapping[str, Any]) -> str:
    """Return text without what may be a secret: known forms, and values of secret variables."""
    for value in sorted(_secret_values(pod), key=len, reverse=True):
        text = text.replace(value, "********")
    for pattern in _SECRETS:
        text = pattern.sub("********", text)
    return text


def _secret_values(pod: Mapping[str, Any]) -> set[str]:
    spec = pod.get("spec") or {}
    return {
        str(variable["value"])
        for key in ("containers", "initContainers")
        for container in spec.get(key) or []
        for variable in container.get("env") or []
        if _SECRET_NAME.search(str(variable.get("name"))) and len(str(variable.get("value"))) > 3
        if variable.get("value")
    }


def _image(pod: Mapping[str, Any], container: str) -> str:
    spec = pod.get("spec") or {}
    for key in ("containers", "initContainers"):
        for item in spec.get(key) or []:
            if item.get("name") == container:
                return str(item.get("image"))
    return "?"
