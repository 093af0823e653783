#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A signal while an instance is being stopped: it makes the stop quick, and nothing else is let in."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *

world = World().start()
for verb in ("stop", "restart"):
    answer = world.spawn(name=verb, command=["stubborn"])
    equal(answer.status, 201, f"{verb}: one that ignores TERM")
    slow = world.post(f"/v1/instances/{verb}/{verb}", {"grace": "100s"}).json
    until(lambda: world.get(f"/v1/operations/{slow['id']}").json["step"] == "grace", "the grace")
    equal(world.post(f"/v1/instances/{verb}/start").status, 409, f"{verb}: no other verb is let in")
    equal(world.delete(f"/v1/instances/{verb}?force=true").status, 409, f"{verb}: not even a remove")
    equal(world.post(f"/v1/instances/{verb}/kill?wait=20", {"signal": "USR1"}).status, 200, f"{verb}: a signal is")
    equal(world.post(f"/v1/instances/{verb}/kill?wait=20", {"signal": "KILL"}).status, 200, f"{verb}: KILL as well")
    equal(world.operation(slow["id"])["state"], "done", f"{verb}: it ends the grace")
    equal(world.get(f"/v1/instances/{verb}").json["last_exit"]["signal"], 9, f"{verb}: with the signal that was sent")
equal(world.get("/v1/instances/stop").json["state"], "stopped", "the stopped one is stopped")
equal(world.get("/v1/instances/restart").json["state"], "running", "the restarted one runs")

# a signal that is slow to arrive hits the process that it was meant for, or none
equal(world.spawn(name="slow", command=["stubborn"]).status, 201, "slow: one that ignores TERM")
slow = world.post("/v1/instances/slow/restart", {"grace": "100s"}).json
until(lambda: world.get(f"/v1/operations/{slow['id']}").json["step"] == "grace", "the grace")
world.engine.fault("POST /containers/*/kill?signal=9", "delay", ms=1000 * SLOW, count=1)
kill = world.post("/v1/instances/slow/kill", {"signal": "KILL"}).json
until(lambda: world.get(f"/v1/operations/{kill['id']}").json["step"] == "signal", "the signal to be sent")
world.engine.ask("POST", "/fake/exit", {"id": world.instance("slow")["container_id"], "code": 0})
equal(world.operation(slow["id"])["state"], "done", "slow: the restart ends")
equal(world.operation(kill["id"])["error"]["status"], 409, "slow: the signal came too late, and that is said")
until(lambda: not world.running_operations(), "both to be over")
slow = world.instance("slow")
equal((slow["state"], slow["boots"]), ("running", 2), "slow: the new process runs on")
equal(world.engine.state()["calls"]["POST /containers/ID/start"],
      sum(i["boots"] for i in world.instances()), "slow: and was started once")

# killed in between, both go on
world.spawn(name="both", command=["stubborn"])
world.stop()
world.start(crash_at="kill/exit/during")
slow = world.post("/v1/instances/both/stop", {"grace": "100s"}).json
until(lambda: world.get(f"/v1/operations/{slow['id']}").json["step"] == "grace", "the grace")
world.engine.fault("POST /containers/*/kill", "hang")
try:
    world.post("/v1/instances/both/kill", {"signal": "KILL"})
except OSError:
    pass
world.engine.clear()
if world.daemon.poll() is None:
    world.kill()
world.start()
world.post("/v1/instances/both/kill?wait=20", {"signal": "KILL"})
until(lambda: not world.running_operations(), "both to end after the restart")
equal(world.get("/v1/instances/both").json["state"], "stopped", "and it is stopped")
equal(world.delete("/v1/instances/both?wait=20").status, 200, "nothing holds it any more")
equal(world.stop(), 0, "an orderly end")
done()
