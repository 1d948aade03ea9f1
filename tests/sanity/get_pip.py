# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Install pip into this environment from Python's bundled copy, then the version asked for.

Stands in for the installer of the same name; called by ansible-test with pip's options.
"""

import subprocess
import sys

NOT_PIPS_OPTIONS = {"--no-setuptools", "--no-wheel"}

if __name__ == "__main__":
    # In a process of its own: ensurepip switches pip's configuration off for the rest of it.
    subprocess.run([sys.executable, "-m", "ensurepip", "--default-pip"], check=True)
    wanted = [option for option in sys.argv[1:] if option not in NOT_PIPS_OPTIONS]
    subprocess.run([sys.executable, "-m", "pip", "install", *wanted], check=True)
