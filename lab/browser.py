"""Debian's Chromium, which the browser tests drive; the tests find it on PATH."""

import os
import shutil
from pathlib import Path

from lab.errors import LabError
from lab.prerequisites import Machine, install, install_command
from lab.report import Report

FORBID_VARIABLE = "LAB_INSTALL_BROWSER"
PROGRAM = "chromium"
# certutil tells the browser whom to trust.
PACKAGES = {PROGRAM: "chromium", "certutil": "libnss3-tools"}
# Without a font of its own a bare machine shows boxes in place of letters.
FONT_FILE = Path("/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf")
FONT_PACKAGE = "fonts-liberation"


def ensure(machine: Machine, report: Report, log: Path) -> Path:
    """Return the browser; install it where the lab may."""
    packages = missing()
    if packages and os.environ.get(FORBID_VARIABLE, "") == "0":
        raise LabError(
            f"missing for browser tests: {', '.join(packages)}; "
            f"{FORBID_VARIABLE}=0 forbids installing them",
            install_command(packages),
        )
    install(packages, machine, report, log)
    found = shutil.which(PROGRAM)
    if not found:
        raise LabError(f"there is no {PROGRAM} on PATH", install_command(list(PACKAGES.values())))
    return Path(found)


def missing() -> list[str]:
    """Return the Debian packages that browser tests still need."""
    programs = [package for name, package in PACKAGES.items() if not shutil.which(name)]
    return programs + ([] if FONT_FILE.exists() else [FONT_PACKAGE])
