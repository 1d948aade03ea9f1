# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""How fast the platform does what it does, always beside something to compare it with."""

from __future__ import annotations

import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent

# `make venv` links the checkout there, as Ansible finds the collection; so do the scripts here.
sys.path.insert(0, str(CHECKOUT / ".ansible" / "collections"))
