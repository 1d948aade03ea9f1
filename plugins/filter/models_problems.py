# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The filter maas.platform.models_problems."""

from __future__ import annotations

from ansible_collections.maas.platform.plugins.module_utils._model_problems import model_problems


def models_problems(models, defaults=None, runtimes=None, pools=(), gpu_resource="nvidia.com/gpu"):
    """Return everything wrong with models and what they are served with, one line each."""
    return model_problems(models, defaults, runtimes, pools, gpu_resource)


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self):
        """Return the filter by its name."""
        return {"models_problems": models_problems}
