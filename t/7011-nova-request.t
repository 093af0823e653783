#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What Nova's driver asks of gantryd, and what it makes of the answers: each part of a request, both kinds of a policy's no, the events, the
capabilities, and what is not offered. Skipped without Nova."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from compute import *
import inspect
import tracemalloc

from certificates import authority, certificate
from gantry_nova import images
from nova.virt import driver as virt

MIB = 1 << 20
PORT = free_port()
world = World(policies={"p.lua": """return {
    admit = function(req)
        if req.verb == "spawn" and req.labels["nova.meta.never"] then return false, "not for anybody" end
    end,
    filter = function(req, node)
        if req.labels["nova.meta.crowded"] then return false, "crowded" end
        return true
    end,
}"""}, settings=f'trusted_actors = {{ "uid:{os.getuid()}", "cn:nova-compute" }}')
ours = authority(world.folder, "ours")
server, nova_compute, stranger = (certificate(world.folder, name, ours, purpose) for name, purpose in (
    ("gantryd", "serverAuth"), ("nova-compute", "clientAuth"), ("stranger", "clientAuth")))
with open(world.config) as file:
    settings = file.read()
with open(world.config, "w") as file:
    file.write(settings.replace('mode = "0600" } }', f'mode = "0600" }}, {{ tcp = "127.0.0.1:{PORT}", ca = "{ours[0]}", certificate = "{server[0]}", '
                                f'key = "{server[1]}" }} }}'))
CONF.set_override("host", f"unix://{world.socket}", "gantry")
CONF.set_override("instances_path", world.folder)
events = []


def spawn(one, image=IMAGE, **more):
    nova_driver.spawn(context, one, mock.Mock(id=image), [], None, {}, network_info=None, **more)
    return world.get(f"/v1/instances/{one.uuid}").json


def told(one, name):
    until(lambda: (one.uuid, name) in events, f"the event {name}")
    ok(True, f"Nova is told: {name}")
    events.clear()


# --- a start without gantryd -------------------------------------------------------------------------
nova_driver = begun("compute1", events)
refused("nova-compute starts without gantryd: its node is not ready", exception.VirtDriverNotReady, nova_driver.get_available_nodes)
refused("nor is its size known", exception.VirtDriverNotReady, lambda: nova_driver.get_available_resource("compute1"))
world.start()
equal(nova_driver.get_available_nodes(), ["compute1"], "once gantryd is there, it is")

# --- what is offered ---------------------------------------------------------------------------------
equal({name for name, has in nova_driver.capabilities.items() if has}, {"has_imagecache", "supports_attach_interface", "supports_image_type_raw"},
      "capabilities: those that there are")
CONF.set_override("node_for_each_engine", True, "gantry")
ok(driver.GantryDriver(mock.MagicMock()).capabilities["supports_migrate_to_same_host"], "a migration to the same host, where that has several nodes")
CONF.clear_override("node_for_each_engine", "gantry")
# What Nova has for other drivers, by the words of the guide that say why not; None: Nova does it by itself, or leaves it.
NOT_OFFERED = {
    "live migration": ["check_can_live_migrate_destination", "check_can_live_migrate_source", "cleanup_live_migration_destination_check", "live_migration",
                       "live_migration_abort", "live_migration_force_complete", "post_live_migration_at_destination", "post_live_migration_at_source",
                       "pre_live_migration", "rollback_live_migration_at_destination"],
    "evacuation": ["check_instance_shared_storage_local", "check_instance_shared_storage_remote"],
    "VNC, SPICE, RDP and MKS consoles": ["get_mks_console", "get_rdp_console", "get_spice_console", "get_vnc_console"],
    "a volume more or less": ["attach_volume"],
    "an admin password": ["set_admin_password"],
    "swap, growth, usage and snapshots of volumes": ["swap_volume", "extend_volume", "block_stats", "get_all_volume_usage", "volume_snapshot_create",
                                                     "volume_snapshot_delete", "quiesce", "unquiesce"],
    "a crash dump": ["trigger_crash_dump"],
    "the host's power": ["host_maintenance_mode", "host_power_action", "power_update_event"],
    "`reboot_timeout`": ["poll_rebooting_instances"],
    "CPU metrics": ["get_host_cpu_stats"],
    None: ["default_device_names_for_instance", "get_instance_disk_info", "rebuild", "restore", "set_host_enabled", "soft_delete"],
}
with open(os.path.join(ROOT, "contrib/nova/README.md")) as file:
    guide = file.read().partition("## What is not offered")[2].partition("\n## ")[0]
equal([words for words in NOT_OFFERED if words and f"| {words}" not in guide], [], "the guide says what is not offered, and why")
bare = [name for name, method in inspect.getmembers(virt.ComputeDriver, inspect.isfunction)
        if "raise NotImplementedError" in inspect.getsource(method) and name not in vars(driver.GantryDriver)]
equal(sorted(bare), sorted(sum(NOT_OFFERED.values(), [])), "and that is all that the driver leaves out")
CONF.set_override("reserved_host_memory_mb", 512)
CONF.set_override("reserved_host_cpus", 3)
CONF.set_override("reserved_host_disk_mb", 2048)
CONF.set_override("cpu_allocation_ratio", 4.0)
tree = provider_tree.ProviderTree()
tree.new_root("compute1", nova_driver.get_available_resource("compute1")["uuid"])
nova_driver.update_provider_tree(tree, "compute1")
equal({name: (one["total"], one["reserved"]) for name, one in tree.data("compute1").inventory.items()},
      {"VCPU": (64, 3), "MEMORY_MB": (262144, 512), "DISK_GB": (100, 2)}, "the inventory, and what is reserved")
equal(tree.data("compute1").inventory["VCPU"]["allocation_ratio"], 4.0, "by Nova's ratio")

# --- each part of a request --------------------------------------------------------------------------
Glance.images["whole"] = {**Glance.images[IMAGE], "name": "latest", "properties": {
    "gantry_command": "sh -c 'sleep 9'", "gantry_env_A": "image", "gantry_env_B": "image", "gantry_health_check": "true", "gantry_health_interval": "7s",
    "gantry_health_retries": "4"}}
plain = instance()
plain.metadata, plain.flavor.swap, plain.flavor.ephemeral_gb = {"my key=x": "gold"}, 32, 4
found = spawn(plain, "whole")
equal((found["spec"]["memory"], found["spec"]["memory_swap"], found["spec"]["cpus"]), (64 * MIB, 96 * MIB, 1), "the flavor's memory, swap and CPUs")
equal((found["spec"]["command"], found["spec"]["health_check"]), (["sh", "-c", "sleep 9"], {"test": ["CMD-SHELL", "true"], "interval": "7s", "retries": 4}),
      "the image's command and health check")
equal(found["image"], "glance/whole:pullable", "the image by id and checksum, not by its display name")
equal(found["labels"]["nova.meta.my_key_x"], "gold", "metadata whose name is none of a label's")
equal([found["labels"][f"nova.{name}"] for name in ("disk_gb", "image", "display_name")], ["5", IMAGE, "N"], "its disks together, its image and name")
equal((found["spec"]["tty"], found["spec"]["stdin_open"]), (True, True), "a terminal, for the serial console")
used = nova_driver.get_available_resource("compute1")
equal((used["vcpus_used"], used["memory_mb_used"]), (1, 64), "what is promised is used")
rich = instance()
rich.flavor.extra_specs = {"gantry:command": "sleep 5", "gantry:env_B": "flavor", "gantry:env_C": "flavor", "gantry:health_check": "false"}
found = spawn(rich, "whole")
equal((found["spec"]["command"], found["spec"]["health_check"]["test"]), (["sleep", "5"], ["CMD-SHELL", "false"]), "the flavor's go before them")
equal({one["name"]: one["value"] for one in found["spec"]["environment"]}, {"A": "image", "B": "flavor", "C": "flavor", "NOVA_META_TIER": "gold"},
      "as do its variables")
equal({key.removeprefix("origin."): value for key, value in found["labels"].items() if key.startswith("origin.")},
      {"command": "flavor", "health_check": "flavor", "environment.A": "image", "environment.B": "flavor", "environment.C": "flavor",
       "environment.NOVA_META_TIER": "metadata"}, "and labels tell policies where each is from")
operation = next(one for one in world.get("/v1/operations").json["operations"] if one.get("instance_name") == rich.uuid)
records = world.get(f"/v1/decisions/{operation['decision']}").json["records"]
equal([one["reason"] for one in records if (one["policy"], one.get("subject")) in (("gantry", "command"), ("gantry", "environment.A"))], ["flavor", "image"],
      "as the decision does")
with mock.patch.object(driver.spec.objects.RequestSpec, "get_by_instance_uuid", side_effect=exception.CellTimeout()):
    blind = instance()
    found = spawn(blind)
    equal((found["state"], found["labels"].get("nova.hint.group")), ("running", None), "where Nova cannot tell hints, an instance runs without")

# --- a policy's no -----------------------------------------------------------------------------------
crowded, never = instance(), instance()
crowded.metadata, never.metadata = {"crowded": "yes"}, {"never": "yes"}
with mock.patch.object(driver.objects.ComputeNodeList, "get_all") as nodes:
    nodes.return_value = [1, 2]
    refused("a policy refuses the nodes: Nova's scheduler is to try another", exception.ComputeResourcesUnavailable, lambda: spawn(crowded), "crowded (p.lua:")
    refused("it refuses the request: that would not do", exception.BuildAbortException, lambda: spawn(never), "not for anybody (p.lua:")
    nodes.return_value = [1]
    refused("nor where there is no other", exception.BuildAbortException, lambda: spawn(crowded), "(decision ")
equal([nova_driver.instance_exists(one) for one in (crowded, never)], [False, False], "and gantryd has nothing of them")
CONF.set_override("flavor_disk", "refuse", "gantry")
larger = objects.Flavor(name="larger", memory_mb=64, vcpus=1, root_gb=6, ephemeral_gb=0, swap=0)
refused("a resize to a disk, where that is not taken", exception.InstanceFaultRollback,
        lambda: nova_driver.migrate_disk_and_power_off(context, plain, CONF.my_ip, larger, None), "disk of 6 GB")
equal(nova_driver.get_info(plain).state, power_state.RUNNING, "before anything stops")
CONF.clear_override("flavor_disk", "gantry")

# --- power, and the events of it -----------------------------------------------------------------------


def followed():
    """It asks for events a second after gantryd is there."""
    nova_driver.pause(plain)
    nova_driver.unpause(plain)
    return events


until(followed, "events to be followed")
events.clear()
with mock.patch.object(nova_driver._client, "operate", wraps=nova_driver._client.operate) as asked:
    graces = []
    for call in (lambda: nova_driver.power_off(rich, timeout=7), lambda: nova_driver.reboot(context, rich, None, "SOFT"),
                 lambda: nova_driver.reboot(context, rich, None, "HARD")):
        call()
        graces.append(asked.call_args[0][2].get("grace"))
equal(graces, ["7s", None, "0s"], "grace: Nova's timeout to a stop, the instance's own to a soft reboot, none to a hard one")
equal(nova_driver.get_info(rich).state, power_state.RUNNING, "a stopped one runs after a reboot")
told(rich, "Stopped")

nova_driver.pause(rich)
told(rich, "Paused")
nova_driver.reboot(context, rich, None, "SOFT")
equal(nova_driver.get_info(rich).state, power_state.RUNNING, "and so does a paused one")
events.clear()
nova_driver.suspend(context, rich)
told(rich, "Paused")
equal(world.get(f"/v1/instances/{rich.uuid}").json["intent"], "suspended", "suspended is what it is meant to be")
nova_driver.resume(context, rich, None)
told(rich, "Resumed")
nova_driver.power_off(rich)
events.clear()
nova_driver.resume_state_on_host_boot(context, rich, None)
equal(nova_driver.get_info(rich).state, power_state.RUNNING, "what ran before the host was started again runs")
told(rich, "Started")
equal((nova_driver.get_instance_diagnostics(rich).config_drive, nova_driver.get_instance_diagnostics(rich).memory_details.maximum >= 0), (False, True),
      "its diagnostics say that it has no config drive")
os.makedirs(os.path.join(world.folder, rich.uuid, "config-drive"))
equal(nova_driver.get_instance_diagnostics(rich).config_drive, True, "or that it has")
with mock.patch.object(nova_driver._client, "call", wraps=nova_driver._client.call) as asked:
    equal((len(nova_driver.list_instance_uuids()), asked.call_count), (3, 1), "a list is one request, however many there are")
container = world.get(f"/v1/instances/{rich.uuid}").json["container_id"]
for number in range(30):
    world.engine.ask("POST", "/fake/write", {"id": container, "stream": 1, "text": f"{number} {'x' * 8000}\n"})
until(lambda: nova_driver.get_console_output(context, rich).endswith(b"29 " + b"x" * 8000 + b"\n"), "the last line of its log")
equal(len(nova_driver.get_console_output(context, rich)), 100 << 10, "the console log is its end, of a size that Nova takes")
refused("no serial console of one that is not there", exception.InstanceNotFound, lambda: nova_driver.get_console_output(context, never))

equal(world.spawn(name="stranger").status, 201, "somebody else's instance")
elsewhere = begun("compute2")
equal(([one for one in nova_driver.list_instance_uuids() if one == "stranger"], elsewhere.list_instances()), ([], []), "is not Nova's, nor another host's")
with mock.patch.object(nova_driver, "_client") as asked:
    nova_driver.plug_vifs(rich, None)
    equal(asked.mock_calls, [], "at nova-compute's start nothing is asked of one that is not on the move")
nova_driver.power_off(rich)
world.engine.fault("POST /containers/*/start", "delay", ms=500 * SLOW, count=1)
waiting = threading.Thread(target=nova_driver.power_on, args=(context, rich, None))
waiting.start()
until(lambda: any(operation["step"] == "start" for operation in world.running_operations()), "its start")
nova_driver.power_off(rich)
waiting.join(LIMIT)
equal(nova_driver.get_info(rich).state, power_state.SHUTDOWN, "what is asked of one that is busy is done afterwards")
nova_driver.power_on(context, rich, None)
failing = instance()
world.engine.fault("POST /containers/*/start", "500", count=1, message="no such thing")
refused("one whose files are in, but which does not start", client.Problem,
        lambda: nova_driver.spawn(context, failing, mock.Mock(id=IMAGE), [("/etc/motd", b"welcome")], None, {}), "no such thing")
ok(not nova_driver.instance_exists(failing), "leaves nothing: another host may try it")

# --- ends at once, and ports that Neutron does not wire ---------------------------------------------------
for what, end, early in (("that fails at once", {"code": 7, "ran_ms": 20}, True), ("that ends in order", {"code": 0, "ran_ms": 20}, False),
                         ("that runs for a while", {"code": 7, "ran_ms": 5000}, False), ("that somebody kills", {"code": 137, "signal": 9, "ran_ms": 20}, False),
                         ("that has too little memory", {"code": 137, "signal": 9, "oom_killed": True, "ran_ms": 20}, True)):
    equal(driver.early.is_one({"exit": end}), early, f"a process {what}: {'an error' if early else 'a stop'}")
failed = driver.ports.plugged(mock.MagicMock(), plain, [("network-vif-plugged", "x")])
with failed:
    give_up = failed.gen.gi_frame.f_locals["failed"]
refused("Neutron says that it cannot wire a port", exception.VirtualInterfaceCreateException, lambda: give_up("x", plain))
CONF.set_override("vif_plugging_timeout", 0)
equal(driver.ports.awaited([mock.Mock(get=lambda *words: False)]), [], "where nova.conf says so, it is not waited for")
CONF.clear_override("vif_plugging_timeout")

# --- gantryd loses its store ---------------------------------------------------------------------------
world.kill()
world.forget()
world.start()
until(lambda: world.state(rich.uuid) == "running", "the instance to be known again")
for number in range(2):
    events.clear()
    nova_driver.pause(rich)
    told(rich, "Paused")
    events.clear()
    nova_driver.unpause(rich)
    told(rich, "Resumed")
    if number == 0:
        world.kill()
        world.engine.ask("POST", "/fake/exit", {"id": world.engine.containers("test")[0]["Id"], "code": 137})
        events.clear()
        world.start()
        until(lambda: [name for _, name in events if name == "Stopped"], "the event of an end while gantryd was away")
        equal([name for _, name in events], ["Stopped"], "a gantryd that has lost its store tells its events, also what happened while it was away, once")
        for one in (plain, rich, blind):
            nova_driver.reboot(context, one, None, "HARD")

# --- images --------------------------------------------------------------------------------------------
SIZE_MIB = 48


def pieces():
    """An image's archive with a large layer."""
    head = tarfile.TarInfo("layer")
    head.size = SIZE_MIB * MIB
    yield archive()[:tarfile.BLOCKSIZE * 4] + head.tobuf()
    for _ in range(SIZE_MIB * 16):
        yield bytes(MIB // 16)
    yield bytes(2 * tarfile.BLOCKSIZE)


class Streams(Glance):
    def download(self, context, id, data=None):
        self.downloads.append(id)
        for piece in pieces():
            data.write(piece)


class Vanishes(Glance):
    def download(self, context, id, data=None):
        data.write(archive()[:600])
        raise exception.ImageNotFound(image_id=id)


Glance.images["large"] = {"container_format": "docker", "checksum": "pullable", "content": None, "properties": {"gantry_command": "sleep 1000"}}
many = [instance() for _ in range(5)]
with mock.patch.object(images.glance, "API", Vanishes):
    refused("an image that vanishes amid its download", exception.ImageNotFound, lambda: spawn(many[0], "large"))
ok(not nova_driver.instance_exists(many[0]), "leaves nothing")
Glance.downloads.clear()
before = world.rss_kib()
tracemalloc.start()
with mock.patch.object(images.glance, "API", Streams):
    waiting = [threading.Thread(target=spawn, args=(one, "large")) for one in many]
    for each in waiting:
        each.start()
    for each in waiting:
        each.join(LIMIT)
peak = tracemalloc.get_traced_memory()[1]
tracemalloc.stop()
equal([nova_driver.get_info(one).state for one in many], [power_state.RUNNING] * 5, f"five boots at once of an image of {SIZE_MIB} MiB")
equal(Glance.downloads, ["large"], "which is downloaded once")
ok(peak < 8 * MIB, f"the driver keeps {peak >> 10} KiB of it")
if not SAN and not VG:
    grown = world.rss_kib() - before
    ok(grown < 8 << 10, f"and gantryd {grown} KiB")

sock = socket.socket(socket.AF_UNIX)
sock.bind(os.path.join(world.folder, "large.sock"))
sock.listen()


def serve():
    peer = sock.accept()[0]
    peer.recv(65536)
    peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(SIZE_MIB):
        peer.sendall(b"%x\r\n" % MIB + bytes(MIB) + b"\r\n")
    peer.sendall(b"0\r\n\r\n")
    peer.close()


thread(serve)
tracemalloc.start()
stream, size = client.Client(f"unix://{world.folder}/large.sock").stream("/"), 0
while data := stream.read(65536):
    size += len(data)
peak = tracemalloc.get_traced_memory()[1]
tracemalloc.stop()
equal((size, peak < 8 * MIB), (SIZE_MIB * MIB, True), f"what is streamed from gantryd, as a snapshot is: of {size >> 20} MiB the driver keeps {peak >> 10} KiB")

# --- a delete amid a boot --------------------------------------------------------------------------------
early, ends = instance(), []
world.engine.fault("POST /containers/*/start", "delay", ms=700 * SLOW, count=1)


def boot():
    try:
        spawn(early)
    except Exception as error:
        ends.append(error)


waiting = threading.Thread(target=boot)
waiting.start()
until(lambda: any(operation["step"] == "start" for operation in world.running_operations()), "its start")
nova_driver.destroy(context, early, None)
equal((nova_driver.instance_exists(early), [one for one in world.containers() if early.uuid in str(one["Names"])]), (False, []),
      "a delete amid a boot ends when nothing is left")
waiting.join(LIMIT)
equal(nova_driver.instance_exists(early), False, f"nor does the boot leave anything {ends}")

# --- mutual TLS ------------------------------------------------------------------------------------------
CONF.set_override("host", f"https://127.0.0.1:{PORT}", "gantry")
for name, value in (("ca_file", ours[0]), ("cert_file", nova_compute[0]), ("key_file", nova_compute[1])):
    CONF.set_override(name, value, "gantry")
nova_driver.cleanup_host("compute1")
nova_driver = begun("compute1", events)
Glance.images["tls"] = {**Glance.images[IMAGE], "checksum": "pullable-tls"}
Glance.downloads.clear()
secure = instance()
found = spawn(secure, "tls")
equal((found["state"], found["project"], Glance.downloads), ("running", "project1", ["tls"]), "by mutual TLS: an image is sent, and its instance runs")
operation = next(one for one in world.get("/v1/operations").json["operations"] if one.get("instance_name") == secure.uuid)
equal(operation["actor"], "cn:nova-compute", "of whom the certificate names")
nova_driver.pause(secure)
told(secure, "Paused")
CONF.set_override("cert_file", stranger[0], "gantry")
CONF.set_override("key_file", stranger[1], "gantry")
nova_driver.cleanup_host("compute1")
nova_driver = begun("compute1", events)
refused("another's certificate speaks for nobody", exception.BuildAbortException, lambda: spawn(instance()), "not one of trusted_actors")
nova_driver.cleanup_host("compute1")
done()
