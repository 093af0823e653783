# SPDX-License-Identifier: Apache-2.0
"""A process that fails as soon as its instance is made: the instance is in error, with the exit code and the last lines.

A boot does not wait to see whether that happens: its event tells, mostly after Nova was told that the instance runs.
"""
import eventlet
from nova import context as nova_context
from nova import exception
from nova import objects
from nova.compute import utils as compute_utils
from nova.compute import vm_states
from nova.virt import event as virtevent
from oslo_log import log as logging

LOG = logging.getLogger(__name__)
EARLY_MS = 1000
LAST_LINES = 5
NOVA_TRIES, NOVA_WAIT_S = 100, 0.1


class EndedAtOnce(exception.NovaException):
    msg_fmt = "Its process ended at once, with code %(code)s%(lines)s"


def is_one(told):
    """told: the event of an exit. One that somebody killed did not fail by itself, unless it was for memory."""
    end = told.get("exit", {})
    killed = "signal" in end and not end.get("oom_killed")
    return end.get("code") != 0 and not killed and end.get("ran_ms", EARLY_MS) < EARLY_MS


def tell(driver, told):
    uuid, context = told["name"], nova_context.get_admin_context()
    try:
        instance = _built(context, uuid)
        if instance and driver.ended_in_first_boot(instance):
            lines = driver.get_console_output(context, instance).decode("utf-8", "replace").splitlines()[-LAST_LINES:]
            fault = EndedAtOnce(code=told["exit"]["code"], lines="; its last lines: " + " / ".join(lines) if lines else "")
            compute_utils.add_instance_fault_from_exc(context, instance, fault, fault_message=str(fault))
            instance.vm_state = vm_states.ERROR
            instance.save(expected_task_state=[None])
            return
    except Exception as error:
        LOG.warning("the early end of %s could not be told: %s", uuid, error)
    driver.emit_event(virtevent.LifecycleEvent(uuid, virtevent.EVENT_LIFECYCLE_STOPPED))


def _built(context, uuid):
    """The instance, once Nova has what it was made for; None: it is in another state."""
    for _ in range(NOVA_TRIES):
        instance = objects.Instance.get_by_uuid(context, uuid)
        if instance.task_state is None and instance.vm_state != vm_states.BUILDING:
            return instance if instance.vm_state == vm_states.ACTIVE else None
        eventlet.sleep(NOVA_WAIT_S)
    return None
