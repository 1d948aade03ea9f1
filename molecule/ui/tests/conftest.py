# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""A browser on the lab, and the people who use it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser import Browser
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import expect, sync_playwright
from running_lab import Lab

# A revocation answers only when the gateway refuses the tokens, which takes some seconds.
expect.set_options(timeout=30_000)

#: Who tests sign in as, and the tier that each one's groups lead to.
PEOPLE = {"alice": "free", "carol": "premium", "erin": "enterprise"}
ADMINISTRATOR = "ada"


@pytest.fixture(scope="session")
def screenshots() -> Path:
    folder = Path(os.environ.get("MAAS_SCREENSHOTS") or tempfile.mkdtemp(prefix="screenshots-"))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="session")
def home(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home directory whose Chromium trusts the lab's two authorities, as a user's would."""
    home = tmp_path_factory.mktemp("home")
    store = home / ".pki/nssdb"
    store.mkdir(parents=True)
    database = f"sql:{store}"
    subprocess.run(["certutil", "-N", "--empty-password", "-d", database], check=True)
    for name in ("ca.crt", "login-ca.crt"):
        subprocess.run(
            ["certutil", "-A", "-d", database, "-t", "C,,", "-n", name, "-i", lab.folder / name],
            check=True,
        )
    return home


@pytest.fixture(scope="session")
def chromium(lab: Lab, home: Path) -> Iterator[Chromium]:
    program = shutil.which("chromium")
    assert program, "there is no chromium on PATH: run `python -m lab browser`"
    domain = lab.host.partition(".")[2]
    arguments = [f"--host-resolver-rules=MAP *.{domain} {lab.address}"]
    # Chromium's own sandbox does not start for root, as which CI runs.
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=program, args=arguments, env={**os.environ, "HOME": str(home)}
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def browser(chromium: Chromium, lab: Lab, screenshots: Path) -> Iterator[Browser]:
    browser = Browser(chromium, lab, screenshots)
    yield browser
    browser.revoke_all()


@pytest.fixture(autouse=True)
def nothing_is_refused_by_the_browser(browser: Browser) -> Iterator[None]:
    """The policies in the headers forbid nothing that the pages do, and no script breaks."""
    browser.complaints.clear()
    yield
    browser.close_pages()
    assert browser.complaints == []


@pytest.fixture
def fresh_counters(browser: Browser) -> Callable[[str], None]:
    return browser.wait_for_fresh_counters
