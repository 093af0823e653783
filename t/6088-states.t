#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What failed leaves no trace in the state: a refused signal beside a stop, a pause that the engine refuses."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *

world = World(policies={"10-no-kill.lua": """return {
	name = "no-kill",
	admit = function(req)
		if req.verb == "kill" then
			return false, "no signals"
		end
		return true
	end,
}
"""}).start()
post = world.post

# --- a signal that a policy refuses, while the instance is being stopped ---
equal(world.spawn(name="slow", command=["stubborn"]).status, 201, "one that ignores its stop signal runs")
stopping = post("/v1/instances/slow/stop", {"grace": "3600s"})
equal(stopping.status, 202, "it is being stopped")
until(lambda: world.state("slow") == "stopping", "the stop to be under way")
equal(post("/v1/instances/slow/kill?wait=10", {"signal": "USR1"}).status, 403, "a signal is refused")
equal(world.state("slow"), "stopping", "it is being stopped as before")

# --- a pause that failed swallows no later event ---
equal(world.spawn(name="still", command=["sleep", "1000"]).status, 201, "another runs")
id = world.instance("still")["container_id"]
for verb, before, after in (("pause", "running", "paused"), ("unpause", "paused", "running")):
    world.engine.fault(f"POST /containers/*/{verb}", "500", count=1)
    answer = post(f"/v1/instances/still/{verb}?wait=10")
    world.engine.clear()
    equal((answer.status, world.state("still")), (502, before), f"{verb}: refused by the engine")
    world.engine.ask("POST", f"/containers/{id}/{verb}")
    until(lambda: world.state("still") == after, f"{verb} by somebody else to be seen")
    equal(world.state("still"), after, f"{verb}: by somebody else is seen")

# --- a signal to a paused one: the engine lets it go on for that by itself ---
equal(world.spawn(name="stubborn", command=["stubborn"]).status, 201, "one that ignores its stop signal")
equal(post("/v1/instances/stubborn/pause?wait=10").status, 200, "it is paused")
world.engine.ask("POST", f"/containers/{world.instance('still')['container_id']}/pause")
world.policy("10-no-kill.lua", "return { admit = function() return true end }")
equal(post("/v1/policies/reload").status, 200, "signals are let through")
equal(post("/v1/instances/stubborn/kill?wait=10", {"signal": "USR1"}).status, 200, "a signal is sent")
until(lambda: world.state("stubborn") == "running", "what the engine did to be seen")
ok(True, "the engine let it go on, and that is seen")

# --- a stop of a paused one that the engine has let go on at the signal, and says so in these words for a moment ---
equal(world.spawn(name="resumed").status, 201, "one more")
equal(post("/v1/instances/resumed/pause?wait=10").status, 200, "it is paused")
world.engine.fault("POST /containers/*/unpause", "500", count=1, message="Cannot unpause container: cannot resume a running process")
equal(post("/v1/instances/resumed/stop?wait=10", {"grace": "1s"}).status, 200, "it is stopped")
world.engine.clear()
equal(world.state("resumed"), "stopped", "and known to be")

# --- a stop of a paused one, whose events come when all is over ---
for name, verb, body in (("still", "stop", None), ("stubborn", "kill", {"signal": "KILL"})):
    until(lambda: world.state(name) == "paused" or post(f"/v1/instances/{name}/pause?wait=10").status == 200, "a pause")
    mark = world.events()[-1]["sequence"]
    world.engine.ask("POST", "/fake/mute-events", {"mute": True})
    equal(post(f"/v1/instances/{name}/{verb}?wait=10", body).status, 200, f"{verb} of a paused one")
    world.engine.ask("POST", "/fake/mute-events", {"mute": False})
    world.engine.ask("POST", "/fake/disconnect-events")
    until(lambda: [e for e in world.events(mark) if e["kind"] == "node.up"], "the node to be back")
    equal(world.spawn(name=f"after-{verb}").status, 201, "all that was in between is heard")
    equal(world.state(name), "stopped", f"{verb}: it stays stopped")
    kinds = [e["kind"] for e in world.events(mark) if e.get("name") == name]
    equal((kinds.count("instance.unpaused"), kinds.count("instance.exited")), (0, 1), f"{verb}: {kinds}")
equal([line for line in open(world.log) if "is not legal" in line], [], "no illegal moves")
done()
