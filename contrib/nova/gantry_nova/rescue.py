# SPDX-License-Identifier: Apache-2.0
"""A rescue: a second instance of gantryd's, made of the rescue image, that has the stopped one's filesystem at /rescue.

	before the stop   one is made that is never started, of the instance's own image: what would refuse refuses then
	rescue            the second is made and started; where it cannot be, the first is started again
	unrescue          the second is removed, the first started

gantryd sees to it that only one of the two runs. The first keeps its name, its container and its ports.
"""
from nova import context as nova_context
from nova.compute import task_states
from nova.compute import vm_states
from oslo_log import log as logging

from gantry_nova import spec

LOG = logging.getLogger(__name__)
SUFFIX = "-rescue"
LABEL = "nova.rescue"
TARGET = "/rescue"


def may_be(instance):
    """Whether there may be a second one."""
    return instance.vm_state == vm_states.RESCUED or instance.task_state in (task_states.RESCUING, task_states.UNRESCUING)


def name(instance):
    return instance.uuid + SUFFIX


def _make(driver, context, instance, node, image, properties, start, command=None):
    mounts = [{"type": "instance", "source": instance.uuid, "target": TARGET}]
    wanted = spec.make(context, instance, driver.host, node, image, properties, mounts)
    wanted["name"] = name(instance)
    if command:
        wanted["command"] = command
    wanted["labels"][LABEL] = instance.uuid
    driver.make(instance, wanted, start)


def check(driver, instance):
    """Raises what stands against it."""
    driver.remove(name(instance))
    found = driver.find(instance)
    _make(driver, nova_context.get_admin_context(), instance, found["node"], found["image"], {}, False, found["spec"].get("command"))
    driver.remove(name(instance))


def begin(driver, context, instance, load):
    """load: gives the rescue image's name on a node, and its properties."""
    try:
        node = driver.find(instance)["node"]
        image, properties = load(node)
        _make(driver, context, instance, node, image, properties, True)
    except Exception as error:
        LOG.error("it cannot be rescued, and is started again: %s", error, instance=instance)
        driver.remove(name(instance))
        driver.do(instance, "start")
        raise


def end(driver, instance):
    driver.remove(name(instance))
    driver.do(instance, "start")
