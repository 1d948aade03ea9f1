# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures of every scenario: the running lab, and clients of it. pytest.ini loads them."""

from __future__ import annotations

import pytest
from api import Api
from catalog import Catalog
from chat import Chat
from cluster import Kubectl
from running_lab import Lab
from wire import Wire


@pytest.fixture(scope="session")
def lab() -> Lab:
    return Lab.read()


@pytest.fixture(scope="session")
def kubectl(lab: Lab) -> Kubectl:
    return Kubectl(lab)


@pytest.fixture(scope="session")
def wire(lab: Lab) -> Wire:
    return Wire(lab)


@pytest.fixture(scope="session")
def catalog(kubectl: Kubectl) -> Catalog:
    """The tiers as they are when a test first asks; who changes tiers reads them anew."""
    return Catalog.read(kubectl)


@pytest.fixture(scope="session")
def chat(wire: Wire) -> Chat:
    return Chat(wire)


@pytest.fixture(scope="session")
def api(lab: Lab, wire: Wire) -> Api:
    return Api(lab, wire)
