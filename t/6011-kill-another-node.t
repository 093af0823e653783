#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A spawn that goes on on another node, killed while it walks back on the first one and at each step of the second
try: after a start it runs once, nothing is left on the first node, and each node has promised what it has.

The steps come from `gantryd --steps`, so a new step is covered with no edit.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *

STEPS = [step for kind, step in flow_steps() if kind == "spawn"]
CALLS = {"pull": "GET /images/", "create": "POST /containers/create", "start": "POST /containers/*/start"}  # of the engine
# the policies are not asked again, nothing is wired or checked after, and the last step is not announced before it runs
NEVER = [f"{step}/{when}" for step in ("policy", "wire", "finish") for when in ("before", "during", "after", "end")] + ["announce/before"]
NEVER += [f"{step}/during" for step in STEPS if step not in CALLS] + [f"{step}/end" for step in STEPS if step != "announce"]
CRASHES = [f"spawn/{step}/undo" for step in ("create", "reserve")]
CRASHES += [f"spawn/{step}/{when}/2" for step in STEPS for when in ("before", "during", "after", "end") if f"{step}/{when}" not in NEVER]
ORDER = "return { score = function(req, node) return -tonumber(node.name:sub(2)) end }"
world = World({"50-order.lua": ORDER}, engines=["n1", "n2"])
first, second = world.engines["n1"], world.engines["n2"]
number = 0


def crash_in(call):
    """Asks; True where gantryd died of it."""
    try:
        call()
    except (OSError, http.client.HTTPException):
        world.died()
    return world.daemon.poll() is not None


def start_fails(name, image):
    first.fault("POST /containers/*/start", "500", count=1)
    return crash_in(lambda: world.spawn(name=name, image=image))


def engine_goes(name, image):
    """With the container made and no answer to the create."""
    first.fault("POST /containers/create", "hang_after", count=1)
    operation = world.spawn(wait=0, name=name, image=image).json
    until(lambda: first.containers(world.owner), "the container to be made")
    first.ask("POST", "/fake/restart", {"down_ms": 300 * SLOW})
    return crash_in(lambda: world.operation(operation["id"]))


for crash in CRASHES:
    for what, scenario in (("its start fails", start_fails), ("the engine goes away", engine_goes)):
        number += 1
        name, label = f"i{number}", f"{crash}, {what}"
        world.start(crash_at=crash)
        if "/during/" in crash:  # long enough to be killed in it
            second.fault(CALLS[crash.split("/")[1]], "delay_after", ms=200, count=1)
        equal(scenario(name, f"pullable{number}:1"), True, f"{label}: gantryd dies there")
        until(lambda: os.path.exists(first.socket), "the engine to be there again")
        first.clear()
        if world.daemon.poll() is None:
            world.kill()
        world.start()
        world.settled(label)
        instance = next((i for i in world.instances() if i["name"] == name), {})
        equal((instance.get("state"), instance.get("node")), ("running", "n2"), f"{label}: it runs on the other node")
        nodes = {n["name"]: n["promised"]["instances"] for n in world.get("/v1/nodes").json["nodes"]}
        equal(nodes, {"n1": 0, "n2": 1}, f"{label}: and is promised once")
        tries = [o.get("tries") for o in world.get("/v1/operations?limit=10").json["operations"] if o["kind"] == "spawn" and o["instance_name"] == name]
        equal([[t["node"] for t in one] for one in tries], [["n1"]], f"{label}: the operation knows what was tried before the kill")
        world.delete(f"/v1/instances/{name}?force=true&wait={LIMIT}")
        world.stop()
done()
