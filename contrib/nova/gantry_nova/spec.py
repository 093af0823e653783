# SPDX-License-Identifier: Apache-2.0
"""What gantryd is asked for: Nova's instance, flavor and image as a spec, and as labels that policies see."""
import re
import shlex
import time

from nova import exception
from nova import objects
import nova.conf
from oslo_log import log as logging

LOG = logging.getLogger(__name__)
CONF = nova.conf.CONF
MIB = 1 << 20
HOST_LABEL = "nova.host"
NODE_LABEL = "node.name"  # Gantry's policies place by it
ENVIRONMENT = "gantry_env_"
AGGREGATES_S = 60  # for which they are remembered
_aggregates = {}  # (when, labels) by host


def limits(flavor):
    memory = flavor.memory_mb * MIB
    return {"memory": memory, "memory_swap": memory + (flavor.swap or 0) * MIB, "cpus": flavor.vcpus}


def disk_gb(flavor):
    return flavor.root_gb + flavor.ephemeral_gb


def make(context, instance, host, node, image, properties, mounts, devices=()):
    spec = {
        "name": instance.uuid,
        "image": image,
        "hostname": instance.hostname,
        "network": CONF.gantry.network,
        "tty": CONF.gantry.terminal,
        "stdin_open": CONF.gantry.terminal,
        "labels": labels(context, instance, host, node),
        **limits(instance.flavor),
    }
    command = (instance.flavor.extra_specs or {}).get("gantry:command") or properties.get("gantry_command")
    if command:
        spec["command"] = shlex.split(command)
    environment = _environment(instance, properties)
    if environment:
        spec["environment"] = environment
    if mounts:
        spec["mounts"] = mounts
    if devices:
        spec["devices"] = devices
    return spec


def _environment(instance, properties):
    """The image's; and the instance's metadata, where it is wanted there."""
    told = ["%s=%s" % (key[len(ENVIRONMENT):], value) for key, value in sorted(properties.items()) if key.startswith(ENVIRONMENT)]
    if CONF.gantry.metadata_prefix:
        told += ["%s%s=%s" % (CONF.gantry.metadata_prefix, re.sub("[^A-Z0-9]", "_", key.upper()), value)
                 for key, value in sorted((instance.metadata or {}).items())]
    return told


def labels(context, instance, host, node):
    told = {
        HOST_LABEL: host,
        NODE_LABEL: node,
        "nova.name": instance.name,
        "nova.display_name": instance.display_name,
        "nova.flavor": instance.flavor.name,
        "nova.disk_gb": disk_gb(instance.flavor),
        "nova.image": instance.image_ref,
        "nova.zone": instance.availability_zone,
    }
    told.update(("nova.meta.%s" % key, value) for key, value in (instance.metadata or {}).items())
    told.update(("nova.flavor.%s" % key, value) for key, value in (instance.flavor.extra_specs or {}).items())
    if CONF.gantry.request_labels:
        try:
            told.update(_of_aggregates(context, host))
            told.update(_of_request(context, instance))
        except Exception as error:  # a cell's conductor need not have the API's database
            LOG.warning("policies do not see aggregates and hints (request_labels): %s", error, instance=instance)
    return {key: str(value) for key, value in told.items() if value}


def _of_aggregates(context, host):
    when, told = _aggregates.get(host, (0, {}))
    if not when or time.monotonic() - when > AGGREGATES_S:
        told = {}
        for aggregate in objects.AggregateList.get_by_host(context.elevated(), host):
            told.update(("nova.aggregate.%s" % key, value) for key, value in aggregate.metadata.items())
        _aggregates[host] = time.monotonic(), told
    return told


def request(context, instance):
    """What was asked of the scheduler; None: Nova does not say."""
    try:
        return objects.RequestSpec.get_by_instance_uuid(context.elevated(), instance.uuid)
    except exception.RequestSpecNotFound:
        return None


def _of_request(context, instance):
    asked = request(context, instance)
    hints = asked.scheduler_hints if asked else {}
    return {"nova.hint.%s" % key: ",".join(value) if isinstance(value, list) else value for key, value in (hints or {}).items()}
