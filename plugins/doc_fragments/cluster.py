# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What the modules that talk to a cluster have in common, beside the connection options."""

from __future__ import annotations


class ModuleDocFragment:
    """Requirements and notes."""

    DOCUMENTATION = r"""
options: {}
requirements:
  - python >= 3.11
  - kubernetes >= 24.2.0
notes:
  - Connection options and their environment variables are those of C(kubernetes.core), so a
    Kubernetes credential of Automation Platform works as it is.
  - Runs where the Python package is, usually with C(connection=local).
"""
