"""An OCI runtime that runs runc without the one capability this machine lacks.

Where the capability bounding set has no CAP_SYS_RESOURCE, runc cannot grant it (``--privileged``
asks for every capability), nor raise resource limits, nor lower an out-of-memory score. The
engine starts this file in runc's place; it takes exactly those three wishes out of what runc is
about to read and then becomes runc.

It is copied beside the engine's data and run by itself: standard library only, no package imports.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

CAPABILITY = "CAP_SYS_RESOURCE"
RUNC_VARIABLE = "MAAS_LAB_RUNC"


def permit(process: dict[str, Any]) -> dict[str, Any]:
    """Return an OCI process without what needs CAP_SYS_RESOURCE."""
    allowed = {key: value for key, value in process.items() if key != "rlimits"}
    if "capabilities" in allowed:
        allowed["capabilities"] = {
            kind: [name for name in names if name != CAPABILITY]
            for kind, names in (allowed["capabilities"] or {}).items()
        }
    if (allowed.get("oomScoreAdj") or 0) < 0:
        del allowed["oomScoreAdj"]
    return allowed


def option(arguments: list[str], *names: str) -> str | None:
    """Return the value of an option written as ``--name value`` or ``--name=value``."""
    for index, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in names:
            return value if equals else next(iter(arguments[index + 1 :]), None)
    return None


def rewrite(path: Path, key: str | None) -> None:
    """Permit the process in a JSON file: the whole file, or what it holds under a key."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if key is None:
        content = permit(content)
    elif key in content:
        content[key] = permit(content[key])
    partial = path.with_name(f"{path.name}.permitted")
    partial.touch(mode=path.stat().st_mode & 0o777)
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(path)


def prepare(arguments: list[str]) -> None:
    """Rewrite the file that this runc command is about to read, if it reads one."""
    for index, argument in enumerate(arguments):
        following = arguments[index + 1 :]
        if argument in ("create", "run"):
            bundle = Path(option(following, "--bundle", "-b") or ".")
            return rewrite(bundle / "config.json", "process")
        if argument == "exec":
            process = option(following, "--process", "-p")
            return rewrite(Path(process), None) if process else None
    return None


def main() -> None:
    """Prepare the files, then become runc."""
    prepare(sys.argv[1:])
    runc = os.environ.get(RUNC_VARIABLE, "runc")
    os.execvp(runc, [runc, *sys.argv[1:]])  # noqa: S606  # its arguments are the engine's


if __name__ == "__main__":
    main()
