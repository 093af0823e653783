# SPDX-License-Identifier: Apache-2.0
"""What the kernel tells of a process."""
import os


def memory_kib(pid, what="VmRSS"):
    with open(f"/proc/{pid}/status") as file:
        return int(file.read().partition(f"{what}:")[2].split()[0])


def descriptors(pid):
    """How many it has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))
