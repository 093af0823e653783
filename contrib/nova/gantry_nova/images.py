# SPDX-License-Identifier: Apache-2.0
"""Glance's images on gantryd's nodes: each is loaded once, under a name made of its id and content, and dropped when nothing has it."""
import time

from nova import exception
from nova.image import glance
import nova.conf
from oslo_log import log as logging

from gantry_nova import client as gantry

LOG = logging.getLogger(__name__)
CONF = nova.conf.CONF
PREFIX = "glance/"
FOUND_S = 10


class Images:
    def __init__(self, client, nodes):
        self._client, self._nodes = client, nodes
        self._found = {}  # (image, project): when, what Glance said
        self._unused = {}  # (node, name): since when, by the monotonic clock

    def name(self, context, image_id, node=None):
        """What gantryd calls it, and its properties: a registry's name, or that of Glance's content, which is loaded then.

        node: the one that is to have it; None: all that are up.
        """
        found = self._get(context, image_id)
        properties = found.get("properties") or {}
        if self._of_registry(image_id, properties):
            return properties["gantry_image"], properties
        name = self._name(found, image_id)
        for one in [node] if node else self._nodes.up():
            self._load(context, image_id, self._client.target("images", node=one, name=name, once=True))
        return name, properties

    def _get(self, context, image_id):
        """Of many boots at once each would ask for the same."""
        now, key = time.monotonic(), (image_id, context.project_id)
        self._found = {one: said for one, said in self._found.items() if now - said[0] < FOUND_S}
        if key not in self._found:
            self._found[key] = now, glance.API().get(context, image_id)
        return self._found[key][1]

    def cache(self, context, image_id):
        """It is on all nodes then; whether one had to get it."""
        found = glance.API().get(context, image_id)
        image, fetched = self._of_registry(image_id, found.get("properties") or {}), False
        name = image or self._name(found, image_id)
        for node in self._nodes.up():
            if image:
                wait = CONF.gantry.operation_timeout
                had = {tag for one in self._client.call("GET", self._client.target("nodes", node, "images"))["images"]
                       for tag in one["tags"] + one["digests"]}
                self._client.operate("POST", self._client.target("nodes", node, "images", wait=wait), {"image": image}, wait=wait)
                fetched |= image not in had
            else:
                fetched |= self._load(context, image_id, self._client.target("images", node=node, name=name, once=True))
        return fetched

    def drop_unused(self):
        """As Nova's options for its image cache say."""
        if not CONF.image_cache.remove_unused_base_images:
            return
        age, now = CONF.image_cache.remove_unused_original_minimum_age_seconds, time.monotonic()
        used = {one["image"] for one in self._client.call("GET", "/v1/instances")["instances"]}
        unused = {(image["node"], tag) for image in self._client.call("GET", "/v1/images")["images"]
                  for tag in image["tags"] if tag.startswith(PREFIX) and tag not in used}
        self._unused = {key: self._unused.get(key, now) for key in unused}
        for (node, name), since in list(self._unused.items()):
            if now - since >= age:
                self._drop(node, name)

    def _drop(self, node, name):
        wait = CONF.gantry.operation_timeout
        try:
            self._client.operate("DELETE", self._client.target("images", name, node=node, wait=wait), wait=wait)
            LOG.info("image %s was not used and is removed from node %s", name, node)
        except gantry.Problem as problem:
            if problem.status not in (404, 409):
                raise
        self._unused.pop((node, name), None)

    @staticmethod
    def _of_registry(image_id, properties):
        """Its name there; None: it has none."""
        image = properties.get("gantry_image")
        if image and "@sha256:" not in image:  # another tomorrow, or on another node
            raise exception.ImageUnacceptable(image_id=image_id, reason="gantry_image is %s, without a digest: NAME@sha256:DIGEST can be had" % image)
        return image

    @staticmethod
    def _name(found, image_id):
        if found.get("container_format") != "docker":
            raise exception.ImageUnacceptable(image_id=image_id,
                                              reason="it is neither of container_format docker nor has the property gantry_image")
        # its content, not its display name
        return "%s%s:%s" % (PREFIX, image_id, (found.get("checksum") or "none")[:32])

    def _load(self, context, image_id, target):
        """Whether it was sent."""
        sent = []

        def give(sink):
            sent.append(True)
            glance.API().download(context, image_id, data=sink)

        try:
            self._client.patiently(lambda: self._client.upload(target, give, timeout=CONF.gantry.operation_timeout))
        except gantry.Problem as problem:
            if 400 <= problem.status < 500:
                raise exception.ImageUnacceptable(image_id=image_id, reason=str(problem))
            raise
        return bool(sent)
