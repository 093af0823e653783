#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The restart hook: asked with the cause, obeyed, its back-off kept over a kill, never for what is meant to be stopped."""
import datetime
import os
import sqlite3
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *

HOOK = """
return {
  restart = function(instance, exit)
    local wanted = instance.labels.restart
    if not wanted then return end
    if wanted == "never" then return false, "told so" end
    if wanted == "fail" then return "fail", "told so" end
    if wanted == "twice" and exit.restarts >= 2 then return false, "it was twice" end
    if wanted == "nonsense" then return "perhaps" end
    return tonumber(wanted) or 0, exit.cause .. " " .. exit.code .. " " .. exit.restarts
  end,
}
"""
world = World({"50-restart.lua": HOOK}).start()


def show(name):
    return world.get(f"/v1/instances/{name}").json


def container(name):
    return world.engine.ask("GET", f"/v1.41/containers/{show(name)['container_id']}/json").json


def spawn(name, restart, command=("sleep", "1000")):
    labels = {"restart": restart} if restart else {}
    answer = world.spawn(name=name, labels=labels, command=list(command))
    assert answer.status == 201, answer
    return answer.json["result"]


def die(name, code):
    world.engine.ask("POST", "/fake/exit", {"id": show(name)["container_id"], "code": code})


def milliseconds(time):
    return datetime.datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp() * 1000


def last_decision(name):
    decisions = world.get(f"/v1/instances/{name}/decisions").json["decisions"]
    return next(d for d in decisions if d["verb"] == "restart")


def plans(name):
    return [e for e in world.events() if e["kind"] == "instance.restart_planned" and e.get("name") == name]


def waits_of(plans):
    return [milliseconds(e["restart_at"]) - milliseconds(e["at"]) for e in plans]


spawn("again", "0")
die("again", 7)
until(lambda: show("again")["boots"] == 2 and show("again")["state"] == "running", "the restart")
equal(show("again")["last_exit"]["code"], 7, "the exit is known")
equal(show("again")["restarts"], 1, "the restart is counted")
decision = last_decision("again")
equal([(r["policy"], r["hook"], r["reason"]) for r in decision["records"]], [("50-restart", "restart", "exit 7 0")],
      "the decision tells policy, hook and reason")
ok(decision["records"][0]["line"] > 0 and decision["records"][0]["file"] == "50-restart.lua", "with file and line")

spawn("twice", "twice", ["exit", "3"])
until(lambda: show("twice")["boots"] == 3 and show("twice")["state"] == "stopped", "two restarts of what ends at once")
until(lambda: last_decision("twice")["records"][0]["reason"] == "it was twice", "the hook to be asked a third time")
equal(show("twice")["restarts"], 2, "not more than it said")

for name, restart, state in (("none", None, "stopped"), ("never", "never", "stopped"), ("bad", "nonsense", "stopped"),
                             ("failing", "fail", "failed")):
    spawn(name, restart)
    die(name, 1)
    until(lambda: show(name)["state"] == state, f"{name} to be {state}")
    equal(show(name)["boots"], 1, f"{name}: not started again, and {state}")
until(lambda: last_decision("bad"), "the decision of nonsense")
has(last_decision("bad")["records"][0]["reason"], "perhaps", "a wrong answer is an error of the policy, with what it was")

spawn("meant", "0")
equal(world.post("/v1/instances/meant/stop?wait=20").status, 200, "stopped by a person")
spawn("killed", "0")
world.post("/v1/instances/killed/kill?wait=20", {"signal": "KILL"})
until(lambda: show("killed")["boots"] == 2, "one that was killed and is meant to run is restarted")
equal(show("meant")["boots"], 1, "one that is meant to be stopped is not")

# the back-off is kept over a kill of the daemon
spawn("later", "6")
die("later", 1)
until(lambda: "restart_at" in show("later"), "the plan")
planned = show("later")["restart_at"]
world.kill()
world.start()
equal(show("later").get("restart_at"), planned, "the same plan after a kill and a start")
equal(show("later")["boots"], 1, "it is not due yet")
until(lambda: show("later")["boots"] == 2 and show("later")["state"] == "running", "the restart at its time")
ok("restart_at" not in show("later"), "and the plan is over")
spawn("withdrawn", "1000")
die("withdrawn", 1)
until(lambda: "restart_at" in show("withdrawn"), "a plan for later")
equal(world.post("/v1/instances/withdrawn/start?wait=20").status, 200, "a person starts it before")
ok("restart_at" not in show("withdrawn") and "restarts" not in show("withdrawn"), "then nothing is planned any more")
spawn("gone", "1000")
die("gone", 1)
until(lambda: "restart_at" in show("gone"), "another plan")
equal(world.delete("/v1/instances/gone?wait=20").status, 200, "it can be removed with its plan")

# starts that fail again and again: a hook that says "at once" is not obeyed faster and faster
spawn("unlucky", "0")
world.engine.fault("POST /containers/*/start", "500")
die("unlucky", 1)
planned = until(lambda: plans("unlucky")[2:] and plans("unlucky"), "three plans")
waits = waits_of(planned)
equal([wait > 800 * factor for wait, factor in zip(waits, (0, 1, 2))], [False, True, True], f"at once, then after a second, then after two ({waits})")
world.engine.clear()
until(lambda: show("unlucky")["state"] == "running", "it to run when it can", LIMIT * 2)
die("unlucky", 2)
until(lambda: plans("unlucky")[len(planned):], "it to be planned anew")
until(lambda: show("unlucky")["state"] == "running", "it to be started anew")
ok(waits_of(plans("unlucky"))[-1] < 800, "after one that went well it is at once again")

# an engine on its way down tells of ends on the connections that stand, and would start things again there
spawn("last", "0")
world.engine.ask("POST", "/fake/restart", {"down_ms": 300, "stop": True, "linger_ms": 1500})
until(lambda: world.get("/v1/nodes/local").json["state"] == "down", "the node to be down")
has(world.get("/v1/nodes/local").json["last_error"], "no new connections", "it is said why")
until(lambda: show("last")["state"] == "running" and show("last")["boots"] == 2, "it to run again", LIMIT * 2)
equal(show("last")["restarts"], 1, "the engine goes: it is one restart")
has(last_decision("last")["records"][0]["reason"], "engine", "and its cause is the engine")
equal([o for o in world.get("/v1/operations?limit=1000").json["operations"] if o["kind"] == "start" and o["state"] == "failed" and o["instance_name"] == "last"],
      [], "no start was tried while it went")

# an engine that restarts under 50 running instances
for i in range(50):
    spawn(f"many{i}", "0")
for i in range(10):
    spawn(f"off{i}", "0")
    world.post(f"/v1/instances/off{i}/stop?wait=20", {"grace": "0s"})
before = {i["name"]: i["boots"] for i in world.instances()}
world.engine.ask("POST", "/fake/restart", {"down_ms": 300, "stop": True})
until(lambda: all(show(f"many{i}")["state"] == "running" and show(f"many{i}")["boots"] == 2 for i in range(50)),
      "all 50 to run again", LIMIT * 2)
equal({show(f"many{i}")["boots"] for i in range(50)}, {2}, "each of 50 was started once again")
has(last_decision("many7")["records"][0]["reason"], "engine", "with its cause")
ok(all(container(f"many{i}")["State"]["Running"] for i in range(50)), "the engine agrees")
equal(show("meant")["state"], "stopped", "what is meant to be stopped stays so")
equal({(show(f"off{i}")["state"], show(f"off{i}")["boots"]) for i in range(10)}, {("stopped", 1)}, "each of ten of them")
equal(show("never")["boots"], before["never"], "and what is to be left is left")
causes = {last_decision(f"many{i}")["records"][0]["reason"].split()[0] for i in range(50)}
equal(causes, {"engine"}, "the hook was told the cause for each")

# an engine that ends them in order, and one that crashes: it ends what it finds running when it is back
world.engine.ask("POST", "/fake/restart", {"down_ms": 300, "stop": True, "linger_ms": 500})
until(lambda: all(i["state"] == "running" and i["boots"] == 3 for i in world.instances() if i["name"].startswith("many")), "all 50 to run again", LIMIT * 2)
equal({last_decision(f"many{i}")["records"][0]["reason"].split()[0] for i in range(50)}, {"engine"}, "in order: the hook was told the cause for each")
ok(all(container(f"many{i}")["State"]["Running"] for i in range(50)), "the engine agrees")

# once more, and gantryd is killed while it starts them again
world.engine.ask("POST", "/fake/restart", {"down_ms": 300, "stop": True})
until(lambda: any(show(f"many{i}")["boots"] == 4 for i in range(50)), "the first of them to be started", LIMIT * 2)
world.kill()
world.start()
until(lambda: all(show(f"many{i}")["state"] == "running" for i in range(50)), "all 50 to run again", LIMIT * 2)
until(lambda: not world.running_operations(), "nothing to be under way")
starts = [sum(o["kind"] == "start" and o["state"] == "done" and o["instance_name"] == f"many{i}" for o in
          world.get(f"/v1/operations?limit=1000&instance={show(f'many{i}')['id']}").json["operations"]) for i in range(50)]
equal(set(starts), {3}, "gantryd killed in the middle: each was started once for each time")
equal({show(f"many{i}")["boots"] for i in range(50)}, {4}, "and has as many boots")
equal({(show(f"off{i}")["state"], show(f"off{i}")["boots"]) for i in range(10)}, {("stopped", 1)}, "what is meant to be stopped stays so")

# gantryd is not there when the engine restarts
world.kill()
world.engine.ask("POST", "/fake/restart", {"down_ms": 0, "stop": True})
world.start()
until(lambda: all(show(f"many{i}")["state"] == "running" and show(f"many{i}")["boots"] == 5 for i in range(50)), "all 50 to run again", LIMIT * 2)
equal({last_decision(f"many{i}")["records"][0]["reason"].split()[0] for i in range(50)}, {"engine"}, "gantryd away meanwhile: the cause is the same")
equal({(show(f"off{i}")["state"], show(f"off{i}")["boots"]) for i in range(10)}, {("stopped", 1)}, "and what is meant to be stopped stays so")

# the host boots: gantryd remembers another boot of it
world.kill()
world.engine.ask("POST", "/fake/restart", {"down_ms": 0, "stop": True})
with sqlite3.connect(world.store) as store:
    equal(store.execute("UPDATE facts SET value = '0 another' WHERE name = 'boot.local'").rowcount, 1, "the boot of the host is known")
store.close()
world.start()
until(lambda: all(show(f"many{i}")["state"] == "running" and show(f"many{i}")["boots"] == 6 for i in range(50)), "all 50 to run again", LIMIT * 2)
equal({last_decision(f"many{i}")["records"][0]["reason"].split()[0] for i in range(50)}, {"host"}, "a host that booted is the cause")
world.engine.ask("POST", "/fake/restart", {"down_ms": 300, "stop": True})
until(lambda: all(show(f"many{i}")["state"] == "running" and show(f"many{i}")["boots"] == 7 for i in range(50)), "all 50 to run again", LIMIT * 2)
equal({last_decision(f"many{i}")["records"][0]["reason"].split()[0] for i in range(50)}, {"engine"}, "and not of what the engine does later")

equal(world.stop(), 0, "an orderly end")
done()
