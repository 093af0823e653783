# SPDX-License-Identifier: Apache-2.0
"""Cinder's volumes: what os-brick makes of them on this host is given to the container as it is made.

A block device is a device inside, by the name that Nova chose for it; a folder is mounted. A container is made with the
name of a link, so that it finds its volume also where that has another device after the host was started again. An engine
gives a container nothing more once it is made.
"""
import os
import shutil
import stat

from nova import exception
from nova import objects
from nova import utils
from nova.compute import task_states
from nova.virt import driver as virt
from nova.volume import cinder
import nova.conf
from os_brick.initiator import connector
from oslo_log import log as logging

LOG = logging.getLogger(__name__)
CONF = nova.conf.CONF
AS_MADE = ("the engine gives a container its devices when it is made: name volumes as the instance is created, or attach and detach them while it is "
           "shelved")


def properties():
    """What Cinder has to know of this host."""
    return connector.get_connector_properties(utils.get_root_helper(), CONF.my_block_storage_ip, False, False, host=CONF.host)


def _connector(info):
    return connector.InitiatorConnector.factory(info["driver_volume_type"], utils.get_root_helper(), conn=info)


def _each(block_device_info):
    """(name, what Cinder says of the connection, the volume's place in the boot order)"""
    for one in virt.block_device_info_get_mapping(block_device_info):
        yield os.path.basename(one["mount_device"]), one["connection_info"], one.get("boot_index")


def _folder(instance):
    return os.path.join(CONF.instances_path, instance.uuid, "volumes")


def check(block_device_info):
    """Why it cannot be had; None: it can."""
    for name, info, boot_index in _each(block_device_info):
        if boot_index == 0:
            return "%s is its root disk: a container boots of an image, not of a volume" % name
        if info["data"].get("encrypted"):
            return "volume %s is encrypted: a container takes none that is" % name
        try:
            _connector(info)
        except Exception as error:
            return "volume %s is of type %s, which os-brick does not connect here: %s" % (name, info["driver_volume_type"], error)
    return None


def _is_block_device(path):
    return stat.S_ISBLK(os.stat(path).st_mode)


def connect(instance, block_device_info):
    """All are on this host then, by links; {name: (link, what Cinder says)}."""
    links = {}
    for name, info, _ in _each(block_device_info):
        path = _connector(info).connect_volume(info["data"])["path"]
        link = os.path.join(_folder(instance), name)
        os.makedirs(_folder(instance), exist_ok=True)
        if os.path.lexists(link):
            os.unlink(link)
        os.symlink(path, link)
        links[name] = link, info
    return links


def wanted(instance, block_device_info):
    """Connects them; what of a spec says so."""
    devices, mounts = [], []
    for name, (link, info) in connect(instance, block_device_info).items():
        read_only = info["data"].get("access_mode") == "ro"
        if _is_block_device(link):
            devices.append({"host_path": link, "container_path": "/dev/" + name, "permissions": "r" if read_only else "rw"})
        elif os.path.isdir(link):
            mounts.append({"type": "bind", "source": link, "target": os.path.join(CONF.gantry.volume_path, name), "read_only": read_only})
        else:
            raise exception.BuildAbortException(instance_uuid=instance.uuid, reason="volume %s is the file %s: a container takes block devices "
                                                "and folders" % (name, os.path.realpath(link)))
    return devices, mounts


def kept(instance, found):
    """Those that an instance of gantryd's has, for the one that takes its place."""
    ours = _folder(instance) + "/"
    return ([one for one in found["spec"].get("devices", ()) if one["host_path"].startswith(ours)],
            [one for one in found["spec"].get("mounts", ()) if (one.get("source") or "").startswith(ours)])


def disconnect(instance, block_device_info):
    """Of an instance that is stopped; connect() puts its links right before it is started again."""
    for name, info, _ in _each(block_device_info):
        path = os.path.realpath(os.path.join(_folder(instance), name))
        try:
            _connector(info).disconnect_volume(info["data"], {"path": path, "type": "block"}, force=True)
        except Exception as error:
            LOG.warning("volume %s is left connected to this host: %s", name, error, instance=instance)


def attached(context, instance):
    """Cinder is told so, as Nova tells it where what it wanted them for has succeeded."""
    for one in objects.BlockDeviceMappingList.get_by_instance_uuid(context, instance.uuid):
        if one.is_volume and one.attachment_id:
            cinder.API().attachment_complete(context, one.attachment_id)


def forget(instance, block_device_info):
    """Of an instance that is gone."""
    disconnect(instance, block_device_info)
    shutil.rmtree(_folder(instance), ignore_errors=True)


def detach(connection_info, instance):
    """A rebuild deletes the container next, and only then are they let go of."""
    if instance.task_state not in task_states.rebuild_states:
        raise exception.VolumeDetachFailed(volume_id=connection_info.get("serial"), reason=AS_MADE)
