#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A spawn that fails because of its node goes to another one: what is tried, what is told, what is left nowhere; and
nodes at which starts fail come after all others, for a while."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from command import Command
from daemon import *

# the order of choice is the order of names, whatever they hold
ORDER = """
return {
  filter = function(req, node)
    if req.labels.only and req.labels.only ~= node.name then return false, "asked for " .. req.labels.only end
  end,
  score = function(req, node) return -tonumber(node.name:sub(2)) end,
}
"""
NAMES = ["n1", "n2", "n3", "n4"]
world = World({"50-order.lua": ORDER}, engines=NAMES).start()
gantry = Command("unix://" + world.socket)
START, CREATE = "POST /containers/*/start", "POST /containers/create"


def node(name):
    return world.get(f"/v1/nodes/{name}").json


def promised():
    return {n["name"]: n["promised"]["instances"] for n in world.get("/v1/nodes").json["nodes"]}


def on(name):
    """Names of what the engine of the node has."""
    return sorted(c["Names"][0].removeprefix("/") for c in world.engines[name].containers(world.owner))


def clear():
    for engine in world.engines.values():
        engine.clear()


def good(name):
    """A start that goes well on n1: the count of those that failed begins anew."""
    clear()
    equal(world.spawn(name=name, labels={"only": "n1"}).json["result"]["node"], "n1", f"{name} runs on n1")
    world.delete(f"/v1/instances/{name}?force=true&wait={LIMIT}")


def remove_all():
    for instance in world.instances():
        world.delete(f"/v1/instances/{instance['id']}?force=true&wait={LIMIT}")
    world.settled("all removed")


# each call, each kind of trouble that is the node's
count = 0
for call, what in ((CREATE, "create"), (START, "start")):
    for mode in ("500", "reset", "garbage", "reset_after"):
        count += 1
        name = f"web{count}"
        clear()
        world.engines["n1"].fault(call, mode, ms=20, count=1)
        answer = world.spawn(name=name)
        equal((answer.status, answer.json["result"]["node"]), (201, "n2"), f"{what}, {mode}: it runs on the next node")
        until(lambda: on("n1") == [], f"{what}, {mode}: nothing to be left on the first one")
        world.settled(f"{what}, {mode}")
        tries = answer.json["tries"]
        equal([t["node"] for t in tries], ["n1"], f"{what}, {mode}: the operation tells what was tried")
        has(tries[0]["error"]["detail"], "node n1: docker: ", f"{what}, {mode}: and what it said")
        equal(world.operation(answer.json["id"]).get("tries"), tries, f"{what}, {mode}: and so afterwards")
        decision = world.get(f"/v1/decisions/{answer.json['decision']}").json
        records = [(r["subject"], r["reason"]) for r in decision["records"] if r["hook"] == "try"]
        equal((records, decision["node"]), ([("n1", tries[0]["error"]["detail"])], "n2"), f"{what}, {mode}: the decision has it too")
        until(lambda: node("n1")["state"] == "up", "the node to be up")
        good(f"good{count}")
clear()
has(gantry("policy", "explain", "web1").out, "try         gantry           error  n1", "explain names the node that was tried")
has(gantry("policy", "explain", "web1", "--matrix").out, "n1: not asked, it was tried before, and that failed", "the matrix says why it was not asked")
has(gantry("policy", "explain", "web1", "--why-not", "n1").out, "it was tried before", "and so does why-not")
equal(promised(), {"n1": 0, "n2": 8, "n3": 0, "n4": 0}, "the nodes have promised what runs")
equal(world.instance("web8")["generation"], 2, "the container of the second try is of a new generation")
equal(world.post(f"/v1/instances/web8/stop?wait={LIMIT}").status, 200, "what came to be so can be stopped")
equal(world.delete(f"/v1/instances/web8?wait={LIMIT}").status, 200, "and removed")
remove_all()

# its process had begun when the start failed: its end, and that the container went away, are the flow's own doing
world.engines["n1"].fault(START, "reset_after", count=1)
world.engines["n1"].fault("GET /containers/*/json", "delay", ms=200 * SLOW)
equal(world.spawn(name="begun").json["result"]["node"], "n2", "a start of which the answer is lost: it runs on the next node")
until(lambda: on("n1") == [], "nothing to be left on the first one")
world.spawn(name="later", labels={"only": "n1"})
world.post(f"/v1/instances/later/stop?wait={LIMIT}")  # its end is looked at after all that was asked there before
world.settled("it had begun on the first node")
clear()
equal([e["kind"] for e in world.events() if e.get("name") == "begun"], ["instance.started"], "no end is told but of what was begun")
equal("last_exit" in world.instance("begun"), False, "and none is kept")
remove_all()

# not the node's: the request is to blame, and one node is enough to know
for what, spec, status in (("image missing", {"image": "missing:1"}, 404), ("command not found", {"command": ["notfound"]}, 422)):
    answer = world.spawn(name="wrong", **spec)
    equal((answer.status, answer.json.get("operation") is not None), (status, True), f"{what}: {status}")
    equal(world.operation(answer.json["operation"]).get("tries"), None, f"{what}: nothing else was tried")
world.engines["n1"].fault(CREATE, "400", count=1)
answer = world.spawn(name="wrong")
equal((answer.status, "tries" in world.operation(answer.json["operation"])), (400, False), "bad values: nothing else is tried")
clear()

# the policies accept no other node: it ends with what the one said
world.engines["n1"].fault(CREATE, "500")
answer = world.spawn(name="only", labels={"only": "n1"})
equal(answer.status, 502, "bound to one node by a policy: it fails as the node did")
equal([t["node"] for t in world.operation(answer.json["operation"])["tries"]], ["n1"], "no other one was tried")
world.settled("bound to one node")
equal(world.get("/v1/instances/only").status, 404, "nothing is left")

# three nodes at most
for name in ("n2", "n3"):
    world.engines[name].fault(CREATE, "500")
answer = world.spawn(name="three")
equal(answer.status, 502, "three nodes fail: so does the spawn")
has(answer.json["detail"], "node n3: docker: ", "with what the last one said")
has(answer.json["detail"], "; tried on n1, n2, n3", "and where it was tried")
equal(on("n4"), [], "a fourth one is not tried")
equal(promised(), dict.fromkeys(NAMES, 0), "nothing is promised any more")
clear()

# lowered: n1 has failed twice in a row now, and once more is enough
equal((node("n1")["starts"]["lowered"], node("n1")["starts"]["failed_in_a_row"]), (False, 2), "two in a row: not lowered yet")
world.engines["n1"].fault(CREATE, "500")
equal(world.spawn(name="third").json["result"]["node"], "n2", "the third goes elsewhere")
starts = node("n1")["starts"]
equal((starts["lowered"], starts["failed_in_a_row"]), (True, 3), "three in a row: the node is lowered")
ok(starts["lowered_until"] > world.instance("third")["created_at"], "with the time until when")
has(gantry("node", "show", "n1").out, "lowered_until", "node show has it")
answer = world.spawn(name="fourth")
equal((answer.json["result"]["node"], answer.json.get("tries")), ("n2", None), "it is passed over, with no try")
has(gantry("policy", "explain", "fourth", "--why-not", "n1").out, "n1: starts failed there, so that it came after all others", "why-not says so")
has(gantry("policy", "explain", "fourth", "--matrix").out, "starts failed there", "and so does the matrix")
clear()
equal(world.spawn(name="forced", labels={"only": "n1"}).json["result"]["node"], "n1", "where no other is left it is chosen")
starts = node("n1")["starts"]
equal((starts["lowered"], starts["failed_in_a_row"], starts.get("lowered_until")), (False, 0, None), "a start that goes well there raises it again")
world.engines["n1"].fault(START, "500", count=3)
for number in range(3):
    world.spawn(name=f"again{number}")
equal(node("n1")["starts"]["lowered"], True, "lowered anew")
until(lambda: not node("n1")["starts"]["lowered"], "the time to be over")
equal(world.spawn(name="after").json["result"]["node"], "n1", "then it is a node like the others")
remove_all()

# out of reach in the middle: it goes on elsewhere at once, and what is left is removed when the node is back
engine = world.engines["n1"]
for mode, what in (("hang_after", "after the container was made"), ("hang", "before")):
    name = f"stray-{mode[:5].strip('_')}"
    engine.fault(CREATE, mode, count=1)
    struck = engine.state()["struck"]
    operation = world.spawn(wait=0, name=name).json
    until(lambda: engine.state()["struck"] > struck and (mode == "hang" or on("n1")), "the create to hang")
    engine.ask("POST", "/fake/restart", {"down_ms": 1500 * SLOW})
    ended = world.operation(operation["id"])
    equal((ended["state"], (ended["result"] or {}).get("node")), ("done", "n2"), f"engine gone {what}: it runs on another node")
    if mode == "hang_after":
        ok(node("n1")["state"] != "up", "while the first one is still away")
    world.kill()  # what is left there is not forgotten
    world.start()
    world.settled(f"engine gone {what}")
    equal((on("n1"), on("n2")), ([], [name]), f"engine gone {what}: nothing is left on the first one")
    remove_all()

# the engine refuses to remove it: removed when it comes up the next time
engine.fault(START, "500", count=1)
engine.fault("DELETE /containers/", "500")
answer = world.spawn(name="refused")
equal((answer.status, answer.json["result"]["node"]), (201, "n2"), "a container that cannot be removed: the spawn goes on elsewhere")
equal(on("n1"), ["refused"], "it is left")
clear()
engine.ask("POST", "/fake/disconnect-events")
until(lambda: on("n1") == [], "it to be removed once the node is up again")
equal([e["kind"] for e in world.events() if e.get("name") == "refused" and e["kind"] in ("instance.found", "instance.lost", "instance.exited")], [],
      "nobody took it for the instance")
world.settled("refused")
equal(world.stop(), 0, "an orderly end")

# sim: a liar in the middle of a burst
SIM = '''nodes = { liar = { plugin = "sim", host_memory = "1TiB", true_memory = "64MiB" } }
for i = 1, 4 do nodes["n" .. i] = { plugin = "sim", host_memory = "64GiB", host_cpus = 64 } end'''
sim = World(policies="shipped", engine=False, settings=SIM, contract=False).start()
for number in range(40):
    answer = sim.spawn(name=f"s{number}", image="job:1", memory="128MiB")
    if answer.status != 201:
        equal(answer.status, 201, f"sim: spawn {number}: {answer}")
nodes = {n["name"]: n["promised"]["instances"] for n in sim.get("/v1/nodes").json["nodes"]}
equal(nodes, {"liar": 0, "n1": 10, "n2": 10, "n3": 10, "n4": 10}, "sim: a node that lies about its memory takes none, and the others are even")
ok(sim.get("/v1/nodes/liar").json["starts"]["lowered"], "sim: it is lowered")
tried = [o for o in sim.get("/v1/operations?limit=100").json["operations"] if o.get("tries")]
ok(3 <= len(tried) < 10, f"sim: only some were tried there ({len(tried)} of 40): it is no black hole")
equal(sim.stop(), 0, "sim: an orderly end")
done()
