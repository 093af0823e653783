# SPDX-License-Identifier: Apache-2.0
"""What Nova gives an instance beside its image: files and user data in its filesystem, and the config drive as a folder."""
import base64
import io
import os
import shutil
import tarfile

from nova.api.metadata import base as instance_metadata
from nova.virt import configdrive
import nova.conf

CONF = nova.conf.CONF


def wanted(instance, injected_files):
    """[(path, data)] for the instance's own filesystem."""
    files = list(injected_files or ())
    if instance.user_data and CONF.gantry.user_data_path:
        files.append((CONF.gantry.user_data_path, base64.b64decode(instance.user_data)))
    return files


def archive(files):
    """They as a tar to be unpacked at the root."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, data in files:
            info = tarfile.TarInfo(os.path.normpath("/" + path).lstrip("/"))
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _folder(instance):
    return os.path.join(CONF.instances_path, instance.uuid)


def _drive(instance):
    return os.path.join(_folder(instance), "config-drive")


def mounted(instance):
    """The mounts of what was written for it."""
    folder = _drive(instance)
    return ["%s:%s:ro" % (folder, CONF.gantry.config_drive_path)] if os.path.isdir(folder) else []


def drive(instance, injected_files, network_info):
    """Writes the config drive where one is wanted; its mounts."""
    if not configdrive.required_by(instance):
        return []
    folder = _drive(instance)
    metadata = instance_metadata.InstanceMetadata(instance, content=injected_files, extra_md={}, network_info=network_info)
    for path, data in metadata.metadata_for_config_drive():
        name = os.path.join(folder, path)
        os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(name, "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
    return mounted(instance)


def forget(instance):
    shutil.rmtree(_folder(instance), ignore_errors=True)
