# SPDX-License-Identifier: Apache-2.0
"""What tests of Nova's driver stand on: Debian's Nova with its own objects, a Glance, and instances. Skips the test where Nova is not installed."""
import os
import sys

from daemon import *

if sys.executable != "/usr/bin/python3" and os.path.exists("/usr/lib/python3/dist-packages/nova"):
    os.execv("/usr/bin/python3", ["/usr/bin/python3", *sys.argv])  # Debian's own, which has Nova
if not os.path.exists("/usr/lib/python3/dist-packages/nova"):
    print("1..0 # SKIP Nova is not installed (apt install python3-nova)", flush=True)
    sys.exit(0)
sys.path.insert(1, os.path.join(ROOT, "contrib/nova"))
sys.dont_write_bytecode = True
# unpatched: eventlet's hub would not run beside this test's own waiting
os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "1"
import base64
import io
import tarfile
import threading
import unittest.mock as mock

from nova import context as nova_context
from nova import exception, objects
from nova.compute import power_state, provider_tree
from nova.network import model
import nova.conf
from gantry_nova import client, driver

objects.register_all()
CONF = nova.conf.CONF
CONF([], project="nova", default_config_files=[])
context = nova_context.RequestContext("user1", "project1")
TRUSTED = f'trusted_actors = {{ "uid:{os.getuid()}" }}'


def archive():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, data in (("c.json", b"{}"), ("manifest.json", b'[{"Config":"c.json","RepoTags":["busybox:latest"],"Layers":[]}]')):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


class Glance:
    """As nova.image.glance.API; what it was asked for is kept."""
    images, downloads, uploads = {}, [], {}

    def get(self, context, id):
        return self.images[id]

    def download(self, context, id, data=None):
        self.downloads.append(id)
        content = self.images[id]["content"]
        for at in range(0, len(content), 1000):
            data.write(content[at:at + 1000])

    def update(self, context, id, metadata, data=None):
        self.uploads[id] = metadata, b"".join(iter(lambda: data.read(4096), b""))


driver.glance.API = Glance
IMAGE = "11111111-1111-4111-8111-111111111111"
Glance.images[IMAGE] = {"container_format": "docker", "checksum": "pullable", "content": archive(), "properties": {
    "gantry_command": "sleep 1000", "gantry_env_A": "x y"}, "name": "busybox"}
meta = objects.ImageMeta.from_dict({"id": IMAGE, "properties": {}})
PINNED = "pullable@sha256:" + "7" * 64
numbers = iter(range(1, 100))


def instance(flavor="tiny", node="compute1", **values):
    number = next(numbers)
    made = objects.Instance(id=number, uuid="%08d-0000-4000-8000-000000000000" % number, project_id="project1", user_id="user1", hostname="h%d" % number,
                            display_name="N", image_ref=IMAGE, availability_zone="az", metadata={"tier": "gold"}, system_metadata={}, task_state=None, node=node, **values)
    made.user_data = made.config_drive = made.launched_at = None
    made.vm_state = "active"
    made.flavor = objects.Flavor(name=flavor, memory_mb=64, vcpus=1, root_gb=1, ephemeral_gb=0, swap=0, extra_specs={"k": "v"})
    return made


def vif(number=1, kind="bridge", active=True, **more):
    subnet = model.Subnet(cidr="10.0.0.0/24", dns=[model.IP("10.0.0.2", type="dns")], gateway=model.IP("10.0.0.1", type="gateway"),
                          ips=[model.FixedIP(address=f"10.0.0.{number}")], routes=[model.Route(cidr="10.9.0.0/16", gateway=model.IP("10.0.0.9"))])
    sixth = model.Subnet(cidr="fd00::/64", dns=[], gateway=None, ips=[model.FixedIP(address=f"fd00::{number}")], routes=[])
    network = model.Network(id="n", bridge="brq1", subnets=[subnet, sixth], mtu=1450, should_create_bridge=True)
    return model.VIF(id=f"{number:08d}-1111-4111-8111-111111111111", address=f"fa:16:3e:00:00:{number:02x}", network=network, type=kind, active=active, **more)


def begun(host, events=None):
    """The driver of a nova-compute that has started; events gets what it tells Nova."""
    made = driver.GantryDriver(mock.MagicMock())
    if events is not None:
        made.register_event_listener(lambda event: events.append((event.get_instance_uuid(), event.get_name())))
    made.init_host(host)
    return made


def placed(world, one):
    found = world.get(f"/v1/instances/{one.uuid}").json
    return found["node"], found["state"], found["spec"]["memory"] >> 20


def tagged(world, prefix):
    """Images on gantryd's nodes whose names begin so: (node, name)."""
    return sorted((i["node"], t) for i in world.get("/v1/images").json["images"] for t in i["tags"] if t.startswith(prefix))


def refused(what, kind, call, word=""):
    try:
        call()
    except kind as error:
        return ok(word in str(error), f"{what}: {error}")
    return ok(False, f"{what}: nothing was raised")


def thread(function, *arguments):
    threading.Thread(target=function, args=arguments, daemon=True).start()


aggregate = mock.Mock(metadata={"rack": "r1"})
mock.patch.object(driver.spec.objects.AggregateList, "get_by_host", lambda context, host: [aggregate]).start()
mock.patch.object(driver.spec.objects.RequestSpec, "get_by_instance_uuid", lambda context, uuid: mock.Mock(scheduler_hints={"group": ["g"]})).start()
mock.patch.object(driver.eventlet, "spawn", thread).start()
mock.patch.object(driver.eventlet, "spawn_n", thread).start()
