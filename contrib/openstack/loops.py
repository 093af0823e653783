# SPDX-License-Identifier: Apache-2.0
"""A backend of Cinder's for one machine: a volume is a file, and a loop device while it is attached. os-brick takes that as `local`; it needs
nothing of the kernel that LVM, iSCSI, NVMe over fabrics and NFS do."""
import os

from cinder import utils
from cinder.volume import driver
from oslo_config import cfg

GIB = 1 << 30


class LoopDriver(driver.VolumeDriver):
    VERSION = "1"

    def check_for_setup_error(self):
        os.makedirs(self._path(), exist_ok=True)

    @staticmethod
    def _path(*volume):
        return os.path.join(cfg.CONF.state_path, "volumes", *[one.id for one in volume])

    def _devices(self, volume):
        return utils.execute("losetup", "--noheadings", "--output", "NAME", "--associated", self._path(volume))[0].split()

    def _update_volume_stats(self):
        self._stats = {"volume_backend_name": "loops", "vendor_name": "Gantry", "driver_version": self.VERSION, "storage_protocol": "local",
                       "total_capacity_gb": "unknown", "free_capacity_gb": "unknown"}

    def create_volume(self, volume):
        with open(self._path(volume), "xb") as file:
            file.truncate(volume.size * GIB)

    def delete_volume(self, volume):
        if os.path.exists(self._path(volume)):
            os.unlink(self._path(volume))

    def initialize_connection(self, volume, connector):
        if not self._devices(volume):
            utils.execute("losetup", "--find", self._path(volume))
        return {"driver_volume_type": "local", "data": {"device_path": self._devices(volume)[0]}}

    def terminate_connection(self, volume, connector, **more):
        for device in self._devices(volume):
            utils.execute("losetup", "--detach", device)

    def ensure_export(self, context, volume):
        pass

    def create_export(self, context, volume, connector):
        pass

    def remove_export(self, context, volume):
        pass
