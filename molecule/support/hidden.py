# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Tokens that a failed assertion does not print."""

from __future__ import annotations


class Hidden(str):
    """A text that works like any other, and shows as stars."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"
