#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Placement on simulated nodes with the shipped policies: even over equal nodes, by size over unequal ones, past
nodes that fail or go away; and containers that outlive a gantryd that was killed. The demo runs too."""
import collections
import importlib.machinery
import importlib.util
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *

DEMO = os.path.join(ROOT, "contrib/demo/sim")
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("demo_sim", DEMO)
demo = importlib.util.module_from_spec(importlib.util.spec_from_loader("demo_sim", loader))
loader.exec_module(demo)


def spawn_many(world, count, prefix, in_flight=16, **spec):
    """Spawns in flight together; the statuses, and how many each node got."""
    statuses, nodes = collections.Counter(), collections.Counter()
    todo = iter(range(count))
    connections, asked = [demo.Connection(world.socket) for _ in range(in_flight)], {}

    def ask(connection):
        number = next(todo, None)
        asked[connection] = number is not None
        if number is not None:
            connection.send("POST", f"/v1/instances?wait={LIMIT}", {"name": f"{prefix}{number}", "image": "job:1", "command": ["run"], **spec})

    for connection in connections:
        ask(connection)
    while any(asked.values()):
        for connection in connections:
            if not asked[connection]:
                continue
            answer = connection.answer()
            if answer:
                value = json.loads(answer[1])
                statuses[answer[0]] += 1
                if answer[0] == 201:
                    nodes[value["result"]["node"]] += 1
                ask(connection)
    for connection in connections:
        connection.sock.close()
    return statuses, nodes


def promised(world):
    return {node["name"]: node["promised"]["instances"] for node in world.get("/v1/nodes").json["nodes"]}


# fifty equal nodes
FIFTY = 'nodes = {} for i = 1, 50 do nodes["n" .. i] = { plugin = "sim", start_latency = "2ms", jitter = "5ms" } end'
world = World(policies="shipped", engine=False, settings=FIFTY, contract=False).start()
statuses, nodes = spawn_many(world, 500, "e", memory="256MiB")
equal(dict(statuses), {201: 500}, "500 instances are placed")
equal((len(nodes), min(nodes.values()), max(nodes.values())), (50, 10, 10), "ten on each of fifty equal nodes")
equal(promised(world), dict(nodes), "and the nodes have promised as much")
statuses, nodes = spawn_many(world, 30, "f", memory="256MiB")
values = promised(world).values()
equal((min(values), max(values)), (10, 11), "thirty more: within one instance of even")
equal(world.stop(), 0, "gantryd ends well")

# nodes of three sizes, and instances that fill them
SIZES = ('nodes = {} for i, size in ipairs { 4, 8, 16 } do nodes["s" .. size] = { plugin = "sim", host_memory = size .. "GiB", host_cpus = 64 } end')
world = World(policies="shipped", engine=False, settings=SIZES, contract=False).start()
statuses, nodes = spawn_many(world, 28, "s", memory="1GiB")
equal(dict(nodes), {"s4": 4, "s8": 8, "s16": 16}, "28 GiB fill nodes of 4, 8 and 16 GiB")
answer = world.spawn(image="job:1", memory="1GiB")
equal(answer.status, 403, "one more is refused")
has(answer.json["detail"], "memory", "for memory")
equal(world.stop(), 0, "gantryd ends well")

# what may be promised is the settings' to say: as it is, a part of it, more than it; and one node takes nothing
PROMISES = '''nodes = {
  plain = { plugin = "sim", host_memory = "4GiB", host_cpus = 4 },
  part = { plugin = "sim", host_memory = "4GiB", host_cpus = 4, memory = "1GiB", cpus = 2.5 },
  over = { plugin = "sim", host_memory = "4GiB", host_cpus = 4, overcommit = 1.5 },
  off = { plugin = "sim", host_memory = "4GiB", drained = true },
}'''
world = World(policies="shipped", engine=False, settings=PROMISES, contract=False).start()
capacities = {node["name"]: (node["capacity"]["memory_bytes"] >> 20, node["capacity"]["nano_cpus"]) for node in world.get("/v1/nodes").json["nodes"]}
equal(capacities, {"plain": (4096, 4 * 10**9), "part": (1024, 2500000000), "over": (6144, 6 * 10**9), "off": (4096, 16 * 10**9)},
      "capacity is the host's, or what memory and cpus say, or so many times the host's")
statuses, nodes = spawn_many(world, 11, "p", memory="1GiB")
equal((dict(statuses), dict(nodes)), ({201: 11}, {"plain": 4, "part": 1, "over": 6}), "so many instances fit, and none on the drained node")
answer = world.spawn(image="job:1", memory="1GiB")
equal(answer.status, 403, "one more is refused")
equal(world.stop(), 0, "gantryd ends well")

# faults, a node that is out of reach, and one that says it has more memory than it has
FAULTS = '''nodes = {
  good = { plugin = "sim" },
  bad = { plugin = "sim", fail = { "start:EIO:0.5" }, seed = 3 },
  away = { plugin = "sim", down_after = "1ms" },
  liar = { plugin = "sim", host_memory = "1TiB", true_memory = "64MiB" },
}'''
world = World(policies="shipped", engine=False, settings=FAULTS, contract=False).start(up=False)
until(lambda: {n["name"]: n["state"] for n in world.get("/v1/nodes").json["nodes"]} == {"good": "up", "bad": "up", "away": "down", "liar": "up"},
      "three of four nodes to be up")
statuses, nodes = spawn_many(world, 60, "x", memory="128MiB")
ok(statuses[201] > 0 and statuses[201] + sum(n for s, n in statuses.items() if s >= 400) == 60, f"each spawn has an end: {dict(statuses)}")
equal((nodes["liar"], nodes["away"]), (0, 0), "none runs where memory is a lie, or out of reach")
ok(nodes["good"] > 0 and nodes["bad"] > 0, f"they run on the others: {dict(nodes)}")
until(lambda: sum(promised(world).values()) == statuses[201], "promises of those that failed to be taken back")
equal({name: count for name, count in promised(world).items() if count}, dict(nodes), "the nodes have promised what runs")
equal(world.stop(), 0, "gantryd ends well")

# a node that comes and goes, again and again
UP_MS = 6000 if os.environ.get("VG") else 2000 if os.environ.get("SAN") else 700
world = World(policies={}, engine=False, contract=False, nodes=f'one = {{ plugin = "sim", down_after = "{UP_MS}ms", up_after = "300ms", flap = true }}').start()
until(lambda: world.spawn(name="stays", image="job:1").status == 201, "an instance on a node that flaps")
for state in ("unknown", "running") * 3:
    until(lambda: world.state("stays") == state, f"it to be {state}")
ok(True, "three times out of reach and back: it is unknown meanwhile, and runs after")
equal(world.stop(), 0, "gantryd ends well")

# a host that boots: what ran there is started once again, with its cause
world = World(policies={"10-restart.lua": 'return { restart = function(instance, exit) if exit.cause == "host" then return 0 end return "fail" end }'},
              engine=False, contract=False, nodes=f'one = {{ plugin = "sim", down_after = "{3 * UP_MS}ms", up_after = "300ms", reboot = true }}').start()
statuses, nodes = spawn_many(world, 5, "b")
equal(dict(statuses), {201: 5}, "five run on a host that will boot")
until(lambda: all((i["state"], i["boots"]) == ("running", 2) for i in world.instances()), "all to run again")
equal([i["last_exit"]["code"] for i in world.instances()], [137] * 5, "each was killed by it, and started once")
equal(world.stop(), 0, "gantryd ends well")

# killed and started again: with a state the containers are there, without one they are not
world = World(policies={}, engine=False, contract=False)
with open(world.config, "a") as file:
    file.write(f'nodes = {{ kept = {{ plugin = "sim", state = "{world.folder}/kept.state" }}, lost = {{ plugin = "sim" }} }}\n')
world.start()
statuses, nodes = spawn_many(world, 20, "k")
equal(dict(nodes), {"kept": 10, "lost": 10}, "ten on each of two nodes")
world.kill()
world.start()
states = lambda: collections.Counter((i.get("node"), i["state"]) for i in world.instances())
until(lambda: states()[("lost", "failed")] == 10, "those of the node without a state to be lost")
equal(dict(states()), {("kept", "running"): 10, ("lost", "failed"): 10}, "those of the node with a state run on")
name = next(i["name"] for i in world.instances() if i["node"] == "kept")
equal(world.post(f"/v1/instances/{name}/stop?wait={LIMIT}").status, 200, "and can be stopped")
world.kill()
world.forget()
world.start()
equal(len(world.instances()), 10, "without a store they are found again")
equal(world.stop(), 0, "gantryd ends well")

# the demo, made small
run = subprocess.run([DEMO, "--nodes", "20", "--instances", "60", "--in-flight", "8"], capture_output=True, text=True, timeout=LIMIT * 5,
                     stdin=subprocess.DEVNULL)
equal(run.returncode, 0, "the demo ends well")
has(run.stdout, "on a node: 3 at the least, 3 at the most, 3.00 in the mean", "and tells how even it was")
equal(run.stdout.count("█"), 20, "its picture has a cell a node")
done()
