# SPDX-License-Identifier: Apache-2.0
from gantry_nova.driver import GantryDriver  # noqa: F401
