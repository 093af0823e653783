#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A node that is taken out of the settings: what was on it stays in sight, and what was under way there ends."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *

world = World()
get, post = world.get, world.post
with open(world.config) as file:
    with_node = file.read()
WHY = "node local is not in the settings"


def settings(node):
    text = with_node if node else with_node.replace('["local"]', '["spare"]').replace(world.engine.socket, "/nowhere")
    with open(world.config, "w") as file:
        file.write(text)


def crash(kind, step, call):
    """Dies at the step of an operation; starts without the node; the operation as it ended."""
    settings(True)
    world.start(crash_at=f"{kind}/{step}/before")
    thread = threading.Thread(target=lambda: attempt(call))
    thread.start()
    world.died()
    thread.join(LIMIT)
    settings(False)
    world.start(up=False)
    until(lambda: not world.running_operations() or world.daemon.poll() is not None, f"{kind} to end")
    equal(world.daemon.poll(), None, f"{kind}, node gone: gantryd is there")
    found = [o for o in get("/v1/operations?limit=100").json["operations"] if o["kind"] == kind]
    return max(found, key=lambda o: o["created_at"])


def attempt(call):
    try:
        call()
    except OSError:
        pass  # it died


world.start()
for name in ("web", "lost"):
    equal(world.spawn(name=name, command=["sleep", "1000"]).status, 201, f"{name} runs")
world.engine.ask("DELETE", f"/containers/{world.instance('lost')['container_id']}?force=true")
until(lambda: world.state("lost") == "failed", "the loss to be known")
world.stop()

KINDS = (
    ("spawn", "start", lambda: world.spawn(name="new", command=["sleep", "1000"])),
    ("stop", "signal", lambda: post("/v1/instances/web/stop?wait=5")),
    ("pause", "pause", lambda: post("/v1/instances/web/pause?wait=5")),
    ("kill", "signal", lambda: post("/v1/instances/web/kill?wait=5", {"signal": "USR1"})),
    ("resize", "update", lambda: post("/v1/instances/web/resize?wait=5", {"memory": "64M"})),
    ("restart", "signal", lambda: post("/v1/instances/web/restart?wait=5")),
    ("remove", "kill", lambda: world.delete("/v1/instances/web?force=true&wait=5")),
)
for kind, step, call in KINDS:
    operation = crash(kind, step, call)
    equal(operation["state"], "failed", f"{kind}: it fails")
    has((operation["error"] or {}).get("detail", ""), WHY, f"{kind}: and says why")
    equal(world.state("web"), "unknown", f"{kind}: the instance is unknown")
    world.stop()

world.start(up=False)
equal(world.state("new"), "unknown", "a spawn that may have left a container is kept in sight")
for verb in ("start", "stop", "restart", "kill"):
    for name in ("web", "lost"):
        answer = post(f"/v1/instances/{name}/{verb}?wait=5")
        equal(answer.status, 503, f"{verb} of {name}: 503")
        has(answer.json["detail"], WHY, f"{verb} of {name}: it says why")
answer = world.delete("/v1/instances/web?wait=5")
equal(answer.status, 409, "removed without force: no")
has(answer.json["detail"], WHY, "it says why")
equal(world.delete("/v1/instances/web?force=true&wait=5").status, 200, "with force it is forgotten")
equal(get("/v1/instances/web").status, 404, "it is gone")
world.stop()

settings(True)
world.start()
equal(world.state("web"), "running", "the node is back: its container is taken in again")
equal([line for line in open(world.log) if "is not legal" in line], [], "no illegal moves")
done()
