# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Tests of the web pages; a package, so that this conftest is not the one above it."""
