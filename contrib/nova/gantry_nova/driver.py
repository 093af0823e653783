# SPDX-License-Identifier: Apache-2.0
"""GantryDriver: Nova's instances are gantryd's, by the name of their uuid.

Thin: what can be decided in gantryd (placement, limits, who may do what) is decided there, by its policies.
"""
import base64
import json
import shlex
import subprocess
import uuid

import eventlet
from nova import exception
from nova.compute import power_state
from nova.compute import task_states
from nova.console import type as ctype
from nova.image import glance
from nova.objects import diagnostics as diagnostics_object
from nova.objects import fields
from nova.virt import driver
from nova.virt import event as virtevent
from nova.virt import hardware
import nova.conf
import os_resource_classes as orc
from oslo_log import log as logging
from oslo_utils import versionutils

from gantry_nova import client as gantry
from gantry_nova import options

LOG = logging.getLogger(__name__)
CONF = nova.conf.CONF
options.register(CONF)

MIB = 1 << 20
HOST_LABEL = "nova.host"
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
        "supports_migrate_to_same_host": True,
        "supports_image_type_raw": True,  # of Glance's container_format=docker
    }

    def __init__(self, virtapi):
        super().__init__(virtapi)
        self._client = self._events = self._host = None

    # --- the service ---------------------------------------------------------------------------------

    def init_host(self, host):
        self._host = host
        self._client = gantry.Client(CONF.gantry.host, CONF.gantry.ca_file, CONF.gantry.cert_file,
                                     CONF.gantry.key_file, CONF.gantry.timeout)
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
                    after = max(after, told["sequence"])
                    self._tell(told)
            except Exception as error:
                LOG.debug("events: %s; following them again", error)
            eventlet.sleep(1)

    def _tell(self, told):
        kind, name = EVENTS.get(told["kind"]), told.get("name")
        try:
            uuid.UUID(name or "")
        except ValueError:
            return
        if kind is not None:
            self.emit_event(virtevent.LifecycleEvent(name, kind))

    # --- resources -----------------------------------------------------------------------------------

    def _nodes(self):
        try:
            return self._client.call("GET", "/v1/nodes")["nodes"]
        except (gantry.Unreachable, gantry.Problem) as error:
            # never a shorter list: a node that is missing once is lost to Nova for good
            raise exception.VirtDriverNotReady() from error

    def get_available_nodes(self, refresh=False):
        self._nodes()
        return [self._host]

    def node_is_available(self, nodename):
        return nodename == self._host

    def _amounts(self):
        nodes = self._nodes()

        def total(part, name):
            return sum(node.get(part, {}).get(name) or 0 for node in nodes)

        return {
            "vcpus": max(1, total("capacity", "nano_cpus") // 10 ** 9),
            "memory_mb": total("capacity", "memory_bytes") // MIB,
            "local_gb": CONF.gantry.disk_gb,
            "vcpus_used": total("promised", "nano_cpus") // 10 ** 9,
            "memory_mb_used": total("promised", "memory_bytes") // MIB,
            "local_gb_used": 0,
        }

    def get_available_resource(self, nodename):
        version = self._client.call("GET", "/v1/version").get("version", "0.1.0")
        return {
            **self._amounts(),
            "uuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, "gantry/%s" % nodename)),
            "hypervisor_type": "gantry",
            "hypervisor_version": versionutils.convert_version_to_int(version),
            "hypervisor_hostname": nodename,
            "disk_available_least": CONF.gantry.disk_gb,
            "cpu_info": json.dumps({}),
            "numa_topology": None,
            "supported_instances": [(fields.Architecture.X86_64, fields.HVType.DOCKER, fields.VMMode.EXE)],
        }

    def update_provider_tree(self, provider_tree, nodename, allocations=None):
        amounts = self._amounts()
        ratios = self._get_allocation_ratios(provider_tree.data(nodename).inventory)
        inventory = {}
        for name, total, reserved in (
                (orc.VCPU, amounts["vcpus"], CONF.reserved_host_cpus),
                (orc.MEMORY_MB, amounts["memory_mb"], CONF.reserved_host_memory_mb),
                (orc.DISK_GB, amounts["local_gb"], self._get_reserved_host_disk_gb_from_config())):
            if total > 0:
                inventory[name] = {"total": total, "min_unit": 1, "max_unit": total, "step_size": 1,
                                   "allocation_ratio": ratios[name], "reserved": min(reserved, total)}
        provider_tree.update_inventory(nodename, inventory)

    # --- instances -----------------------------------------------------------------------------------

    def _listed(self):
        return self._client.call("GET", self._client.target("instances", label="%s=%s" % (HOST_LABEL, self._host)))["instances"]

    def list_instances(self):
        return [one["labels"].get("nova.name", one["name"]) for one in self._listed()]

    def list_instance_uuids(self):
        return [one["name"] for one in self._listed()]

    def _find(self, instance):
        try:
            return self._client.call("GET", self._client.target("instances", instance.uuid))
        except gantry.Problem as problem:
            if problem.status == 404:
                raise exception.InstanceNotFound(instance_id=instance.uuid)
            raise

    def get_info(self, instance, use_cache=True):
        found = self._find(instance)
        return hardware.InstanceInfo(state=POWER.get(found["state"], power_state.NOSTATE), internal_id=found["id"])

    def instance_exists(self, instance):
        try:
            self._find(instance)
        except exception.InstanceNotFound:
            return False
        return True

    def _do(self, instance, verb, body=None, wait=None):
        """A verb, to its end. What is under way on the instance is waited for."""
        wait = wait or CONF.gantry.operation_timeout
        target = self._client.target("instances", instance.uuid, verb, wait=wait)
        for left in range(BUSY_TRIES, 0, -1):
            try:
                answer = self._client.call("POST", target, body, wait=wait)
                break
            except gantry.Problem as problem:
                if problem.status == 404:
                    raise exception.InstanceNotFound(instance_id=instance.uuid)
                if problem.document.get("title") == "Already in that state":
                    return {}
                if " is busy: " not in str(problem) or left == 1:
                    raise
            eventlet.sleep(BUSY_WAIT_S)
        if answer.get("state") == "running":
            raise exception.NovaException("gantryd: %s has not ended after %d s" % (verb, wait))
        return answer

    # --- spawn and destroy ---------------------------------------------------------------------------

    def spawn(self, context, instance, image_meta, injected_files, admin_password, allocations,
              network_info=None, block_device_info=None, power_on=True, accel_info=None):
        self._refuse(injected_files, network_info, block_device_info)
        image, properties = self._image(context, image_meta)
        wait, made = CONF.gantry.operation_timeout, False
        try:
            answer = self._client.call("POST", self._client.target("instances", wait=wait), self._spec(instance, image, properties),
                                       actor=(instance.project_id, instance.user_id), wait=wait)
            if answer.get("state") == "running":
                raise exception.NovaException("gantryd: the start has not ended after %d s" % wait)
            made = True
            if not power_on:
                self.power_off(instance)
        except gantry.Problem as problem:
            if problem.status == 409 and not made:
                raise  # the name is taken: what has it is not ours to remove
            self.destroy(context, instance, network_info, block_device_info)
            if 400 <= problem.status < 500:
                # a policy, the values or the image: no other host would do better
                raise exception.BuildAbortException(instance_uuid=instance.uuid, reason=str(problem))
            raise
        except Exception:
            self.destroy(context, instance, network_info, block_device_info)
            raise

    def _refuse(self, injected_files, network_info, block_device_info):
        if network_info and not CONF.gantry.ignore_ports:
            raise exception.VirtualInterfaceCreateException()
        if injected_files:
            raise exception.NovaException("files cannot be injected into a container")
        if driver.block_device_info_get_mapping(block_device_info):
            raise exception.NovaException("volumes cannot be attached to a container by this driver")

    def _image(self, context, image_meta):
        """The name of the image for gantryd: a registry's, or one that Glance's content has there."""
        found = glance.API().get(context, image_meta.id)
        properties = found.get("properties") or {}
        if properties.get("gantry_image"):
            return properties["gantry_image"], properties
        if found.get("container_format") != "docker":
            raise exception.ImageUnacceptable(image_id=image_meta.id,
                                              reason="it is neither of container_format docker nor has the property gantry_image")
        # its content, not its display name
        name = "glance/%s:%s" % (image_meta.id, (found.get("checksum") or "none")[:32])
        for node in self._nodes():
            if node["state"] == "up":
                self._load(context, image_meta.id, self._client.target("images", node=node["name"], name=name, once=True))
        return name, properties

    def _load(self, context, image_id, target):
        try:
            self._client.upload(target, lambda sink: glance.API().download(context, image_id, data=sink),
                                timeout=CONF.gantry.operation_timeout)
        except gantry.Problem as problem:
            if 400 <= problem.status < 500:
                raise exception.ImageUnacceptable(image_id=image_id, reason=str(problem))
            raise

    def _spec(self, instance, image, properties):
        flavor = instance.flavor
        memory = flavor.memory_mb * MIB
        spec = {
            "name": instance.uuid,
            "image": image,
            "hostname": instance.hostname,
            "network": CONF.gantry.network,
            "memory": memory,
            "memory_swap": memory + (flavor.swap or 0) * MIB,
            "cpus": flavor.vcpus,
            "tty": CONF.gantry.terminal,
            "stdin_open": CONF.gantry.terminal,
            "labels": self._labels(instance),
        }
        command = (flavor.extra_specs or {}).get("gantry:command") or properties.get("gantry_command")
        if command:
            spec["command"] = shlex.split(command)
        prefix = "gantry_env_"
        environment = ["%s=%s" % (key[len(prefix):], value) for key, value in sorted(properties.items()) if key.startswith(prefix)]
        if environment:
            spec["environment"] = environment
        return spec

    def _labels(self, instance):
        """What policies see of Nova's request."""
        labels = {
            HOST_LABEL: self._host,
            "nova.name": instance.name,
            "nova.display_name": instance.display_name,
            "nova.flavor": instance.flavor.name,
            "nova.image": instance.image_ref,
            "nova.zone": instance.availability_zone,
        }
        labels.update(("nova.meta.%s" % key, value) for key, value in (instance.metadata or {}).items())
        labels.update(("nova.flavor.%s" % key, value) for key, value in (instance.flavor.extra_specs or {}).items())
        return {key: str(value) for key, value in labels.items() if value}

    def destroy(self, context, instance, network_info, block_device_info=None, destroy_disks=True, destroy_secrets=True):
        if instance.task_state == task_states.RESIZE_REVERTING:
            # on the same host the new one is the old one: it is stopped, and goes back to what it was
            try:
                self.power_off(instance)
            except exception.InstanceNotFound:
                pass
            return
        wait = CONF.gantry.operation_timeout
        target = self._client.target("instances", instance.uuid, force=True, wait=wait)
        for left in range(BUSY_TRIES, 0, -1):
            try:
                if self._client.call("DELETE", target, wait=wait).get("state") != "running":
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
        self._do(instance, "stop", {"grace": "%ds" % timeout})

    def power_on(self, context, instance, network_info, block_device_info=None, accel_info=None):
        self._do(instance, "start")

    def reboot(self, context, instance, network_info, reboot_type, block_device_info=None,
               bad_volumes_callback=None, accel_info=None):
        self._do(instance, "restart", {"grace": "0s"} if reboot_type == "HARD" else {})

    def pause(self, instance):
        self._do(instance, "pause")

    def unpause(self, instance):
        self._do(instance, "unpause")

    def suspend(self, context, instance):
        self._do(instance, "pause")

    def resume(self, context, instance, network_info, block_device_info=None):
        self._do(instance, "unpause")

    def resume_state_on_host_boot(self, context, instance, network_info, block_device_info=None):
        self.power_on(context, instance, network_info)

    # --- resize, on the same node --------------------------------------------------------------------

    def migrate_disk_and_power_off(self, context, instance, dest, flavor, network_info, block_device_info=None,
                                   timeout=0, retry_interval=0):
        if dest != self.get_host_ip_addr():
            raise exception.InstanceFaultRollback(
                exception.MigrationError(reason="a container cannot be moved to another host"))
        self.power_off(instance, timeout)
        return "{}"

    def _resize(self, context, instance, flavor, power_on):
        memory = flavor.memory_mb * MIB
        self._do(instance, "resize", {"memory": memory, "memory_swap": memory + (flavor.swap or 0) * MIB, "cpus": flavor.vcpus})
        if power_on:
            self.power_on(context, instance, None)

    def finish_migration(self, context, migration, instance, disk_info, network_info, image_meta, resize_instance,
                         allocations, block_device_info=None, power_on=True):
        self._resize(context, instance, instance.new_flavor or instance.flavor, power_on)

    def finish_revert_migration(self, context, instance, network_info, migration, block_device_info=None, power_on=True):
        self._resize(context, instance, instance.old_flavor or instance.flavor, power_on)

    def confirm_migration(self, context, migration, instance, network_info):
        pass  # it has not moved

    # --- snapshot ------------------------------------------------------------------------------------

    def snapshot(self, context, instance, image_id, update_task_state):
        update_task_state(task_state=task_states.IMAGE_PENDING_UPLOAD)
        found, name = self._find(instance), "snapshot/%s:latest" % image_id
        self._do(instance, "commit", {"image": name})
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
            self._client.call("DELETE", image, wait=CONF.gantry.operation_timeout)

    # --- looking at it -------------------------------------------------------------------------------

    def get_console_output(self, context, instance):
        self._find(instance)
        target = self._client.target("instances", instance.uuid, "logs", tail=CONF.gantry.console_lines)
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
            port = self._client.call("POST", self._client.target("instances", instance.uuid, "serial"))
        except gantry.Problem as problem:
            LOG.warning("no serial console: %s", problem, instance=instance)
            raise exception.ConsoleTypeUnavailable(console_type="serial")
        return ctype.ConsoleSerial(host=port["host"], port=port["port"])

    def _stats(self, instance):
        return self._client.call("GET", self._client.target("instances", instance.uuid, "stats"))

    def get_diagnostics(self, instance):
        return {key: value for key, value in self._stats(instance).items() if isinstance(value, int)}

    def get_instance_diagnostics(self, instance):
        stats = self._stats(instance)
        told = diagnostics_object.Diagnostics(state="running", driver="libvirt", hypervisor="gantry", config_drive=False)
        told.add_cpu(id=0, time=stats.get("cpu_ns", 0))
        told.add_nic(rx_octets=stats.get("network_rx_bytes", 0), tx_octets=stats.get("network_tx_bytes", 0))
        told.add_disk(read_bytes=stats.get("block_read_bytes", 0), write_bytes=stats.get("block_write_bytes", 0))
        told.memory_details = diagnostics_object.MemoryDiagnostics(
            maximum=stats.get("memory_limit_bytes", 0) // MIB, used=stats.get("memory_bytes", 0) // MIB)
        return told

    # --- networks: not wired by this driver ----------------------------------------------------------

    def plug_vifs(self, instance, network_info):
        if network_info and not CONF.gantry.ignore_ports:
            raise NotImplementedError()

    def unplug_vifs(self, instance, network_info):
        pass
