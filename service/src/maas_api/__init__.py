# Copyright: the maas.platform authors
# SPDX-License-Identifier: Apache-2.0
"""The MaaS API: who may call which model, and the tokens to do it with."""
