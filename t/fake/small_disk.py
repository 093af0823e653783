# SPDX-License-Identifier: Apache-2.0
"""A disk that a test can fill."""
import atexit
import os
import subprocess


class SmallDisk:
    """In a folder of its own. mounted is False where a small tmpfs cannot be had."""

    def __init__(self, folder):
        self.folder = os.path.join(folder, "disk")
        self.ballast = os.path.join(self.folder, "ballast")
        os.mkdir(self.folder)
        self.mounted = os.getuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", self.folder],
                                                           capture_output=True).returncode == 0
        if self.mounted:
            atexit.register(lambda: subprocess.run(["umount", "-l", self.folder], capture_output=True))

    @classmethod
    def under_store(cls, world):
        """One under the store of a World that was not started yet; where there is none nothing is changed."""
        disk = cls(world.folder)
        if disk.mounted:
            with open(world.config) as file:
                text = file.read()
            before, world.store = world.store, os.path.join(disk.folder, "gantry.db")
            with open(world.config, "w") as file:
                file.write(text.replace(f'store = "{before}"', f'store = "{world.store}"'))
        return disk

    def fill(self, blocks_left=0):
        with open(self.ballast, "ab", buffering=0) as ballast:
            try:
                while blocks_left == 0 or os.statvfs(self.folder).f_bavail > blocks_left:
                    ballast.write(b"x" * 4096)
            except OSError:
                pass

    def empty(self):
        os.unlink(self.ballast)
