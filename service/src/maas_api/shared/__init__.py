# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""What the service shares with the collection: links to files in plugins/module_utils."""
