# SPDX-License-Identifier: Apache-2.0
"""A disk that a test can fill, under the store of a World that was not started yet."""
import atexit
import os
import subprocess


class SmallDisk:
    """mounted is False where a small tmpfs cannot be had; then nothing is changed."""

    def __init__(self, world):
        self.folder = os.path.join(world.folder, "disk")
        self.ballast = os.path.join(self.folder, "ballast")
        os.mkdir(self.folder)
        self.mounted = os.getuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=640k", "tmpfs", self.folder],
                                                           capture_output=True).returncode == 0
        if not self.mounted:
            return
        atexit.register(lambda: subprocess.run(["umount", "-l", self.folder], capture_output=True))
        with open(world.config) as file:
            text = file.read()
        before, world.store = world.store, os.path.join(self.folder, "gantry.db")
        with open(world.config, "w") as file:
            file.write(text.replace(f'store = "{before}"', f'store = "{world.store}"'))

    def fill(self):
        with open(self.ballast, "ab", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(b"x" * 4096)
            except OSError:
                pass

    def empty(self):
        os.unlink(self.ballast)
