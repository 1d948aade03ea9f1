# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""``python -m benchmarks``."""

from benchmarks.cli import app

app()
