# SPDX-License-Identifier: Apache-2.0
"""An instance goes to another engine: its filesystem as an image, committed where it is and streamed to where it is to be.

	move      commit ─▶ stream ─▶ remove ─▶ make it there; the image stays behind, for a way back
	back      remove ─▶ make it of the image that stayed behind; the images go
	confirm   the image that stayed behind goes

Where it cannot be made there it is made again where it was. Names are unique, so that it is never in two places. Memory is not
moved, nor is what volumes of its image hold.
"""
from nova import exception
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


class Move:
    def __init__(self, client, driver):
        self._client, self._driver = client, driver

    @staticmethod
    def image(instance, migration):
        return "%s%s:%d" % (PREFIX, instance.uuid, migration.id)

    def there(self, context, instance, migration, node, flavor, start):
        found, image = self._driver.find(instance), self.image(instance, migration)
        self._driver.do(instance, "commit", {"image": image})
        try:
            self._stream(image, found["node"], node)
        except Exception:
            self.drop(image, found["node"])
            raise
        self._driver.remove(instance.uuid)
        try:
            self._make(context, instance, image, node, flavor, start, found)
        except Exception as error:
            LOG.error("it cannot be made on node %s, and is made again on %s: %s", node, found["node"], error, instance=instance)
            self._make(context, instance, image, found["node"], instance.old_flavor or instance.flavor, start, found)
            self.drop(image, node)
            raise
        finally:
            if found["image"].startswith(PREFIX):  # of a move before this one
                self.drop(found["image"], found["node"])

    def back(self, context, instance, migration, node, flavor, start):
        image = self.image(instance, migration)
        try:
            found = self._driver.find(instance)
        except exception.InstanceNotFound:
            found = None
        self._driver.remove(instance.uuid)
        self._make(context, instance, image, node, flavor, start, found)
        if found:
            self.drop(image, found["node"])

    def forget(self, instance):
        """The instance is to go, and what it was made of where that was a move's."""
        try:
            found = self._driver.find(instance)
        except exception.InstanceNotFound:
            return
        self._driver.remove(instance.uuid)
        if found["image"].startswith(PREFIX):
            self.drop(found["image"], found["node"])

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

    def _make(self, context, instance, image, node, flavor, start, found):
        """found: what it takes the place of, whose ports and volumes it keeps; None: that is not known."""
        properties = {key[len(IMAGE_PROPERTY):]: value for key, value in instance.system_metadata.items() if key.startswith(IMAGE_PROPERTY)}
        devices, folders = volumes.kept(instance, found) if found else ([], [])
        wanted = spec.make(context, instance, self._driver.host, node, image, properties, files.mounted(instance) + folders, devices)
        wanted.update(spec.limits(flavor))
        wanted.update(vif.kept(found) if found else {})
        self._driver.make(instance, wanted, start)
