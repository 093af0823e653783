# SPDX-License-Identifier: Apache-2.0
"""GantryDriver: Nova's instances are gantryd's, by the name of their uuid.

Thin: what can be decided in gantryd (placement, limits, who may do what) is decided there, by its policies.
"""
import base64
import re
import subprocess
import time
import uuid

import eventlet
from nova import context as nova_context
from nova import exception
from nova import objects
from nova.compute import power_state
from nova.compute import task_states
from nova.console import type as ctype
from nova.image import glance
from nova.objects import diagnostics as diagnostics_object
from nova.virt import driver
from nova.virt import event as virtevent
from nova.virt import hardware
import nova.conf
from oslo_log import log as logging

from gantry_nova import client as gantry
from gantry_nova import early
from gantry_nova import files
from gantry_nova import images
from gantry_nova import move
from gantry_nova import nodes
from gantry_nova import options
from gantry_nova import rescue as second
from gantry_nova import spec
from gantry_nova import vif as ports
from gantry_nova import volumes

LOG = logging.getLogger(__name__)
CONF = nova.conf.CONF
options.register(CONF)

MIB = 1 << 20
BUSY = re.compile(" is (busy:|(pending|creating|starting|stopping);)")  # as gantryd says it
BUSY_TRIES = 120
CONSOLE_BYTES = 100 << 10  # as much as libvirt's driver gives
BUSY_WAIT_S = 0.5

POWER = {
    "running": power_state.RUNNING,
    "stopping": power_state.RUNNING,
    "paused": power_state.PAUSED,
    "stopped": power_state.SHUTDOWN,
    "failed": power_state.CRASHED,
}
EVENTS = {
    "instance.started": virtevent.EVENT_LIFECYCLE_STARTED,
    "instance.exited": virtevent.EVENT_LIFECYCLE_STOPPED,
    "instance.stopped": virtevent.EVENT_LIFECYCLE_STOPPED,
    "instance.failed": virtevent.EVENT_LIFECYCLE_STOPPED,
    "instance.lost": virtevent.EVENT_LIFECYCLE_STOPPED,
    "instance.paused": virtevent.EVENT_LIFECYCLE_PAUSED,
    "instance.unpaused": virtevent.EVENT_LIFECYCLE_RESUMED,
}


class GantryDriver(driver.ComputeDriver):
    capabilities = {
        **driver.ComputeDriver.capabilities,
        "has_imagecache": True,
        "supports_attach_interface": True,
        "supports_image_type_raw": True,  # of Glance's container_format=docker
    }

    def __init__(self, virtapi):
        super().__init__(virtapi)
        self.capabilities = {**self.capabilities, "supports_migrate_to_same_host": CONF.gantry.node_for_each_engine}
        self._client = self._images = self._nodes = self._move = self._events = self.host = None
        self._traits = {}  # custom ones that we gave, by Nova's node

    # --- the service ---------------------------------------------------------------------------------

    def init_host(self, host):
        self.host = host
        self._client = gantry.Client(CONF.gantry.host, CONF.gantry.ca_file, CONF.gantry.cert_file,
                                     CONF.gantry.key_file, CONF.gantry.timeout, CONF.gantry.away_timeout)
        self._nodes = nodes.Nodes(self._client, host)
        self._move = move.Move(self._client, self)
        self._images = images.Images(self._client, self._nodes)
        self._events = eventlet.spawn(self._follow_events)

    def cleanup_host(self, host):
        if self._events:
            self._events.kill()

    def get_host_uptime(self):
        return subprocess.run(["uptime"], capture_output=True, text=True, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}).stdout.strip()

    def get_host_ip_addr(self):
        return CONF.my_ip

    # --- events --------------------------------------------------------------------------------------

    def _follow_events(self):
        """What happens to containers is told to Nova as it happens, also what did while we were away."""
        after = None
        while True:
            try:
                if after is None:
                    after = self._client.call("GET", "/v1/health").get("last_event", 0)
                stream = self._client.stream(self._client.target("events", follow="true", after=after))
                for told in stream.lines():
                    after = told["sequence"]  # less than before, where gantryd has lost its store
                    self._tell(told)
            except Exception as error:
                LOG.debug("events: %s; following them again", error)
            eventlet.sleep(1)

    def _tell(self, told):
        kind, name = EVENTS.get(told["kind"]), (told.get("name") or "").removesuffix(second.SUFFIX)
        try:
            uuid.UUID(name)
        except ValueError:
            return
        if kind is None:
            return
        if told["kind"] == "instance.exited" and early.is_one(told) and name == told["name"]:
            eventlet.spawn_n(early.tell, self, told)
        else:
            self.emit_event(virtevent.LifecycleEvent(name, kind))

    # --- resources -----------------------------------------------------------------------------------

    def get_available_nodes(self, refresh=False):
        return self._nodes.names()

    def node_is_available(self, nodename):
        return nodename == self.host or any(self._nodes.nova_name(node["name"]) == nodename for node in self._nodes.all())

    def get_available_resource(self, nodename):
        return self._nodes.resource(nodename)

    def update_provider_tree(self, provider_tree, nodename, allocations=None):
        found = provider_tree.data(nodename)
        inventory, wanted = self._nodes.offer(nodename, self._get_allocation_ratios(found.inventory),
                                              self._get_reserved_host_disk_gb_from_config())
        provider_tree.update_inventory(nodename, inventory)
        provider_tree.add_traits(nodename, *wanted - found.traits)
        provider_tree.remove_traits(nodename, *(self._traits.get(nodename, set()) & found.traits) - wanted)
        self._traits[nodename] = wanted

    # --- images --------------------------------------------------------------------------------------

    def cache_image(self, context, image_id):
        return self._images.cache(context, image_id)

    def manage_image_cache(self, context, all_instances):
        self._images.drop_unused()

    # --- instances -----------------------------------------------------------------------------------

    def _listed(self):
        found = self._client.call("GET", self._client.target("instances", label="%s=%s" % (spec.HOST_LABEL, self.host)))["instances"]
        return [one for one in found if second.LABEL not in one["labels"]]

    def list_instances(self):
        return [one["labels"].get("nova.name", one["name"]) for one in self._listed()]

    def list_instance_uuids(self):
        return [one["name"] for one in self._listed()]

    def find(self, instance):
        """The one that is there now: in a rescue that of the rescue image."""
        for name in [second.name(instance), instance.uuid] if second.may_be(instance) else [instance.uuid]:
            try:
                return self._client.call("GET", self._client.target("instances", name))
            except gantry.Problem as problem:
                if problem.status != 404:
                    raise
        raise exception.InstanceNotFound(instance_id=instance.uuid)

    def _name(self, instance):
        return self.find(instance)["name"] if second.may_be(instance) else instance.uuid

    def get_info(self, instance, use_cache=True):
        found = self.find(instance)
        return hardware.InstanceInfo(state=POWER.get(found["state"], power_state.NOSTATE), internal_id=found["id"])

    def ended_in_first_boot(self, instance):
        found = self.find(instance)
        return found["state"] in ("stopped", "failed") and found.get("boots") == 1

    def instance_exists(self, instance):
        try:
            self.find(instance)
        except exception.InstanceNotFound:
            return False
        return True

    def do(self, instance, verb, body=None, wait=None, method="POST", **query):
        """A verb, to its end. What is under way on the instance is waited for."""
        wait = wait or CONF.gantry.operation_timeout
        target = self._client.target("instances", self._name(instance), verb, wait=wait, **query)
        for left in range(BUSY_TRIES, 0, -1):
            try:
                answer = self._client.operate(method, target, body, wait=wait)
                break
            except gantry.Problem as problem:
                if problem.status == 404:
                    raise exception.InstanceNotFound(instance_id=instance.uuid)
                if problem.document.get("title") == "Already in that state":
                    return {}
                if not BUSY.search(str(problem)) or left == 1:
                    raise
            eventlet.sleep(BUSY_WAIT_S)
        if answer.get("state") == "running":
            raise exception.NovaException("gantryd: %s has not ended after %d s" % (verb, wait))
        return answer

    def default_root_device_name(self, instance, image_meta, root_bdm):
        return "/dev/vda"  # Nova counts on from there for volumes

    # --- spawn and destroy ---------------------------------------------------------------------------

    def spawn(self, context, instance, image_meta, injected_files, admin_password, allocations,
              network_info=None, block_device_info=None, power_on=True, accel_info=None):
        began = time.monotonic()
        self._refuse(instance, block_device_info)
        node = self._nodes.gantry_name(instance.node)
        image, properties = self._images.name(context, image_meta.id, node)
        imaged, made = time.monotonic(), False
        try:
            within, drive = files.wanted(instance, injected_files), files.drive(instance, injected_files, network_info)
            # a program begins when Neutron has wired its ports: until then the instance is only made
            events = ports.awaited(network_info) if power_on else []
            at_once = power_on and not within and not events
            devices, folders = volumes.wanted(instance, block_device_info)
            asked = spec.make(context, instance, self.host, node, image, properties, drive + folders, devices)
            asked.update(ports.wanted(network_info))
            with ports.plugged(self.virtapi, instance, events):
                answer = self.make(instance, asked, at_once)
                made = True
            if within:
                target = self._client.target("instances", instance.uuid, "archive", path="/")
                self._client.patiently(lambda: self._client.upload(target, lambda sink: sink.write(files.archive(within)), method="PUT"))
            if power_on and not at_once:
                self.do(instance, "start")
        except gantry.Problem as problem:
            if problem.status == 409 and not made:
                raise  # the name is taken: what has it is not ours to remove
            self.destroy(context, instance, network_info, block_device_info)
            if 400 <= problem.status < 500:
                if self._others_may(context, problem):
                    LOG.warning("Nova's scheduler is to try another node: %s", problem, instance=instance)
                    raise exception.ComputeResourcesUnavailable(reason=str(problem))
                # a policy, the values or the image: no other host would do better
                raise exception.BuildAbortException(instance_uuid=instance.uuid, reason=str(problem))
            raise
        except Exception:
            self.destroy(context, instance, network_info, block_device_info)
            raise
        timings = answer.get("timings", {})
        LOG.info("spawned in %d ms: image %d, gantryd %d, of which its engine %d", (time.monotonic() - began) * 1000,
                 (imaged - began) * 1000, timings.get("total_us", 0) // 1000, timings.get("engine_us", 0) // 1000, instance=instance)

    def make(self, instance, wanted, start):
        wait = CONF.gantry.operation_timeout
        answer = self._client.operate("POST", self._client.target("instances", wait=wait, start=start), wanted,
                                      actor=(instance.project_id, instance.user_id), wait=wait)
        if answer.get("state") == "running":
            raise exception.NovaException("gantryd: the start has not ended after %d s" % wait)
        return answer

    def _others_may(self, context, problem):
        """Whether policies refused the nodes, not the request, and Nova has more of them."""
        if problem.status != 403 or "operation" not in problem.document:
            return False
        step = self._client.call("GET", self._client.target("operations", problem.document["operation"]))["step"]
        return step.endswith("reserve") and len(objects.ComputeNodeList.get_all(context.elevated())) > 1

    def _refuse(self, instance, block_device_info):
        reason = spec.disk_refused(instance.flavor) or volumes.check(block_device_info)
        if reason:
            raise exception.BuildAbortException(instance_uuid=instance.uuid, reason=reason)

    def destroy(self, context, instance, network_info, block_device_info=None, destroy_disks=True, destroy_secrets=True):
        if instance.task_state == task_states.RESIZE_REVERTING:
            # on the same host the new one is the old one: it is stopped, and goes back to what it was
            try:
                self.power_off(instance)
            except exception.InstanceNotFound:
                pass
            return volumes.disconnect(instance, block_device_info)
        self.remove(second.name(instance))
        self._move.forget(instance)
        volumes.forget(instance, block_device_info)
        files.forget(instance)

    def remove(self, name):
        """It is gone then, whatever it was at."""
        wait = CONF.gantry.operation_timeout
        target = self._client.target("instances", name, force=True, wait=wait)
        for left in range(BUSY_TRIES, 0, -1):
            try:
                if self._client.operate("DELETE", target, wait=wait).get("state") != "running":
                    return
                raise exception.NovaException("gantryd: the removal has not ended after %d s" % wait)
            except gantry.Problem as problem:
                if problem.status == 404:
                    return
                if problem.status != 409 or left == 1:
                    raise
            eventlet.sleep(BUSY_WAIT_S)

    def cleanup(self, context, instance, network_info, block_device_info=None, destroy_disks=True,
                migrate_data=None, destroy_vifs=True, destroy_secrets=True):
        self.destroy(context, instance, network_info, block_device_info, destroy_disks)

    # --- power ---------------------------------------------------------------------------------------

    def power_off(self, instance, timeout=0, retry_interval=0):
        if instance.task_state == task_states.RESCUING:
            second.check(self, instance)  # nothing is to stop for a rescue that there cannot be
        self.do(instance, "stop", {"grace": "%ds" % timeout})

    def power_on(self, context, instance, network_info, block_device_info=None, accel_info=None):
        volumes.connect(instance, block_device_info)  # the host may have been started since
        self.do(instance, "start")

    def reboot(self, context, instance, network_info, reboot_type, block_device_info=None,
               bad_volumes_callback=None, accel_info=None):
        if reboot_type == "HARD":
            volumes.connect(instance, block_device_info)
        try:
            self.do(instance, "restart", {"grace": "0s"} if reboot_type == "HARD" else {})
        except exception.InstanceNotFound:
            if not self._mend(context, instance, network_info, block_device_info, True):
                raise

    def pause(self, instance):
        self.do(instance, "pause")

    def unpause(self, instance):
        self.do(instance, "unpause")

    def suspend(self, context, instance):
        self.do(instance, "pause")

    def resume(self, context, instance, network_info, block_device_info=None):
        self.do(instance, "unpause")

    def resume_state_on_host_boot(self, context, instance, network_info, block_device_info=None):
        self.power_on(context, instance, network_info, block_device_info)

    # --- rescue --------------------------------------------------------------------------------------

    def rescue(self, context, instance, network_info, image_meta, rescue_password, block_device_info):
        second.begin(self, context, instance, lambda node: self._images.name(context, image_meta.id, node))

    def unrescue(self, context, instance):
        second.end(self, instance)

    # --- resize, and to another engine --------------------------------------------------------------------

    def migrate_disk_and_power_off(self, context, instance, dest, flavor, network_info, block_device_info=None,
                                   timeout=0, retry_interval=0):
        if dest != self.get_host_ip_addr():
            raise exception.InstanceFaultRollback(
                exception.MigrationError(reason="a container cannot be moved to another host"))
        reason = spec.disk_refused(flavor)
        if reason and spec.disk_gb(flavor) > spec.disk_gb(instance.flavor):
            raise exception.InstanceFaultRollback(exception.ResizeError(reason=reason))
        self.power_off(instance, timeout)
        volumes.disconnect(instance, block_device_info)
        return "{}"

    def _moves(self, migration):
        return migration is not None and migration.source_node != migration.dest_node and CONF.gantry.node_for_each_engine

    def resize(self, instance, flavor, power_on):
        self.do(instance, "resize", spec.limits(flavor))
        if power_on:
            self.do(instance, "start")

    def finish_migration(self, context, migration, instance, disk_info, network_info, image_meta, resize_instance,
                         allocations, block_device_info=None, power_on=True):
        volumes.connect(instance, block_device_info)
        flavor = instance.new_flavor or instance.flavor
        if self._moves(migration):
            self._move.there(context, instance, migration, self._nodes.gantry_name(migration.dest_node), flavor, power_on, network_info,
                             block_device_info)
        else:
            self.resize(instance, flavor, power_on)

    def finish_revert_migration(self, context, instance, network_info, migration, block_device_info=None, power_on=True):
        volumes.connect(instance, block_device_info)
        flavor = instance.old_flavor or instance.flavor
        if self._moves(migration):
            self._move.back(context, instance, migration, self._nodes.gantry_name(migration.source_node), flavor, power_on, network_info,
                            block_device_info)
        else:
            self.resize(instance, flavor, power_on)
        if instance.task_state == task_states.RESIZE_MIGRATING:
            move.given_up(context, instance, migration)

    def _mend(self, context, instance, network_info, block_device_info, start):
        if not CONF.gantry.node_for_each_engine:
            return False
        return self._move.mend(context, instance, self._nodes.gantry_name(instance.node), network_info, block_device_info, start)

    def confirm_migration(self, context, migration, instance, network_info):
        if self._moves(migration):
            self._move.drop(self._move.image(instance, migration), self._nodes.gantry_name(migration.source_node))

    # --- snapshot ------------------------------------------------------------------------------------

    def snapshot(self, context, instance, image_id, update_task_state):
        update_task_state(task_state=task_states.IMAGE_PENDING_UPLOAD)
        found, name = self.find(instance), "snapshot/%s:latest" % image_id
        self.do(instance, "commit", {"image": name})
        image = self._client.target("images", name, node=found["node"], wait=CONF.gantry.operation_timeout)
        try:
            archive = self._client.stream(self._client.target("images", name, "archive", node=found["node"]),
                                          timeout=CONF.gantry.operation_timeout)
            update_task_state(task_state=task_states.IMAGE_UPLOADING, expected_state=task_states.IMAGE_PENDING_UPLOAD)
            glance.API().update(context, image_id, {
                "disk_format": "raw",
                "container_format": "docker",
                "properties": {"image_location": "snapshot", "image_state": "available", "owner_id": instance.project_id},
            }, data=archive)
            archive.close()
        finally:
            self._client.operate("DELETE", image, wait=CONF.gantry.operation_timeout)

    # --- volumes: as the container is made -------------------------------------------------------------

    def get_volume_connector(self, instance):
        return volumes.properties()

    def get_device_name_for_instance(self, instance, bdms, block_device_obj):
        """Nova asks before it attaches one, and is told at once; and for one that was attached while the instance was shelved."""
        if not block_device_obj.obj_attr_is_set("id"):
            raise exception.InvalidVolume(reason=volumes.AS_MADE)
        return super().get_device_name_for_instance(instance, bdms, block_device_obj)

    def detach_volume(self, context, connection_info, instance, mountpoint, encryption=None):
        volumes.detach(connection_info, instance)

    # --- looking at it -------------------------------------------------------------------------------

    def get_console_output(self, context, instance):
        target = self._client.target("instances", self.find(instance)["name"], "logs", tail=CONF.gantry.console_lines)
        text = b""
        stream = self._client.stream(target)
        try:
            for line in stream.lines():
                if "gap" in line:
                    continue
                text += base64.b64decode(line["data"]) if "data" in line else line.get("text", "").encode()
                if not line.get("partial") and not line.get("no_newline"):
                    text += b"\n"
                text = text[-CONSOLE_BYTES:]
        finally:
            stream.close()
        return text

    def get_serial_console(self, context, instance):
        try:
            port = self._client.call("POST", self._client.target("instances", self._name(instance), "serial"))
        except gantry.Problem as problem:
            LOG.warning("no serial console: %s", problem, instance=instance)
            raise exception.ConsoleTypeUnavailable(console_type="serial")
        return ctype.ConsoleSerial(host=port["host"], port=port["port"])

    def _stats(self, instance):
        return self._client.call("GET", self._client.target("instances", self._name(instance), "stats"))

    def get_diagnostics(self, instance):
        return {key: value for key, value in self._stats(instance).items() if isinstance(value, int)}

    def get_instance_diagnostics(self, instance):
        stats = self._stats(instance)
        told = diagnostics_object.Diagnostics(state="running", driver="libvirt", hypervisor="gantry",
                                              config_drive=bool(files.mounted(instance)))
        told.add_cpu(id=0, time=stats.get("cpu_ns", 0))
        told.add_nic(rx_octets=stats.get("network_rx_bytes", 0), tx_octets=stats.get("network_tx_bytes", 0))
        told.add_disk(read_bytes=stats.get("block_read_bytes", 0), write_bytes=stats.get("block_write_bytes", 0))
        told.memory_details = diagnostics_object.MemoryDiagnostics(
            maximum=stats.get("memory_limit_bytes", 0) // MIB, used=stats.get("memory_bytes", 0) // MIB)
        return told

    # --- networks: gantryd wires and unwires by itself -------------------------------------------------

    def attach_interface(self, context, instance, image_meta, vif):
        ports.attach(self, instance, vif)

    def detach_interface(self, context, instance, vif):
        ports.detach(self, instance, vif)

    def plug_vifs(self, instance, network_info):
        """Nova asks at its start, for each instance."""
        if instance.task_state not in (task_states.RESIZE_FINISH, task_states.RESIZE_REVERTING):
            return
        try:
            move.again(nova_context.get_admin_context(), instance)
        except Exception as error:  # nova-compute is to come up in any case; a hard reboot mends it too
            LOG.error("its %s was broken off, and does not go on: %s", instance.task_state, error, instance=instance)

    def unplug_vifs(self, instance, network_info):
        pass
