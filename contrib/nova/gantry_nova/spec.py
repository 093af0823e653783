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
OF_IMAGE, OF_FLAVOR = "gantry_", "gantry:"  # in front of what an image's properties and a flavor's extra specs say of the process
ENVIRONMENT, HEALTH = "env_", "health_"
ORIGIN = "origin."  # labels: where command, health check and each variable are from; Gantry's decisions have it
AGGREGATES_S = 60  # for which they are remembered
_aggregates = {}  # (when, labels) by host


def limits(flavor):
    memory = flavor.memory_mb * MIB
    return {"memory": memory, "memory_swap": memory + (flavor.swap or 0) * MIB, "cpus": flavor.vcpus}


def disk_gb(flavor):
    return flavor.root_gb + flavor.ephemeral_gb


def disk_refused(flavor):
    """Why one of that flavor cannot be had; None: it can."""
    if CONF.gantry.flavor_disk == "refuse" and disk_gb(flavor):
        return "its flavor has a disk of %d GB, which cannot be enforced" % disk_gb(flavor)
    return None


def make(context, instance, host, node, image, properties, mounts, devices=()):
    process, origins = _process(instance, properties)
    spec = {
        "name": instance.uuid,
        "image": image,
        "hostname": instance.hostname,
        "network": CONF.gantry.network,
        "tty": CONF.gantry.terminal,
        "stdin_open": CONF.gantry.terminal,
        "labels": labels(context, instance, host, node, origins),
        **process,
        **limits(instance.flavor),
    }
    if mounts:
        spec["mounts"] = mounts
    if devices:
        spec["devices"] = devices
    return spec


def _process(instance, properties):
    """Command, environment and health check, as image and flavor say, the flavor last; and where each is from, as labels.

    The instance's metadata is in the environment, where it is wanted there.
    """
    told = {}
    for prefix, values, origin in ((OF_IMAGE, properties, "image"), (OF_FLAVOR, instance.flavor.extra_specs or {}, "flavor")):
        told.update((key[len(prefix):], (value, origin)) for key, value in values.items() if key.startswith(prefix))
    if CONF.gantry.metadata_prefix:
        told.update(("%s%s%s" % (ENVIRONMENT, CONF.gantry.metadata_prefix, re.sub("[^A-Z0-9]", "_", key.upper())), (value, "metadata"))
                    for key, value in (instance.metadata or {}).items())
    process, origins = {}, {}
    if told.get("command", ("", ))[0]:
        process["command"], origins["command"] = shlex.split(told["command"][0]), told["command"][1]
    if told.get("health_check", ("", ))[0]:
        process["health_check"] = {"test" if key == "health_check" else key[len(HEALTH):]: int(value) if value.isdigit() else value
                                   for key, (value, _) in told.items() if key.startswith(HEALTH)}
        origins["health_check"] = told["health_check"][1]
    environment = {key[len(ENVIRONMENT):]: one for key, one in sorted(told.items()) if key.startswith(ENVIRONMENT)}
    if environment:
        process["environment"] = ["%s=%s" % (name, value) for name, (value, _) in environment.items()]
        origins.update(("environment.%s" % name, origin) for name, (_, origin) in environment.items())
    return process, {ORIGIN + key: origin for key, origin in origins.items()}


def labels(context, instance, host, node, origins):
    told = {
        **origins,
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
    return {re.sub(r"[\s=]", "_", key): str(value) for key, value in told.items() if value}  # such are no labels


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
