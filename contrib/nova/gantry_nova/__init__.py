# SPDX-License-Identifier: Apache-2.0
"""Nova's driver for Gantry: containers as instances."""
