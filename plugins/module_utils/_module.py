# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What every module of this collection starts from."""

from __future__ import annotations

from typing import NoReturn

from ansible.module_utils.basic import AnsibleModule

from ._errors import MaasError


class MaasModule(AnsibleModule):  # type: ignore[misc]
    """An Ansible module that fails the way this collection's errors read."""

    def fail_from(self, error: MaasError) -> NoReturn:
        """Fail with the error's text, and its problems as a list."""
        self.fail_json(msg=str(error), problems=error.problems)
        raise SystemExit(1)  # fail_json ends the process; type checkers do not know
