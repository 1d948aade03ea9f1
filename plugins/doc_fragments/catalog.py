# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Options of the modules that read or write the catalog of tiers."""

from __future__ import annotations


class ModuleDocFragment:
    """Where the catalog is."""

    DOCUMENTATION = r"""
options:
  api_namespace:
    description: The namespace of the MaaS API, which also holds the catalog of tiers.
    type: str
    default: maas-api
"""
