#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One action over many instances: who is chosen, so many at a time, how each went, when it stops; wait and exec by many."""
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *
from terminal import GANTRY

world = World(policies={"10-many.lua": """return {
	name = "many",
	admit = function(req)
		if req.verb == "exec" and req.instance.name == "app-2" then return false, "not in this one" end
		if req.verb == "stop" and req.instance.labels.frail then return false, "it is frail" end
		return true
	end,
}
"""}).start()
environment = {**os.environ, "GANTRY_HOST": f"unix://{world.socket}"}


def gantry(*words):
    return subprocess.run([GANTRY, *words], capture_output=True, text=True, env=environment, timeout=LIMIT * 4, stdin=subprocess.DEVNULL)


def rows(result):
    """Name to outcome."""
    return {line["name"]: line["outcome"] for line in map(json.loads, result.stdout.splitlines())}


for number in range(6):
    frail = {"frail": "yes"} if number in (3, 4) else {}
    world.spawn(name=f"app-{number}", command=["sleep", "1000"], labels={"app": "x", **frail})
world.spawn(name="other", command=["sleep", "1000"], labels={"app": "y"})
APPS = [f"app-{number}" for number in range(6)]

result = gantry("kill", "--all", "--label", "app=x", "--dry-run")
equal((result.returncode, sorted(result.stdout.split())), (0, APPS), "--dry-run lists who is chosen by a label")
equal(gantry("kill", "--all", "--name", "*-[12]", "--dry-run").stdout.split(), ["app-1", "app-2"], "or by a pattern")
equal({world.state(name) for name in APPS}, {"running"}, "and does nothing")
for words in (["kill", "--label", "app=x"], ["kill", "--all", "web"], ["kill", "--all", "--parallel", "0"], ["kill", "--all", "--max-failures", "x"], ["exec", "--all"], ["exec", "--all", "-i", "cat"]):
    equal(gantry(*words).returncode, 2, f"{' '.join(words)}: a wrong command line")
equal(gantry("kill", "--all", "--label", "app=z").returncode, 3, "nobody is chosen")

result = gantry("exec", "--all", "--label", "app=x", "--json", "echo", "hello")
lines = result.stdout.splitlines()
equal(sorted(line for line in lines if not line.startswith("{")), sorted(f"{name}: hello" for name in APPS if name != "app-2"), "exec: each line has the instance's name in front")
outcomes = {row["name"]: (row["outcome"], row["status"]) for row in map(json.loads, [line for line in lines if line.startswith("{")])}
equal(outcomes, {name: ("failed", 4) if name == "app-2" else ("done", 0) for name in APPS}, "and how each went is told")
equal(result.returncode, 1, "one that failed is a failure")
has(gantry("exec", "--all", "--name", "app-2", "true").stdout, "not in this one", "with its reason")
result = gantry("exec", "--all", "--name", "app-[01]", "exit", "3")
equal((result.returncode, result.stdout.count("failed (3)")), (1, 2), "its exit code is in the table")

boots = {name: world.instance(name)["boots"] for name in APPS}
result = gantry("restart", "--all", "--label", "app=x", "--grace", "0s", "--json")
equal((result.returncode, rows(result)), (0, {name: "done" for name in APPS}), "restart: all of them")
equal({name: world.instance(name)["boots"] for name in APPS}, {name: boots[name] + 1 for name in APPS}, "once each")
result = gantry("kill", "--all", "--name", "app-[15]", "--signal", "KILL", "--json")
equal((result.returncode, rows(result)), (0, {name: "done" for name in ("app-1", "app-5")}), "kill: those that are meant")
until(lambda: {name: world.state(name) for name in APPS} == {name: "stopped" if name in ("app-1", "app-5") else "running" for name in APPS}, "and no other to end")
for name in ("app-1", "app-5"):
    world.post(f"/v1/instances/{name}/start?wait={LIMIT}")

result = gantry("stop", "--all", "--label", "app=x", "--parallel", "1", "--max-failures", "2", "--json")
done_there, order = rows(result), [json.loads(line)["name"] for line in result.stdout.splitlines()]
failed = [name for name in order if done_there[name] == "failed"]
equal(sorted(failed), ["app-3", "app-4"], "two fail")
after = order[order.index(failed[1]) + 1:]
equal([done_there[name] for name in after], ["not done"] * len(after), "after which no more is begun")
has(result.stderr, f"{len(after)} of 6 were not begun", "which is said") if after else ok(True, "they were the last")
equal(result.returncode, 1, "as a failure")
result = gantry("rm", "--all", "--label", "app=x", "--force", "--parallel", "3")
equal((result.returncode, result.stdout.count(" done ")), (0, 6), "rm: all of them, whatever their state")
equal([instance["name"] for instance in world.get("/v1/instances").json["instances"]], ["other"], "and no other")

# at a time, and a signal
for number in range(6):
    world.spawn(name=f"slow-{number}", command=["stubborn"], labels={"app": "slow"})
stop = subprocess.Popen([GANTRY, "stop", "--all", "--label", "app=slow", "--grace", "1s", "--parallel", "2", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                        text=True, env=environment, start_new_session=True)
until(lambda: [world.state(f"slow-{number}") for number in range(6)].count("stopping") == 2, "two to be under way")
os.killpg(stop.pid, signal.SIGINT)
out, err = stop.communicate(timeout=LIMIT)
outcomes = [json.loads(line)["outcome"] for line in out.splitlines()]
equal((stop.returncode, outcomes.count("done"), outcomes.count("not done")), (130, 2, 4), "ctrl-c lets the two that run end, and begins no more")
has(err, "interrupted: 4 of 6 were not begun", "which is said")

# wait by many
COUNT = 40 if os.environ.get("VG") else 200
waits = []
for _ in range(COUNT):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(LIMIT)
    client.connect(world.socket)
    client.sendall(b"GET /v1/instances/other/wait?timeout=60 HTTP/1.1\r\nHost: x\r\n\r\n")
    waits.append(client)
asked = world.engine.state()["calls"]
world.get("/v1/instances/other")
equal({key: count for key, count in world.engine.state()["calls"].items() if asked.get(key) != count and "/fake/" not in key}, {}, f"{COUNT} that wait ask the engine nothing")
world.post("/v1/instances/other/kill?wait=20")
equal({b'"code":137' in client.recv(4096) for client in waits}, {True}, "and all are told of the end")
for client in waits:
    client.close()
equal(world.stop(), 0, "gantryd ends in order")
done()
