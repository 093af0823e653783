# SPDX-License-Identifier: Apache-2.0
"""An instance goes to another engine: its filesystem as an image, committed where it is and streamed to where it is to be.

	move      commit ─▶ stream ─▶ remove ─▶ make it there; the image stays behind, for a way back
	back      remove ─▶ make it of the image that stayed behind; the images go
	confirm   the image that stayed behind goes

Where it cannot be made there it stays, or is made again, where it was. Names are unique, so that it is never in two places. Where nova-compute
died amid a move, Nova is asked at its start for the step that it was at: what is done is not done twice. A hard reboot makes one of the
image that is nowhere. Memory is not moved, nor is what volumes of its image hold.
"""
from nova import exception
from nova import objects
from nova import utils
from nova.compute import rpcapi
from nova.compute import task_states
from nova.scheduler.client import report
import nova.conf
from oslo_log import log as logging

from gantry_nova import client as gantry
from gantry_nova import files
from gantry_nova import spec
from gantry_nova import vif
from gantry_nova import volumes

LOG = logging.getLogger(__name__)
CONF = nova.conf.CONF
PREFIX = "migration/"
IMAGE_PROPERTY = "image_"  # in front of those of its image, in an instance's system metadata
CHUNK_BYTES = 1 << 20


def again(context, instance):
    """Nova leaves an instance as it is whose resize, or the way back, was broken off; it is asked for the step that it was at."""
    migration = objects.Migration.get_by_id_and_instance(context, instance.migration_context.migration_id, instance.uuid)
    asked, nova_compute = spec.request(context, instance), rpcapi.ComputeAPI()
    LOG.warning("its %s was broken off, and goes on", instance.task_state, instance=instance)
    if instance.task_state == task_states.RESIZE_REVERTING:
        step = nova_compute.finish_revert_resize if migration.status == "reverted" else nova_compute.revert_resize
        return step(context, instance, migration, CONF.host, asked)
    if migration.old_instance_type_id != migration.new_instance_type_id:  # the step begins with the flavor before it
        instance.flavor = flavor = instance.old_flavor
        instance.instance_type_id = flavor.id
        for name in ("memory_mb", "vcpus", "root_gb", "ephemeral_gb"):
            setattr(instance, name, flavor[name])
    instance.task_state = task_states.RESIZE_MIGRATED
    instance.save(expected_task_state=task_states.RESIZE_FINISH)
    return nova_compute.finish_resize(context, instance, migration, utils.get_image_from_system_metadata(instance.system_metadata), "{}",
                                      CONF.host, asked)


def given_up(context, instance, migration):
    """One stays where it was: Placement and Nova count it there again."""
    report.report_client_singleton().move_allocations(context, migration.uuid, instance.uuid)
    migration.status = "error"
    migration.save()


class Move:
    def __init__(self, client, driver):
        self._client, self._driver = client, driver

    @staticmethod
    def image(instance, migration):
        return "%s%s:%d" % (PREFIX, instance.uuid, migration.id)

    def there(self, context, instance, migration, node, flavor, start, network_info, block_device_info):
        image = self.image(instance, migration)
        try:
            found = self._client.patiently(lambda: self._driver.find(instance))
            if found["node"] == node:  # it was broken off when it was there
                return self._driver.resize(instance, flavor, start)
            self._driver.power_off(instance)  # what is under way ends before that
        except exception.InstanceNotFound:
            if self.mend(context, instance, node, network_info, block_device_info, start):
                return None
            raise
        try:
            self._go(context, instance, image, found, node, flavor, start)
        except Exception as error:
            LOG.error("it cannot be moved to node %s, and stays on %s: %s", node, found["node"], error, instance=instance)
            self.back(context, instance, migration, found["node"], instance.old_flavor or instance.flavor, start, network_info, block_device_info)
            instance.node = migration.source_node
            given_up(context, instance, migration)
            volumes.attached(context, instance)
            raise exception.InstanceFaultRollback(error)
        if found["image"].startswith(PREFIX):  # of a move before this one
            self.drop(found["image"], found["node"])
        return None

    def _go(self, context, instance, image, found, node, flavor, start):
        if (image, found["node"]) not in self._images(instance):
            self._driver.do(instance, "commit", {"image": image})
        self._client.patiently(lambda: self._stream(image, found["node"], node))
        has = self._has(instance, found)
        self._driver.remove(instance.uuid)
        self._make(context, instance, image, node, flavor, start, has)

    def back(self, context, instance, migration, node, flavor, start, network_info, block_device_info):
        image = self.image(instance, migration)
        try:
            found = self._driver.find(instance)
        except exception.InstanceNotFound:
            found = None
        if found and found["node"] == node:  # it never left, or is back
            image = found["image"]
            self._driver.resize(instance, flavor, start)
        else:
            self._driver.remove(instance.uuid)
            self._make(context, instance, image, node, flavor, start, self._has(instance, found, network_info, block_device_info))
        for left in self._images(instance):
            if left != (image, node):
                self.drop(*left)

    def mend(self, context, instance, node, network_info, block_device_info, start):
        """Makes one that is not there of what a move that was broken off has left, on that node if it can be. Whether it did."""
        left = self._images(instance)
        if not left:
            return False
        image, where = max(left, key=lambda one: (int(one[0].rpartition(":")[2]), one[1] == node))
        LOG.warning("a move was broken off: it is made again on node %s of %s", where, image, instance=instance)
        has = self._has(instance, None, network_info, block_device_info)
        self._make(context, instance, image, where, instance.flavor, start, has)
        return True

    def forget(self, instance):
        """The instance is to go, and what moves have left of it."""
        left = self._images(instance) if CONF.gantry.node_for_each_engine else []
        self._driver.remove(instance.uuid)
        for image, node in left:
            self.drop(image, node)

    def _images(self, instance):
        """What moves have left: (image, node)."""
        images = self._client.patiently(lambda: self._client.call("GET", "/v1/images"))["images"]
        prefix = "%s%s:" % (PREFIX, instance.uuid)
        return [(tag, image["node"]) for image in images for tag in image["tags"] if tag.startswith(prefix)]

    def drop(self, image, node):
        """Its name; the content stays as long as an instance has it."""
        wait = CONF.gantry.operation_timeout
        try:
            self._client.operate("DELETE", self._client.target("images", image, node=node, wait=wait), wait=wait)
        except gantry.Problem as problem:
            if problem.status not in (404, 409):
                raise

    def _stream(self, image, source, target):
        archive = self._client.stream(self._client.target("images", image, "archive", node=source), timeout=CONF.gantry.operation_timeout)

        def give(sink):
            while data := archive.read(CHUNK_BYTES):
                sink.write(data)

        try:
            self._client.upload(self._client.target("images", node=target, name=image), give, timeout=CONF.gantry.operation_timeout)
        finally:
            archive.close()

    @staticmethod
    def _has(instance, found, network_info=None, block_device_info=None):
        """Devices, folders and ports of what another takes the place of, or where there is none, as Nova says."""
        if found:
            return (*volumes.kept(instance, found), vif.kept(found))
        return (*volumes.wanted(instance, block_device_info), vif.wanted(network_info))

    def _make(self, context, instance, image, node, flavor, start, has):
        """has: as _has() tells."""
        properties = {key[len(IMAGE_PROPERTY):]: value for key, value in instance.system_metadata.items() if key.startswith(IMAGE_PROPERTY)}
        devices, folders, ports = has
        wanted = spec.make(context, instance, self._driver.host, node, image, properties, files.mounted(instance) + folders, devices)
        wanted.update(spec.limits(flavor))
        wanted.update(ports)
        self._driver.make(instance, wanted, start)
