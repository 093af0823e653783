#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A node that has another name in the settings: its instances come along, with what became of them meanwhile."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *

world = World()
engine = world.engine


def rename(old, new):
    with open(world.config) as file:
        text = file.read()
    with open(world.config, "w") as file:
        file.write(text.replace(f'["{old}"]', f'["{new}"]'))


world.start()
STATES = {"runs": "running", "held": "paused", "done": "stopped", "dies": "stopped", "begun": "running", "freed": "running", "slow": "stopped"}
for name in STATES:
    equal(world.spawn(name=name, memory="64MiB", command=["exit", "4"] if name == "done" else ["sleep", "1000"]).status, 201, f"{name} runs")
for name, verb in (("held", "pause"), ("freed", "pause"), ("begun", "stop")):
    equal(world.post(f"/v1/instances/{name}/{verb}?wait=10").status, 200, f"{verb} of {name}")
before = {i["name"]: i for i in world.instances()}
world.stop()

# one operation is interrupted; while gantryd is down, some change
world.start(crash_at="stop/signal/before")
try:
    world.post("/v1/instances/slow/stop?wait=10", {"grace": "100s"})
except (OSError, http.client.HTTPException):
    pass  # it died
world.died()
engine.ask("POST", "/fake/exit", {"id": before["dies"]["container_id"], "code": 5})
engine.ask("POST", f"/containers/{before['begun']['container_id']}/start")
engine.ask("POST", f"/containers/{before['freed']['container_id']}/unpause")
rename("local", "east")
world.start()
until(lambda: not world.running_operations(), "the interrupted stop to end")
until(lambda: {i["name"]: i["state"] for i in world.instances()} == STATES, "all to be what the engine says")
after = {i["name"]: i for i in world.instances()}
equal({i["node"] for i in after.values()}, {"east"}, "all are on the node by its new name")
equal({n: i["id"] for n, i in after.items()}, {n: i["id"] for n, i in before.items()}, "with their ids")
equal((after["done"]["last_exit"]["code"], after["dies"]["last_exit"]["code"]), (4, 5), "their exits are known")
equal(after["dies"]["last_exit"]["inferred"], True, "one that nobody saw is told as inferred")
operations = [o for o in world.get("/v1/operations").json["operations"] if o["kind"] == "stop"]
equal(sorted(o["state"] for o in operations), ["done", "done"], "the stop that was interrupted went on")
log = open(world.log).read()
equal(log.count("was on node local, which is not in the settings"), len(STATES), "the log tells each, once")
has(log, "its container is on the engine of node east", "and where it is")
node = world.get("/v1/nodes/east").json
equal((node["promised"]["instances"], node["promised"]["memory_bytes"]), (len(STATES), len(STATES) * (64 << 20)), "the node counts them")
equal(world.post("/v1/instances/runs/restart?wait=10").status, 200, "they can be worked with")
world.settled("renamed")
world.stop()
world.start()
equal({i["node"] for i in world.instances()}, {"east"}, "and so at the next start")
equal(open(world.log).read().count("was on node local"), len(STATES), "without another word")
world.settled("renamed, once more")

equal([e for e in world.events() if e["kind"] == "instance.found"], [], "none was taken for a new one")
equal(world.stop(), 0, "an orderly end")
equal([line for line in open(world.log) if "is not legal" in line], [], "no illegal moves")
done()
