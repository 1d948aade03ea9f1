# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""Runs the module tier_token, and keeps Ansible from showing a result that holds a token."""

from __future__ import annotations

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """The module's result, marked the way no_log marks one."""

    TRANSFERS_FILES = False
    # In the background, the result would be shown by another task, which knows nothing of this.
    _supports_async = False

    def run(self, tmp=None, task_vars=None):
        """Run the module where the task runs."""
        result = super().run(tmp, task_vars)
        result.update(
            self._execute_module(
                module_name="maas.platform.tier_token",
                module_args=self._task.args,
                task_vars=task_vars,
            )
        )
        if _has_token(result) and not boolean(self._task.args.get("show_tokens", False)):
            result["_ansible_no_log"] = True
        return result


def _has_token(result):
    return bool(result.get("token")) or any(entry["token"] for entry in result.get("tokens", []))
