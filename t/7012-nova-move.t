#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Nova's driver with two engines, as one node and as two: what a node offers, images that are kept and asked for once, processes that end at once,
and moves that do not succeed. Skipped without Nova."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from compute import *

world = World(engines=("east", "west"), policies="shipped", settings=TRUSTED, node='labels = { ["nova.traits"] = "TRAITS" }')
engines, west = world.engines, world.engines["west"].process
atexit.register(west.send_signal, signal.SIGCONT)  # before it is ended
with open(world.config) as file:
    settings = file.read()
CONF.set_override("host", f"unix://{world.socket}", "gantry")
CONF.set_override("instances_path", world.folder)
events = []


def labelled(*traits):
    """gantryd with these traits of its nodes, started again."""
    text = settings
    for words in traits:
        text = text.replace("TRAITS", words, 1)
    with open(world.config, "w") as file:
        file.write(text)
    if world.daemon:
        world.kill()
    world.start()


def spawn(one, asking=context):
    nova_driver.spawn(asking, one, meta, [], None, {})
    return world.instance(one.uuid)


# --- what a node offers ------------------------------------------------------------------------------
labelled("FAST SSD", "SSD")
nova_driver = begun("compute1", events)
tree = provider_tree.ProviderTree()
tree.new_root("compute1", nova_driver.get_available_resource("compute1")["uuid"])


def offered():
    nova_driver.update_provider_tree(tree, "compute1")
    return tree.data("compute1")


equal(offered().traits, {"CUSTOM_SSD"}, "engines that are one node: it has the traits that all of them have")
tree.add_traits("compute1", "CUSTOM_RACK")
labelled("SSD QUIET", "QUIET")
equal(offered().traits, {"CUSTOM_RACK", "CUSTOM_QUIET"}, "one that goes away is taken from it; what somebody else gave it stays")
labelled("QUIET", "")
equal(offered().traits, {"CUSTOM_RACK"}, "also the last one")


def goes_on(seconds):
    west.send_signal(signal.SIGCONT)
    time.sleep(seconds)


for what, ask, told in (("a claim is told the size of both", lambda: offered().inventory["MEMORY_MB"]["total"], 2 * 262144),
                        ("an image is cached on both", lambda: (nova_driver.cache_image(context, IMAGE), tagged(world, "glance/")),
                         (True, [(name, f"glance/{IMAGE}:pullable") for name in ("east", "west")]))):
    world.kill()
    west.send_signal(signal.SIGSTOP)
    world.start(up=False)
    until(lambda: [node["state"] for node in world.get("/v1/nodes").json["nodes"]] == ["up", "connecting"], "east to be up, and west not yet")
    with mock.patch.object(client, "time", mock.Mock(monotonic=time.monotonic, sleep=goes_on)):
        equal(ask(), told, f"an engine that was not asked yet is waited for: {what}")

# --- images ------------------------------------------------------------------------------------------
Glance.images["named"] = {"container_format": "bare", "properties": {"gantry_image": PINNED}}
equal([nova_driver.cache_image(context, "named") for _ in range(2)], [True, False], "a registry's image is cached by a pull, which a second time gets nothing")
equal(tagged(world, PINNED), [("east", PINNED), ("west", PINNED)], "on both engines")
for name, digit in (("east", "8"), ("west", "9")):
    Glance.images[name] = {"container_format": "bare", "properties": {"gantry_image": f"pullable@sha256:{digit * 64}"}}
    world.post(f"/v1/nodes/{name}/images?wait={LIMIT}", {"image": Glance.images[name]["properties"]["gantry_image"]})
    equal(nova_driver.cache_image(context, name), True, f"one that only {name} had is got for the other")

now, several = [1000.0], [instance() for _ in range(4)]
clock = mock.patch.object(driver.images, "time", mock.Mock(monotonic=lambda: now[0]))
clock.start()
with mock.patch.object(Glance, "get", mock.Mock(side_effect=lambda context, id: Glance.images[id])) as asked:
    for each in several[:3]:
        spawn(each)
    equal(asked.call_count, 1, "Glance is asked once for many instances of an image")
    spawn(several[3], nova_context.RequestContext("user2", "project2"))
    equal(asked.call_count, 2, "and for another project, which need not see it")
    now[0] += driver.images.FOUND_S
    nova_driver._images.name(context, IMAGE)
    equal(asked.call_count, 3, "and again later, where it may be another")

CONF.set_override("remove_unused_original_minimum_age_seconds", 100, "image_cache")


def kept(seconds):
    """Nodes that have the image so much later."""
    now[0] += seconds
    nova_driver.manage_image_cache(context, [])
    return [node for node, _ in tagged(world, "glance/")]


with mock.patch.object(nova_driver._client, "operate", wraps=nova_driver._client.operate) as asked:
    equal([kept(seconds) for seconds in (0, 1000)], [["east", "west"]] * 2, "an image that an instance has stays, though only one engine has the instance")
    equal(asked.mock_calls, [], "nothing is asked about it")
for each in several:
    nova_driver.destroy(context, each, None)
equal(kept(0), ["east", "west"], "from when nothing has it its time runs")
again = instance()
kept(60)
spawn(again)
kept(0)
nova_driver.destroy(context, again, None)
equal([kept(0), kept(60), kept(39), kept(1)], [["east", "west"]] * 3 + [[]], "which begins anew where an instance had it meanwhile")
clock.stop()

# --- processes that end at once ------------------------------------------------------------------------
mock.patch.object(driver.early, "EARLY_MS", LIMIT * 1000).start()
mock.patch.object(driver.early, "NOVA_WAIT_S", 0.01).start()


def ends(one, code=7, nova=((None, "active"),), write=""):
    """Its process ends by itself; nova: its task and state at each look, the last for good. The faults, how many stops Nova has been told of it, and
    what is saved."""
    looks, seen, faults = list(nova), [], []

    def look(admin, uuid):
        if not looks:
            raise exception.InstanceNotFound(instance_id=uuid)
        task_state, vm_state = looks.pop(0) if len(looks) > 1 else looks[0]
        seen.append(mock.Mock(uuid=uuid, task_state=task_state, vm_state=vm_state))
        return seen[-1]

    stops = events.count((one.uuid, "Stopped"))
    with mock.patch.object(driver.early.objects.Instance, "get_by_uuid", side_effect=look), mock.patch.object(
            driver.early.compute_utils, "add_instance_fault_from_exc",
            side_effect=lambda admin, instance, error, fault_message: faults.append(fault_message)):
        where = world.instance(one.uuid)
        engine = engines[where["node"]]
        engine.ask("POST", "/fake/write", {"id": where["container_id"], "stream": 1, "text": write})
        engine.ask("POST", "/fake/exit", {"id": where["container_id"], "code": code})
        until(lambda: events.count((one.uuid, "Stopped")) > stops or (seen and seen[-1].save.called), "its end to be told")
    return faults, events.count((one.uuid, "Stopped")), [(one.vm_state, one.save.call_args) for one in seen if one.save.called]


fails = instance()
spawn(fails)
equal(ends(fails, nova=(("spawning", "building"), ("spawning", "building"), (None, "active")), write="".join(f"{letter}\n" for letter in "abcdefg")),
      (["Its process ended at once, with code 7; its last lines: c / d / e / f / g"], 0, [("error", mock.call(expected_task_state=[None]))]),
      "a process that fails at once, once Nova has its instance: its code and last lines are the fault, and the instance is in error")
nova_driver.power_on(context, fails, None)
equal(ends(fails), ([], 1, []), "in a later boot that is a stop")
for what, nova in (("that Nova has stopped meanwhile", [(None, "stopped")]), ("that Nova is deleting", [("deleting", "active")]), ("that Nova has not any more", [])):
    each = instance()
    spawn(each)
    with mock.patch.object(driver.early, "NOVA_TRIES", 3):
        equal(ends(each, nova=nova), ([], 1, []), f"so it is of one {what}")
    nova_driver.destroy(context, each, None)
silent = instance()
spawn(silent)
equal(ends(silent, code=1)[0], ["Its process ended at once, with code 1"], "one that has said nothing")
for each in (fails, silent):
    nova_driver.destroy(context, each, None)

# --- moves -------------------------------------------------------------------------------------------
CONF.set_override("node_for_each_engine", True, "gantry")
nova_driver = begun("compute2")
given_up = mock.patch.object(driver.move, "given_up").start()
mock.patch.object(driver.volumes, "attached").start()


def migration(number, source, dest):
    return mock.Mock(id=number, source_node=f"{source}.compute2", dest_node=f"{dest}.compute2")


def mover(node):
    made = instance(node=f"{node}.compute2")
    made.new_flavor = made.old_flavor = None
    made.system_metadata = {"image_gantry_command": "sleep 1000"}
    spawn(made)
    return made


def goes(one, by, ports=None, disks=None, start=True):
    nova_driver.finish_migration(context, by, one, "{}", ports, meta, False, {}, disks, start)


one = mover("east")
there = migration(20, "east", "west")
with mock.patch.object(nova_driver, "do", wraps=nova_driver.do) as asked:
    goes(one, there, start=False)
    equal([call.args[1] for call in asked.call_args_list], ["stop", "commit"], "what is moved is stopped, and then committed")
equal((placed(world, one), world.instance(one.uuid)["spec"]["command"]), (("west", "stopped", 64), ["sleep", "1000"]),
      "it is made with its image's command, and stays stopped where it was")
nova_driver.power_on(context, one, None)
engines["east"].fault("DELETE /images/*", "500", count=1, message="disk error")
refused("an image that cannot be dropped", client.Problem, lambda: nova_driver.confirm_migration(context, there, one, None), "disk error")
made_of = [("west", f"migration/{one.uuid}:20")]
for by in (there, there, migration(20, "west", "east"), migration(20, "gone", "west")):
    nova_driver.confirm_migration(context, by, one, None)
equal(tagged(world, "migration/"), made_of, "but one that is gone already, that an instance has, or whose engine has left is no error")

one.old_flavor, one.new_flavor = one.flavor, objects.Flavor(name="small", memory_mb=128, vcpus=1, swap=0)


def late():
    """The next that is made has not started when its time is over."""
    usual = nova_driver.make

    def make(*words):
        nova_driver.make = usual
        usual(*words)
        raise exception.NovaException("has not ended")

    nova_driver.make = make


for number, (what, engine, request, mode, leaves) in enumerate((
        ("its commit fails", "west", "POST /commit*", "500", False), ("its stream is cut", "west", "GET /images/*get*", "drop_after", False),
        ("the other engine does not take its image", "east", "POST /images/load*", "500", False),
        ("it cannot be made there", "east", "POST /containers/create*", "500", True),
        ("it cannot be started there", "east", "POST /containers/*/start", "500", True),
        ("it does not start in time", "east", None, None, True)), 21):
    if request:
        engines[engine].fault(request, mode, message="no room")
    else:
        late()
    given_up.reset_mock()
    by = migration(number, "west", "east")
    with mock.patch.object(nova_driver._client, "_away", 0):
        refused(f"a move: {what}", exception.InstanceFaultRollback, lambda: goes(one, by))
    engines[engine].clear()
    if leaves:
        made_of = [("west", f"migration/{one.uuid}:{number}")]
    equal((placed(world, one), tagged(world, "migration/"), [len(each.containers("test")) for each in engines.values()], world.disagreements()),
          (("west", "running", 64), made_of, [0, 1], []), "it is where it was, with its old limits, and nothing of it elsewhere")
    equal((given_up.call_args, one.node), (mock.call(context, one, by), "west.compute2"), "and so Nova has it")
given_up.reset_mock()
engines["west"].fault("GET /images/*get*", "drop_after", count=1)
with mock.patch.object(nova_driver._client, "stream", wraps=nova_driver._client.stream) as asked:
    goes(one, migration(30, "west", "east"))
    equal((placed(world, one), asked.call_count, given_up.mock_calls), (("east", "running", 128), 2, []), "a stream that is cut once is streamed again")
engines["east"].fault("POST /containers/*/start", "500", count=1)
goes(one, migration(30, "west", "east"), start=False)
equal(placed(world, one), ("east", "running", 128), "one that is there already is not moved again")
engines["east"].clear()
nova_driver.destroy(context, one, None)
equal(tagged(world, "migration/"), [], "deleted, it leaves nothing")

# --- ports and volumes along a move --------------------------------------------------------------------
one = mover("east")
has, novas = vif(1), vif(2)
volume = {name: {"host_path": f"{world.folder}/{one.uuid}/volumes/{name}", "container_path": f"/dev/{name}"} for name in ("vdb", "vdc")}
found, made, asked = nova_driver.find, nova_driver.make, []


def find(instance):
    """As if gantryd had given it a port and a volume."""
    told = found(instance)
    return {**told, "spec": {**told["spec"], "network_ports": [driver.ports.port(has)], "devices": [volume["vdb"]]}}


def make(instance, wanted, start):
    asked.append(([port["id"] for port in wanted.pop("network_ports", [])], [one["container_path"] for one in wanted.pop("devices", [])], wanted["network"]))
    return made(instance, wanted, start)


ITS, NOVAS = ([has["id"]], ["/dev/vdb"], "none"), ([novas["id"]], ["/dev/vdc"], "none")
CONF.set_override("network", "bridge", "gantry")
there = migration(40, "east", "west")
with mock.patch.object(nova_driver, "find", find), mock.patch.object(nova_driver, "make", make), \
        mock.patch.object(driver.volumes, "wanted", lambda *words: ([volume["vdc"]], [])):
    goes(one, there, [novas])
    equal(asked, [ITS], "a move: what takes its place has its ports and volumes")
    asked.clear()
    nova_driver.finish_revert_migration(context, one, [novas], there)
    equal((asked, placed(world, one)), ([ITS], ("east", "running", 64)), "so has its way back")
    for what, fails, ways in (("there is none there: with what Nova says", lambda: engines["west"].fault("POST /containers/create*", "500"), [ITS, NOVAS]),
                              ("there is one: with what that has", late, [ITS, ITS])):
        asked.clear()
        fails()
        refused(f"a move that fails, and {what}", exception.InstanceFaultRollback, lambda: goes(one, there, [novas]))
        equal((asked, placed(world, one)), (ways, ("east", "running", 64)), "it is made again")
        engines["west"].clear()
    asked.clear()
    nova_driver.remove(one.uuid)
    nova_driver.reboot(context, one, [novas], "HARD")
    equal((asked, placed(world, one)), ([NOVAS], ("east", "running", 64)), "as by a hard reboot")
CONF.clear_override("network", "gantry")
nova_driver.destroy(context, one, None)

# --- what was broken off, and what cannot be mended ------------------------------------------------------
left = [("migration/x:9", "west"), ("migration/x:10", "east"), ("migration/x:10", "north")]
with mock.patch.object(nova_driver._move, "_images", lambda instance: left), mock.patch.object(nova_driver._move, "_make") as asked:
    for node in ("east", "north", "west"):
        nova_driver._move.mend(context, one, node, None, None, True)
    equal([call.args[2:4] for call in asked.call_args_list], [left[1], left[2], left[1]], "it is made of its last image, on the wanted node if that has this")
refused("where nothing is left of it, a hard reboot", exception.InstanceNotFound, lambda: nova_driver.reboot(context, one, None, "HARD"))
refused("and a move", exception.InstanceNotFound, lambda: goes(one, there))
one.task_state, one.migration_context = "resize_finish", objects.MigrationContext(migration_id=40)
with mock.patch.object(driver.move.objects.Migration, "get_by_id_and_instance", side_effect=exception.MigrationNotFound(migration_id=40)) as asked:
    nova_driver.plug_vifs(one, None)
    equal(asked.call_count, 1, "nova-compute starts, though one that was broken off cannot go on")
done()
