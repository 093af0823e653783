#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Nova's driver against a gantryd on a fake engine: each method that Nova calls, with Nova's own objects. Skipped without Nova."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from compute import *

world = World(policies={"p.lua": """return { admit = function(req)
    if req.verb == "spawn" and req.labels["nova.flavor"] == "huge" then return false, "too large for us" end
    if req.labels["nova.rescue"] and req.labels["nova.meta.tier"] == "locked" then return false, "not rescued here" end
end }"""}, settings=TRUSTED).start()
CONF.set_override("host", f"unix://{world.socket}", "gantry")


def spawn(one, image=meta, network=None, injected=(), **more):
    nova_driver.spawn(context, one, image, list(injected), None, {}, network_info=network, **more)


events = []
nova_driver = begun("compute1", events)
equal(nova_driver.get_available_nodes(), ["compute1"], "one node")
resource = nova_driver.get_available_resource("compute1")
equal((resource["vcpus"], resource["memory_mb"], resource["hypervisor_hostname"]), (64, 262144, "compute1"), "with what the engines have")
tree = provider_tree.ProviderTree()
tree.new_root("compute1", resource["uuid"])
nova_driver.update_provider_tree(tree, "compute1")
equal(tree.data("compute1").inventory["MEMORY_MB"]["total"], 262144, "and its inventory")

one = instance()
spawn(one)
found = world.get(f"/v1/instances/{one.uuid}").json
equal((found["state"], found["project"], found["image"], found["spec"]["command"], found["spec"]["memory"], found["spec"]["hostname"]),
     ("running", "project1", f"glance/{IMAGE}:pullable", ["sleep", "1000"], 64 << 20, one.hostname), "spawn: an instance as Nova wants it")
equal({key: found["labels"][key] for key in ("nova.host", "nova.flavor", "nova.disk_gb", "nova.flavor.k", "nova.meta.tier", "nova.zone",
                                                 "nova.aggregate.rack", "nova.hint.group")},
     {"nova.aggregate.rack": "r1", "nova.hint.group": "g", "nova.host": "compute1", "nova.flavor": "tiny", "nova.disk_gb": "1", "nova.flavor.k": "v", "nova.meta.tier": "gold", "nova.zone": "az"}, "policies see Nova's request in labels")
equal(nova_driver.get_info(one).state, power_state.RUNNING, "get_info")
equal((nova_driver.list_instance_uuids(), nova_driver.list_instances()), ([one.uuid], [one.name]), "the lists")
equal(nova_driver.cache_image(context, IMAGE), False, "its image need not be cached again")
two = instance()
spawn(two)
equal(Glance.downloads, [IMAGE], "the image was downloaded once for two")
for name, call, state in (("power_off", lambda: nova_driver.power_off(one, 1), power_state.SHUTDOWN), ("again", lambda: nova_driver.power_off(one), power_state.SHUTDOWN),
                          ("power_on", lambda: nova_driver.power_on(context, one, None), power_state.RUNNING),
                          ("pause", lambda: nova_driver.pause(one), power_state.PAUSED), ("unpause", lambda: nova_driver.unpause(one), power_state.RUNNING),
                          ("suspend", lambda: nova_driver.suspend(context, one), power_state.PAUSED),
                          ("resume", lambda: nova_driver.resume(context, one, None), power_state.RUNNING),
                          ("reboot", lambda: nova_driver.reboot(context, one, None, "SOFT"), power_state.RUNNING),
                          ("hard reboot", lambda: nova_driver.reboot(context, one, None, "HARD"), power_state.RUNNING)):
    call()
    equal(nova_driver.get_info(one).state, state, name)
equal(nova_driver.get_diagnostics(one)["pids"] >= 0, True, "diagnostics")
equal(nova_driver.get_instance_diagnostics(one).hypervisor, "gantry", "and those of the newer API")
ok("load" in nova_driver.get_host_uptime(), "the uptime")

states = []
nova_driver.snapshot(context, one, "22222222-2222-4222-8222-222222222222", lambda task_state, expected_state=None: states.append((task_state, expected_state)))
metadata, content = Glance.uploads["22222222-2222-4222-8222-222222222222"]
equal(metadata["container_format"], "docker", "snapshot: a Docker archive for Glance")
ok("manifest.json" in tarfile.open(fileobj=io.BytesIO(content)).getnames(), "which is one")
equal(states, [("image_pending_upload", None), ("image_uploading", "image_pending_upload")], "by the steps that Nova expects")
ok(not [t for i in world.get("/v1/images").json["images"] for t in i["tags"] if t.startswith("snapshot/")], "nothing of it stays on the node")

disk = nova_driver.migrate_disk_and_power_off(context, one, CONF.my_ip, one.flavor, None)
one.new_flavor = objects.Flavor(name="small", memory_mb=128, vcpus=2, root_gb=1, ephemeral_gb=0, swap=0)
nova_driver.finish_migration(context, None, one, disk, None, meta, True, {})
found = world.get(f"/v1/instances/{one.uuid}").json
equal((found["state"], found["spec"]["memory"], found["spec"]["cpus"]), ("running", 128 << 20, 2), "resize on the same host")
one.task_state, one.old_flavor = "resize_reverting", objects.Flavor(name="tiny", memory_mb=64, vcpus=1, swap=0)
nova_driver.destroy(context, one, None)  # of the new one, as Nova does before it goes back
nova_driver.finish_revert_migration(context, one, None, None)
one.task_state, before = None, found
found = world.get(f"/v1/instances/{one.uuid}").json
equal((found["state"], found["spec"]["memory"], found["container_id"]), ("running", 64 << 20, before["container_id"]),
      "a revert keeps the container, with its old limits")
refused("to another host", exception.InstanceFaultRollback, lambda: nova_driver.migrate_disk_and_power_off(context, one, "10.0.0.1", one.flavor, None))

events.clear()
world.engine.ask("POST", "/fake/exit", {"id": found["container_id"], "code": 137})
until(lambda: (one.uuid, "Stopped") in events, "the event of its end")
ok(True, "an end behind Nova's back is told as it happens")

huge = instance("huge")
refused("a policy's no is no reason to try elsewhere", exception.BuildAbortException, lambda: spawn(huge), "too large for us")
refused("and leaves nothing", exception.InstanceNotFound, lambda: nova_driver.get_info(huge))
refused("the same uuid twice", client.Problem, lambda: spawn(two))
equal(nova_driver.get_info(two).state, power_state.RUNNING, "which leaves the first as it is")
Glance.images["bad"] = {"container_format": "docker", "checksum": "pullable", "content": b"no archive" * 100, "properties": {}}
refused("an image that is none", exception.ImageUnacceptable, lambda: spawn(instance(), mock.Mock(id="bad")), "no archive")
Glance.images["raw"] = {"container_format": "bare", "checksum": "1", "content": b"", "properties": {}}
refused("one of another kind", exception.ImageUnacceptable, lambda: spawn(instance(), mock.Mock(id="raw")))
Glance.images["floats"] = {"container_format": "bare", "properties": {"gantry_image": "pullable:7"}}
refused("a registry's name without a digest", exception.ImageUnacceptable, lambda: spawn(instance(), mock.Mock(id="floats")), "without a digest")
Glance.images["named"] = {"container_format": "bare", "properties": {"gantry_image": PINNED}}
three = instance()
spawn(three, mock.Mock(id="named"))
equal(world.get(f"/v1/instances/{three.uuid}").json["image"], PINNED, "an image by a registry's name is pulled")

# --- ports: gantryd wires them on real engines (t/9085); here, what it is asked for ------------------------
ports = driver.ports
told = {"id": vif()["id"], "type": "bridge", "bridge": "brq1", "create_bridge": True, "mac": "fa:16:3e:00:00:01", "mtu": 1450,
        "addresses": ["10.0.0.1/24", "fd00::1/64"], "routes": ["10.9.0.0/16 via 10.0.0.9", "default via 10.0.0.1"], "dns": ["10.0.0.2"]}
equal(ports.port(vif()), told, "a port of Neutron's Linux bridge agent as gantryd's")
equal({key: ports.port(vif(kind="ovs")).get(key) for key in ("type", "bridge", "create_bridge")}, {"type": "ovs", "bridge": "brq1", "create_bridge": None},
      "one of Open vSwitch")
refused("a port that is bound otherwise", exception.NovaException, lambda: ports.port(vif(kind="hostdev")), "bound as hostdev: bridge and ovs can be had")
refused("one with the hybrid plug", exception.NovaException, lambda: ports.port(vif(kind="ovs", details={"ovs_hybrid_plug": True})), "hybrid plug")
equal((ports.wanted([]), ports.wanted(None)), ({}, {}), "--nic none")
refused("ports, of a gantryd that wires none", client.Problem, lambda: spawn(instance(), network=[vif()]), "name net in plugins of gantry.lua")
asked = []
with mock.patch.object(nova_driver, "make", lambda instance, wanted, start: asked.append((wanted["network"], wanted["network_ports"], start)) or {}), \
        mock.patch.object(nova_driver, "do", lambda instance, verb, *more, **query: asked.append(verb)):
    spawn(instance(), network=[vif()])
    equal(asked, [("none", [told], True)], "one that is wired already is started at once")
    asked.clear()
    spawn(instance(), network=[vif(active=False)])
    equal(asked, [("none", [told], False), "start"], "the program of one that is not begins after Neutron has wired it")
    virtapi = nova_driver.virtapi.wait_for_instance_event
    equal(virtapi.call_args[0][1], [("network-vif-plugged", vif()["id"])], "whose event is waited for")
    virtapi.return_value.__exit__.side_effect = driver.eventlet.timeout.Timeout()
    with mock.patch.object(nova_driver, "destroy"):
        refused("Neutron wires nothing", exception.VirtualInterfaceCreateException, lambda: spawn(instance(), network=[vif(active=False)]))
    CONF.set_override("vif_plugging_is_fatal", False)
    asked.clear()
    spawn(instance(), network=[vif(active=False)])
    equal(asked[-1], "start", "unless that is not fatal")
    CONF.clear_override("vif_plugging_is_fatal")
    virtapi.return_value.__exit__.side_effect = None
    CONF.set_override("ignore_ports", True, "gantry")
    equal((ports.wanted([vif()]), ports.awaited([vif(active=False)])), ({}, []), "ignore_ports")
    CONF.clear_override("ignore_ports", "gantry")
wired = instance()
spawn(wired)
refused("a port that cannot be attached", exception.InterfaceAttachFailed, lambda: nova_driver.attach_interface(context, wired, meta, vif()))
nova_driver.detach_interface(context, wired, vif())
ok(True, "one that is not there is detached")
with mock.patch.object(nova_driver, "_client") as fake:
    fake.operate.return_value = {"state": "done"}
    nova_driver.attach_interface(context, wired, meta, vif())
    equal((fake.operate.call_args[0][0], fake.target.call_args[0], fake.operate.call_args[0][2]), ("POST", ("instances", wired.uuid, "ports"), {"port": told}), "attach")
    nova_driver.detach_interface(context, wired, vif())
    equal((fake.operate.call_args[0][0], fake.target.call_args[1]["port"]), ("DELETE", vif()["id"]), "detach")
nova_driver.plug_vifs(wired, [vif()])
nova_driver.destroy(context, wired, [vif()])
half = archive()[:1000]
Glance.images["half"] = {"container_format": "docker", "checksum": "pullable", "content": half, "properties": {}}
refused("half an archive", exception.ImageUnacceptable, lambda: spawn(instance(), mock.Mock(id="half")))
refused("an image that has gone from Glance", KeyError, lambda: spawn(instance(), mock.Mock(id="gone")))


def file_of(each, path):
    answer = world.get(f"/v1/instances/{each.uuid}/archive?path={path}")
    return tarfile.open(fileobj=io.BytesIO(answer.body)).extractfile(os.path.basename(path)).read() if answer.status == 200 else None


four = instance()
four.user_data = base64.b64encode(b"#cloud-config").decode()
spawn(four, injected=[("/etc/motd", b"welcome")])
equal((file_of(four, "/etc/motd"), file_of(four, "/etc/nova/user_data")), (b"welcome", b"#cloud-config"), "injected files and user data are inside")
found = world.get(f"/v1/instances/{four.uuid}").json
equal((found["state"], found["boots"]), ("running", 1), "before its first start")
equal([one for one in found["spec"]["environment"] if "META" in str(one)], [{"name": "NOVA_META_TIER", "value": "gold"}], "the metadata is in its environment")
five = instance()
spawn(five, power_on=False)
equal((nova_driver.get_info(five).state, world.get(f"/v1/instances/{five.uuid}").json.get("boots", 0)), (power_state.SHUTDOWN, 0), "made without a start")
five.config_drive = "True"
CONF.set_override("instances_path", world.folder)
with mock.patch("nova.api.metadata.base.InstanceMetadata") as metadata:
    metadata.return_value.metadata_for_config_drive.return_value = [("openstack/latest/meta_data.json", "{}")]
    nova_driver.destroy(context, five, None)
    spawn(five)
folder = os.path.join(world.folder, five.uuid, "config-drive")
equal(world.get(f"/v1/instances/{five.uuid}").json["spec"]["mounts"], [{"type": "bind", "source": folder, "target": "/mnt/config", "read_only": True}],
      "a config drive is a folder, mounted to be read")
ok(os.path.exists(os.path.join(folder, "openstack/latest/meta_data.json")), "with what belongs there")

six, answers = instance(), []
world.engine.fault("POST /containers/*/start", "delay", ms=700 * SLOW, count=1)
waiting = threading.Thread(target=lambda: answers.append(spawn(six)))
waiting.start()
until(lambda: any(operation["step"] == "start" for operation in world.running_operations()), "its start")
world.kill()
world.start()
waiting.join(LIMIT)
equal((answers, nova_driver.get_info(six).state), ([None], power_state.RUNNING), "gantryd killed in the middle of a spawn and started again: it goes on")
equal(len([c for c in world.containers() if c["Labels"]["gantry.instance"] == world.get(f"/v1/instances/{six.uuid}").json["id"]]), 1, "once")

world.kill()
answers.clear()
away = instance()
waiting = [threading.Thread(target=lambda ask=ask: answers.append(ask())) for ask in (
    lambda: spawn(away), lambda: nova_driver.update_provider_tree(tree, "compute1"))]
for each in waiting:
    each.start()
world.start()
for each in waiting:
    each.join(LIMIT)
equal((answers, nova_driver.get_info(away).state), ([None, None], power_state.RUNNING),
      "and one that begins while gantryd is away is waited with, as is Nova's claim for it")

with mock.patch.object(driver.early.compute_utils, "add_instance_fault_from_exc") as told, \
        mock.patch.object(driver.early.objects.Instance, "get_by_uuid") as get_by_uuid, \
        mock.patch.object(driver.early.nova_context, "get_admin_context"):
    get_by_uuid.side_effect = lambda context, uuid: mock.Mock(uuid=uuid, task_state=None, vm_state="active", save=mock.Mock())
    seven = instance()
    spawn(seven)
    world.engine.ask("POST", "/fake/exit", {"id": world.get(f"/v1/instances/{seven.uuid}").json["container_id"], "code": 7})
    until(lambda: told.call_args, "the fault")
    has(told.call_args.kwargs["fault_message"], "with code 7", "one that fails at once is told as the instance's fault")
    ok((seven.uuid, "Stopped") not in events, "and not as a stop")

world.engine.fault("POST /containers/*/start", "500", count=1, message="no such thing")
nova_driver.power_off(two)
refused("a power_on that fails", client.Problem, lambda: nova_driver.power_on(context, two, None), "no such thing")
equal(nova_driver.get_info(two).state, power_state.SHUTDOWN, "keeps the container")
CONF.set_override("flavor_disk", "refuse", "gantry")
refused("a flavor with a disk, where that is not taken", exception.BuildAbortException, lambda: spawn(instance()), "disk of 1 GB")
CONF.clear_override("flavor_disk", "gantry")

# --- volumes: what os-brick makes of them, given as the container is made -----------------------------

volumes = driver.volumes
mock.patch.object(volumes, "_is_block_device", lambda path: os.path.realpath(path) in ("/dev/null", "/dev/zero")).start()
FOLDER = os.path.join(world.folder, "volume")
os.mkdir(FOLDER)


def disk(name, path, kind="local", boot_index=None, **data):
    return {"mount_device": f"/dev/{name}", "boot_index": boot_index,
            "connection_info": {"driver_volume_type": kind, "serial": f"id-of-{name}", "data": {"device_path": path, **data}}}


def disks(*these):
    return {"block_device_mapping": list(these)}


held = instance()
given = disks(disk("vdb", "/dev/null"), disk("vdc", FOLDER), disk("vdd", "/dev/zero", access_mode="ro"))
spawn(held, block_device_info=given)
at = f"{world.folder}/{held.uuid}/volumes"
found = world.get(f"/v1/instances/{held.uuid}").json["spec"]
equal(found["devices"], [{"host_path": f"{at}/vdb", "container_path": "/dev/vdb", "permissions": "rw"},
                         {"host_path": f"{at}/vdd", "container_path": "/dev/vdd", "permissions": "r"}], "a block device is one inside, by Nova's name")
equal(found["mounts"], [{"type": "bind", "source": f"{at}/vdc", "target": "/mnt/volumes/vdc"}], "a folder is mounted")
equal([os.readlink(f"{at}/{name}") for name in ("vdb", "vdc", "vdd")], ["/dev/null", FOLDER, "/dev/zero"], "by links to where they are now")
nova_driver.power_off(held)
given["block_device_mapping"][0]["connection_info"]["data"]["device_path"] = "/dev/zero"
nova_driver.power_on(context, held, None, given)
equal(os.readlink(f"{at}/vdb"), "/dev/zero", "which may be elsewhere after the host was started again")
nova_driver.reboot(context, held, None, "HARD", given)
equal(volumes.kept(held, world.get(f"/v1/instances/{held.uuid}").json), (found["devices"], found["mounts"]), "what takes its place has them too")
refused("one more", exception.InvalidVolume, lambda: nova_driver.get_device_name_for_instance(held, [], objects.BlockDeviceMapping()), "when it is made")
refused("but for one that came while it was shelved, which Nova names", NotImplementedError,
        lambda: nova_driver.get_device_name_for_instance(held, [], objects.BlockDeviceMapping(id=1)))
refused("one less", exception.VolumeDetachFailed, lambda: nova_driver.detach_volume(context, disk("vdb", "/dev/null")["connection_info"], held, "/dev/vdb"),
        "when it is made")
held.task_state = "rebuilding"
equal(nova_driver.detach_volume(context, disk("vdb", "/dev/null")["connection_info"], held, "/dev/vdb"), None, "but for a rebuild, which makes it anew")
held.task_state = None
moving = mock.Mock(source_node="compute1", dest_node="compute1")
for what, leave, arrive in (
        ("a resize", lambda: nova_driver.migrate_disk_and_power_off(context, held, CONF.my_ip, held.flavor, None, given),
         lambda: nova_driver.finish_migration(context, moving, held, "{}", None, meta, False, {}, given)),
        ("its way back", lambda: nova_driver.destroy(context, held, None, given),
         lambda: nova_driver.finish_revert_migration(context, held, None, moving, given))):
    held.new_flavor, held.old_flavor = held.flavor, held.flavor
    held.task_state = "resize_reverting" if what == "its way back" else "resize_migrating"
    with mock.patch.object(volumes.connector.InitiatorConnector, "factory") as factory:
        leave()
        equal(factory.return_value.disconnect_volume.call_count, 3, f"{what}: they are disconnected while it is stopped")
    held.task_state = "resize_finish"
    given["block_device_mapping"][0]["connection_info"]["data"]["device_path"] = elsewhere = {"/dev/zero": "/dev/null"}.get(os.readlink(f"{at}/vdb"), "/dev/zero")
    arrive()
    equal(os.readlink(f"{at}/vdb"), elsewhere, "and may be elsewhere when it is started")
held.task_state = None
with mock.patch.object(volumes.connector.InitiatorConnector, "factory") as factory:
    nova_driver.destroy(context, held, None, given)
    equal([call.args[1]["path"] for call in factory.return_value.disconnect_volume.call_args_list], ["/dev/zero", FOLDER, "/dev/zero"],
          "they are disconnected when it is gone")
ok(not os.path.exists(at), "and leave nothing")
for what, wrong, word in (("boot from a volume", disk("vda", "/dev/null", boot_index=0), "a container boots of an image, not of a volume"),
                          ("an encrypted volume", disk("vdb", "/dev/null", encrypted=True), "volume vdb is encrypted"),
                          ("one of a kind that os-brick does not know", disk("vdb", "x", kind="floppy"), "volume vdb is of type floppy"),
                          ("one that is a file", disk("vdb", __file__), "takes block devices and folders")):
    held = instance()
    refused(what, exception.BuildAbortException, lambda: spawn(held, block_device_info=disks(wrong)), word)
    ok(not nova_driver.instance_exists(held) and not os.path.exists(f"{world.folder}/{held.uuid}"), "leaves nothing")
with mock.patch.object(volumes.connector, "get_connector_properties", lambda *words, **more: {"host": more["host"]}):
    equal(nova_driver.get_volume_connector(held), {"host": CONF.host}, "Cinder is told of this host")


# --- rescue ------------------------------------------------------------------------------------------

RESCUE = "33333333-3333-4333-8333-333333333333"
Glance.images[RESCUE] = {"container_format": "bare", "properties": {"gantry_image": PINNED, "gantry_command": "sh"}}
locked = instance()
locked.metadata = {"tier": "locked"}
spawn(locked)
locked.task_state = "rescuing"
refused("a rescue that a policy minds", client.Problem, lambda: nova_driver.power_off(locked), "not rescued here")
equal(nova_driver.get_info(locked).state, power_state.RUNNING, "before anything stops")
nova_driver.destroy(context, locked, None)


def second():
    return world.get(f"/v1/instances/{four.uuid}-rescue")


def under(vm_state, task_state=None):
    four.vm_state, four.task_state = vm_state, task_state


first = world.get(f"/v1/instances/{four.uuid}").json
under("active", "rescuing")
with mock.patch.object(nova_driver, "make", wraps=nova_driver.make) as asked:
    nova_driver.power_off(four)
    equal((asked.call_args[0][1]["command"], asked.call_args[0][2]), (first["spec"]["command"], False), "it is tried out with what the instance is made of")
equal((nova_driver.get_info(four).state, second().status), (power_state.SHUTDOWN, 404), "one that can be had: it is stopped for it")
nova_driver.rescue(context, four, None, mock.Mock(id=RESCUE), "password", None)
equal(nova_driver.get_info(four).state, power_state.RUNNING, "rescued")
under("rescued")
made = second().json
equal((made["state"], made["image"], made["spec"]["command"], made["project"]), ("running", PINNED, ["sh"], "project1"), "by the rescue image")
equal(made["spec"]["mounts"], [{"type": "instance", "source": first["id"], "target": "/rescue"}], "with its filesystem at /rescue")
equal(nova_driver.get_info(four).internal_id, made["id"], "Nova sees that")
equal([uuid for uuid in nova_driver.list_instance_uuids() if uuid.startswith(four.uuid)], [four.uuid], "and one instance")
events.clear()
world.engine.ask("POST", "/fake/write", {"id": made["container_id"], "stream": 1, "text": "help\n"})
until(lambda: nova_driver.get_console_output(context, four) == b"help\n", "its console")
world.engine.ask("POST", "/fake/exit", {"id": made["container_id"], "code": 1})
until(lambda: (four.uuid, "Stopped") in events, "the event of its end")
equal(nova_driver.get_info(four).state, power_state.SHUTDOWN, "whose end is the instance's")
nova_driver.power_on(context, four, None)
equal((nova_driver.get_info(four).state, world.state(four.uuid)), (power_state.RUNNING, "stopped"), "a start is of that too")
under("rescued", "unrescuing")
nova_driver.unrescue(context, four)
under("active")
found = world.get(f"/v1/instances/{four.uuid}").json
equal((found["state"], found["container_id"], second().status), ("running", first["container_id"], 404), "unrescued, the first is back, and nothing else")
under("active", "rescuing")
nova_driver.power_off(four)
refused("one whose image is gone", KeyError, lambda: nova_driver.rescue(context, four, None, mock.Mock(id="gone"), "password", None))
equal((nova_driver.get_info(four).state, second().status), (power_state.RUNNING, 404), "is started again as it was")
nova_driver.power_off(four)
nova_driver.rescue(context, four, None, mock.Mock(id=RESCUE), "password", None)
under("rescued", "deleting")
nova_driver.destroy(context, four, None)
under("active")
equal((second().status, world.get(f"/v1/instances/{four.uuid}").status), (404, 404), "deleted in a rescue, both are gone")
refused("a password", NotImplementedError, lambda: nova_driver.set_admin_password(four, "x"))

# --- a node that comes back with other containers ----------------------------------------------------

lost, kept = instance(), instance()
spawn(lost)
spawn(kept)
container = world.get(f"/v1/instances/{lost.uuid}").json["container_id"]
world.kill()
events.clear()
world.engine.ask("DELETE", f"/v1.41/containers/{container}?force=1")
world.start()
until(lambda: (lost.uuid, "Stopped") in events, "the event of its loss")
ok(nova_driver.get_info(lost).state in (power_state.SHUTDOWN, power_state.CRASHED), "a container that is not there any more: its instance is down, which is told")
equal(nova_driver.get_info(kept).state, power_state.RUNNING, "the others run on")
refused("a power_on of it", client.Problem, lambda: nova_driver.power_on(context, lost, None))
ok(nova_driver.instance_exists(lost), "which leaves it for Nova to delete or rebuild")
for each in (one, two, away, lost, kept, three, four, five, six, seven):
    nova_driver.destroy(context, each, None)
    nova_driver.destroy(context, each, None)
equal(nova_driver.list_instance_uuids(), [], "destroy, a second time too")

CONF.set_override("remove_unused_original_minimum_age_seconds", 3600, "image_cache")
nova_driver.manage_image_cache(context, [])
equal(len(tagged(world, "glance/")), 1, "an image that is not used any more stays for a time")
CONF.set_override("remove_unused_original_minimum_age_seconds", 0, "image_cache")
nova_driver.manage_image_cache(context, [])
equal(tagged(world, "glance/"), [], "and goes then")
equal(nova_driver.cache_image(context, IMAGE), True, "it is cached before an instance wants it")
CONF.set_override("remove_unused_base_images", False, "image_cache")
nova_driver.manage_image_cache(context, [])
equal(len(tagged(world, "glance/")), 1, "and stays where Nova is told to keep it")
refused("what is gone", exception.InstanceNotFound, lambda: nova_driver.get_info(one))
world.kill()
refused("gantryd away: the node is not ready, and not gone", exception.VirtDriverNotReady, nova_driver.get_available_nodes)
world.start()
equal(nova_driver.get_available_nodes(), ["compute1"], "it is back")
nova_driver._events = None

# --- each engine a node --------------------------------------------------------------------------------

pair = World(engines=("east", "west"), policies="shipped", settings=TRUSTED, node='labels = { ["nova.traits"] = "FAST SSD" }')
pair.start()
CONF.set_override("host", f"unix://{pair.socket}", "gantry")
CONF.set_override("node_for_each_engine", True, "gantry")
nova_driver = begun("compute2")
equal(nova_driver.get_available_nodes(), ["east.compute2", "west.compute2"], "each engine is a node of its own")
east, west = (nova_driver.get_available_resource(f"{name}.compute2") for name in ("east", "west"))
equal((east["hypervisor_hostname"], east["memory_mb"], east["uuid"] != west["uuid"]), ("east.compute2", 262144, True), "with its own size and identity")
tree = provider_tree.ProviderTree()
tree.new_root("east.compute2", east["uuid"])
nova_driver.update_provider_tree(tree, "east.compute2")
equal(tree.data("east.compute2").traits, {"CUSTOM_FAST", "CUSTOM_SSD"}, "and the traits that its label names")
for name in ("west", "east", "west"):
    each = instance(node=f"{name}.compute2")
    spawn(each)
    equal(pair.get(f"/v1/instances/{each.uuid}").json["node"], name, f"an instance that Nova places on {name} runs there")
equal(sorted(node for node, _ in tagged(pair, "glance/")), ["east", "west"], "and the image was loaded where it is wanted")

moved = instance(node="east.compute2")
moved.system_metadata = {"image_gantry_command": "sleep 1000"}
spawn(moved)
for number, end in enumerate(("revert", "confirm"), 7):
    migration, image = mock.Mock(id=number, source_node="east.compute2", dest_node="west.compute2"), f"migration/{moved.uuid}:{number}"
    disk = nova_driver.migrate_disk_and_power_off(context, moved, CONF.my_ip, moved.flavor, None)
    moved.new_flavor, moved.old_flavor = objects.Flavor(name="small", memory_mb=128, vcpus=1, swap=0), objects.Flavor(name="tiny", memory_mb=64, vcpus=1, swap=0)
    nova_driver.finish_migration(context, migration, moved, disk, None, meta, True, {})
    equal(placed(pair, moved), ("west", "running", 128), "a migration: it is made on the other engine, of what it was")
    equal((tagged(pair, "migration/"), pair.disagreements()), ([("east", image), ("west", image)], []),
          "and its image stays behind, for a way back")
    if end == "revert":
        moved.task_state = "resize_reverting"
        nova_driver.destroy(context, moved, None)
        nova_driver.finish_revert_migration(context, moved, None, migration)
        moved.task_state = None
        equal((placed(pair, moved), tagged(pair, "migration/")), (("east", "running", 64), [("east", image)]), "which a revert goes, to the old limits")
nova_driver.confirm_migration(context, migration, moved, None)
equal(tagged(pair, "migration/"), [("west", image)], "a confirm drops what stayed behind")
pair.engines["east"].fault("POST /containers/create*", "500", message="no room")
back = mock.Mock(id=9, source_node="west.compute2", dest_node="east.compute2")
held = mock.Mock(is_volume=True, attachment_id="attachment")
with mock.patch.object(driver.move.report, "report_client_singleton") as placement, mock.patch.object(volumes.cinder, "API") as cinder, \
        mock.patch.object(volumes.objects.BlockDeviceMappingList, "get_by_instance_uuid", lambda *words: [held]):
    refused("a migration that fails there", exception.InstanceFaultRollback,
            lambda: nova_driver.finish_migration(context, back, moved, disk, None, meta, False, {}), "no room")
equal((placed(pair, moved), tagged(pair, "migration/"), pair.disagreements()), (("west", "running", 64), [("west", f"migration/{moved.uuid}:9")], []),
      "leaves it where it was")
equal((moved.node, placement.return_value.move_allocations.call_args.args, back.status), (back.source_node, (context, back.uuid, moved.uuid), "error"),
      "and Placement and Nova have it there")
equal(cinder.return_value.attachment_complete.call_args.args, (context, "attachment"), "with its volumes, as Cinder is told")
pair.engines["east"].clear()
nova_driver.destroy(context, moved, None)
equal((tagged(pair, "migration/"), pair.get(f"/v1/instances/{moved.uuid}").status), ([], 404), "and deleted, it leaves nothing")

# --- a move that is broken off ------------------------------------------------------------------------
broken = instance(node="east.compute2")
broken.system_metadata = dict(moved.system_metadata)
spawn(broken)
migration = mock.Mock(id=11, source_node="east.compute2", dest_node="west.compute2")
broken.new_flavor, broken.old_flavor = None, None
nova_driver.migrate_disk_and_power_off(context, broken, CONF.my_ip, broken.flavor, None)
broken.task_state = "resize_migrating"
with mock.patch.object(driver.move.report, "report_client_singleton") as placement:
    nova_driver.finish_revert_migration(context, broken, None, migration)
equal((placed(pair, broken), tagged(pair, "migration/")), (("east", "running", 64), []), "before it left: it runs on where it is")
equal((placement.return_value.move_allocations.call_args.args, migration.status), ((context, migration.uuid, broken.uuid), "error"),
      "and Placement and Nova count it there")
with mock.patch.object(nova_driver._move, "_make", side_effect=KeyboardInterrupt):  # as if nova-compute were killed there
    try:
        nova_driver.finish_migration(context, migration, broken, disk, None, meta, False, {})
    except KeyboardInterrupt:
        pass
equal(pair.get(f"/v1/instances/{broken.uuid}").status, 404, "between the removal and the making")


def started_again(task_state):
    """What nova-compute's start asks Nova for: (the step, its flavor, its state)"""
    broken.node, broken.task_state = "west.compute2", task_state
    broken.migration_context = objects.MigrationContext(migration_id=migration.id)
    with mock.patch.object(driver.move.objects.Migration, "get_by_id_and_instance", lambda *words: migration), \
            mock.patch.object(objects.Instance, "save"), mock.patch.object(driver.move.rpcapi, "ComputeAPI") as asked:
        nova_driver.plug_vifs(broken, None)
    return [call[0] for call in asked.return_value.method_calls], broken.flavor.name, broken.task_state


equal(started_again("resize_prep")[0], [], "nova-compute's start leaves to Nova what Nova takes back")
migration.old_instance_type_id, migration.new_instance_type_id = 1, 2
broken.flavor, broken.old_flavor = (objects.Flavor(id=number, name=name, memory_mb=64, vcpus=1, root_gb=1, ephemeral_gb=0, swap=0, extra_specs={})
                                    for number, name in ((2, "new"), (1, "old")))
equal(started_again("resize_finish"), (["finish_resize"], "old", "resize_migrated"), "and asks for the step that was broken off")
finish = lambda: nova_driver.finish_migration(context, migration, broken, disk, None, meta, True, {})
finish()
equal(placed(pair, broken), ("west", "running", 64), "which makes it of its image")
first = pair.get(f"/v1/instances/{broken.uuid}").json["id"]
finish()
equal(pair.get(f"/v1/instances/{broken.uuid}").json["id"], first, "once")
migration.status = "reverting"
equal(started_again("resize_reverting")[0], ["revert_resize"], "also on its way back")
migration.status = "reverted"
equal(started_again("resize_reverting")[0], ["finish_revert_resize"], "in either half")
broken.task_state = None
nova_driver.remove(broken.uuid)
nova_driver.reboot(context, broken, None, "HARD")
equal(placed(pair, broken), ("west", "running", 64), "and so does a hard reboot")
nova_driver.destroy(context, broken, None)
equal((tagged(pair, "migration/"), pair.get(f"/v1/instances/{broken.uuid}").status), ([], 404), "deleted, it leaves nothing")

pair.engines["west"].stop()
until(lambda: [n["state"] for n in pair.get("/v1/nodes").json["nodes"]] == ["up", "down"], "west to be down")
equal(nova_driver.get_available_nodes(), ["east.compute2", "west.compute2"], "an engine that is away is still a node")
tree.new_root("west.compute2", west["uuid"])
nova_driver.update_provider_tree(tree, "west.compute2")
found = tree.data("west.compute2").inventory["MEMORY_MB"]
equal(found["reserved"], found["total"], "that takes nothing")
listed = nova_driver._nodes.all
with mock.patch.object(nova_driver._nodes, "all", lambda: listed()[:1]):
    for _ in range(2):
        refused("a node that is not in the settings", exception.VirtDriverNotReady, nova_driver.get_available_nodes)
    equal(nova_driver.get_available_nodes(), ["east.compute2"], "is gone when it is not there a third time")
done()
