#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An exit that was heard of when gantryd was killed, and not recorded: it is heard of again, with its code."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *

world = World().start()
for name in ("dies", "other"):
    equal(world.spawn(name=name).status, 201, f"{name} runs")
container = world.instance("dies")["container_id"]
# the look at the dead container is not answered; meanwhile other commits go on, with whatever they bring along
world.engine.fault("GET /containers/*/json", "hang_after")
world.engine.ask("POST", "/fake/exit", {"id": container, "code": 42})
until(lambda: any("containers/ID/json" in call for call in world.engine.state()["calls"]), "the look at it")
for verb in ("pause", "unpause"):
    equal(world.post(f"/v1/instances/other/{verb}?wait=10").status, 200, f"{verb} of another one is recorded")
other = world.instance("other")["container_id"]
world.engine.ask("POST", "/fake/health", {"id": other, "status": "healthy"})
until(lambda: world.instance("other").get("health") == "healthy", "an event of another one, recorded with its anchor")
world.kill()
world.engine.clear()
world.start()
until(lambda: world.state("dies") == "stopped", "the exit to be heard of again")
equal(world.instance("dies")["last_exit"]["code"], 42, "with its code")
exits = [e for e in world.events() if e["kind"] == "instance.exited" and e["name"] == "dies"]
equal(len(exits), 1, "told once")
ok(not exits[0]["exit"]["inferred"], "as seen, not inferred")
equal([e for e in world.events() if e["kind"] == "node.gap"], [], "and without a gap")
equal(world.stop(), 0, "an orderly end")
done()
