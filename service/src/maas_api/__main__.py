# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""python -m maas_api: read the settings, serve until told to stop."""

from __future__ import annotations

import os
import sys

from .app import Application
from .kubernetes import connect
from .logs import configure_logs
from .server import DrainingServer
from .settings import Settings, SettingsError


def main() -> int:
    """Run the service; return the exit status."""
    try:
        settings = Settings.from_environ(os.environ)
    except SettingsError as exc:
        sys.stderr.write(f"maas-api: {exc}\n")
        return 2
    configure_logs(settings.log_level)
    try:
        client = connect(settings.kubernetes_url, settings.account_directory)
    except OSError as exc:
        sys.stderr.write(f"maas-api: the pod's own CA cannot be read: {exc}\n")
        return 2
    try:
        application = Application(settings, client)
    except SettingsError as exc:
        sys.stderr.write(f"maas-api: {exc}\n")
        return 2
    server = DrainingServer(application, settings)
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
