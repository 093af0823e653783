#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Consoles of the whole daemon on a fake engine: attach and exec by WebSocket, roles, policies, ends, slow peers."""
import functools
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from console import Console as ConsoleAt, CONTROL, ERRORS, INPUT, OUTPUT, PLAIN, OWN, RESIZE
from daemon import *
from http_client import settled
from websocket import BINARY, frame

MANY = 50 if VG else 500


def ask_exec(instance, *command, **how):
    return world.post(f"/v1/instances/{instance}/exec", {"command": command, **how})


def run(instance, *command, protocol=OWN, **how):
    """A console at a new process."""
    return Console(ask_exec(instance, *command, **how).json["path"], protocol)


def connections():
    return world.engine.state()["connections"]


world = World(policies={"10-who.lua": """return {
	name = "who",
	admit = function(req)
		if req.verb == "exec" and req.exec.command[1] == "rm" then
			return false, req.actor .. " removes nothing as " .. (req.exec.user or "itself")
		end
		if req.verb == "exec" and req.exec.environment.TOKEN then
			return req.exec.environment.TOKEN == true, "the secret is seen"
		end
		if req.verb == "attach" or req.verb == "exec" then
			return req.instance.name ~= "private", "nobody sits at this one"
		end
		return true
	end,
}
"""}).start()
Console = functools.partial(ConsoleAt, world)

# --- refused -----------------------------------------------------------------------------------------
equal(world.spawn(name="cat", command=["cat"], stdin_open=True).status, 201, "one that echoes runs")
equal(world.spawn(name="private", command=["cat"], stdin_open=True).status, 201, "another does")
equal(world.get("/v1/instances/cat/attach").status, 426, "attach is a WebSocket")
console = Console("/v1/instances/nobody/attach")
equal(console.status, 404, "no such instance")
for verb, answer in (("attach", Console("/v1/instances/private/attach")), ("exec", ask_exec("private", "cat"))):
    problem = answer.problem if verb == "attach" else answer.json
    equal(answer.status, 403, f"a policy refuses {verb}")
    has(problem["detail"], "nobody sits", "with its reason")
    ok(problem["decision"] > 0, "and a decision")
    decision = until(lambda: (answer := world.get(f"/v1/decisions/{problem['decision']}")).status == 200 and answer, "the decision")
    equal(decision.json.get("verb"), verb, "which is kept")
has(ask_exec("cat", "rm", "-rf", "/", user="joe").json["detail"], f"uid:{os.getuid()} removes nothing as joe", "it sees who runs what, and as whom")
equal(Console("/v1/instances/cat/attach", "other").status, 400, "a protocol that nobody speaks")
equal(Console("/v1/instances/cat/attach?role=king").status, 400, "a role that there is none of")
for body, field in (({}, "command"), ({"command": []}, "command"), ({"command": ["a"], "environment": ["b"]}, "environment[0]"),
                    ({"command": ["a"], "image": "b"}, "image"), ({"command": ["a"], "tty": 1}, "tty")):
    answer = world.post("/v1/instances/cat/exec", body)
    equal((answer.status, answer.json.get("field")), (400, field), f"exec of {body}")
equal(world.get("/v1/execs/nothing").status, 426, "to sit at it is a WebSocket")
equal(Console("/v1/execs/nothing").status, 404, "an exec that nobody asked for")

# --- attach ------------------------------------------------------------------------------------------
console = Console("/v1/instances/cat/attach")
equal((console.status, console.protocol, console.role()), (101, OWN, "driver"), "attached as the driver")
data = bytes(range(256)) * 40
console.put(data)
ok(console.read_until(lambda: console.got[OUTPUT] == data), "what is sent comes back as it was")
watcher = Console("/v1/instances/cat/attach?scrollback=true", PLAIN)
equal(watcher.protocol, PLAIN, "plain Kubernetes is spoken")
ok(watcher.read_until(lambda: watcher.got[OUTPUT] == data), "who comes later and asks gets what was written before")
second = Console("/v1/instances/cat/attach")
equal(second.role(), "observer", "there is one driver")
equal(second.roles()[-1]["driver"], f"uid:{os.getuid()}", "whose name is told")
second.put(b"not mine")
ok(second.read_until(lambda: [one for one in second.control if one["type"] == "notice"]), "an observer's input is refused, and it is told")
console.put(b"more")
for one, wanted in ((console, data + b"more"), (watcher, data + b"more"), (second, b"more")):
    ok(one.read_until(lambda: one.got[OUTPUT] == wanted), "all see the same")
third = Console("/v1/instances/cat/attach?role=observer")
equal(third.role(), "observer", "a third one only looks on")
before = len(third.roles())
second.put({"type": "take"}, CONTROL)
ok(third.read_until(lambda: len(third.roles()) > before), "who only looks on hears of a take-over")
third.leave()
ok(second.read_until(lambda: second.roles()[-1]["role"] == "driver"), "one takes over")
ok(console.read_until(lambda: console.roles()[-1]["role"] == "observer"), "which the driver before sees")
second.leave()
ok(console.read_until(lambda: console.roles()[-1].get("driver") is None), "when it vanishes nobody drives")
console.put({"type": "take"}, CONTROL)
ok(console.read_until(lambda: console.roles()[-1]["role"] == "driver"), "until one takes it")
for wrong in (b"\x07x", b"\x01x", b"\x04nonsense", b"\x05[]", "text"):
    bad = Console("/v1/instances/cat/attach")
    bad.send(wrong)
    equal(bad.rest().closed[0], 1002, f"{wrong} is closed as wrong")
leaver = Console("/v1/instances/cat/attach")
leaver.put({"type": "detach"}, CONTROL)
equal(leaver.rest().closed[0], 1000, "one detaches")
console.put(b"!")
console.end_input()
console.rest()
equal((console.got[OUTPUT], console.told, console.closed[0]), (data + b"more!", {"status": "Success"}, 1000), "the end of the input is the end of the process")
equal(watcher.rest().closed[0], 1000, "and of all who look on")
equal(world.get("/v1/instances/cat/wait").json["last_exit"]["code"], 0, "it ended well")
equal(Console("/v1/instances/cat/attach").status, 409, "to what does not run nobody comes")

# --- what is written at once is not missed; what ends at once is told ----------------------------------
equal(world.spawn(name="lines", command=["lines", "20"], stdin_open=True).status, 201, "one that writes at once")
console = Console("/v1/instances/lines/attach?scrollback=true&role=observer")
ok(console.read_until(lambda: console.got[OUTPUT].count(b"\n") == 10 and console.got[ERRORS].count(b"\n") == 10), "all of it is there")
equal(console.role(), "observer", "an observer was asked for")
world.post("/v1/instances/lines/kill?wait=10", {"signal": "KILL"})
equal(console.rest().closed[0], 1000, "it is over when the process is")
equal(world.spawn(name="deaf", command=["deaf"], stdin_open=True).status, 201, "one that never reads its input")
console = Console("/v1/instances/deaf/attach")
world.engine.fault("GET /containers/*/json", "hang")
late = Console("/v1/instances/deaf/attach")
equal(late.status, 101, "a second one needs nothing of the engine")
world.engine.clear()
late.leave(), console.leave()

deaf = Console("/v1/instances/deaf/attach")
equal(deaf.role(), "driver", "one drives what never reads")
memory, sent = world.rss_kib(), 0
deaf.client.sock.settimeout(1)
try:
    while sent < 64 << 20:
        deaf.client.sock.sendall(frame(BINARY, bytes(65536)))
        sent += 65536
except TimeoutError:
    pass
ok(0 < sent < 64 << 20, f"its input is held up (after {sent >> 10} KiB)")
memory_below(world.rss_kib() - memory, 20000, "and takes no memory without end")
late = Console("/v1/instances/deaf/attach?take=true")
equal(late.role(), "driver", "another takes over")
late.put({"type": "detach"}, CONTROL)
equal(late.rest().closed[0], 1000, "and can leave it")
deaf.leave()

# --- exec --------------------------------------------------------------------------------------------
equal(world.spawn(name="host", command=["sleep", "1000"]).status, 201, "one to exec in")
for command, how, channel, wanted, code in ((("echo", "hello wörld"), {}, OUTPUT, "hello wörld\n", 0), (("warn", "oops"), {}, ERRORS, "oops\n", 0),
                                            (("exit", "3"), {}, OUTPUT, "", 3),
                                            (("show",), {"user": "joe", "working_dir": "/tmp", "environment": ["A=1&2", "B=", {"name": "TOKEN", "value": "s3cret", "secret": True}]},
                                             OUTPUT, 'joe /tmp [ "A=1&2", "B=", "TOKEN=s3cret" ]', 0)):
    console = run("host", *command, **how).rest()
    equal(console.got[channel].decode(), wanted, f"exec {command}")
    told = int(console.told.get("details", {}).get("causes", [{}])[0].get("message", "0"))
    equal((told, console.told["status"]), (code, "Failure" if code else "Success"), "with its exit code")
decisions = world.get("/v1/instances/host/decisions").body
ok(b"exec" in decisions and b"s3cret" not in decisions, "no decision has the secret")
calls = world.engine.state()["calls"].get("POST /containers/ID/exec", 0)
answer = ask_exec("host", "cat", stdin_open=True)
equal(answer.headers["Location"], answer.json["path"], "where to go is told")
equal(world.engine.state()["calls"]["POST /containers/ID/exec"], calls, "before somebody comes the engine hears nothing")
console = Console(answer.json["path"], PLAIN)
equal(Console(answer.json["path"]).status, 404, "the address is good once")
console.put(data)
ok(console.read_until(lambda: console.got[OUTPUT] == data), "it has input")
console.end_input()
equal((console.rest().told, console.closed[0]), ({"status": "Success"}, 1000), "which ends")
console = run("host", "size", tty=True)
console.put({"Width": 132, "Height": 43}, RESIZE)
equal(console.rest().got[OUTPUT], b"43 132", "the terminal's size arrives")
console = run("host", "flood", "30000000")
equal(len(console.rest().got[OUTPUT]), 30000000, "a flood arrives whole")
equal(world.spawn(name="short", command=["sleep", "1000"]).status, 201, "one that is removed before somebody comes")
path = ask_exec("short", "cat").json["path"]
world.delete("/v1/instances/short?force=true&wait=10")
equal(Console(path).status, 404, "there is nothing to run it in")
while (answer := ask_exec("host", "cat")).status == 201:
    pass
equal(answer.status, 503, "there is an end to how many may wait")
equal(world.stop(), 0, "those that wait are no hindrance to an end")
world.start()
world.engine.fault("POST /exec/*/start", "409")
console = run("host", "cat")
equal(console.status, 502, "an engine that refuses is a plain answer")
world.engine.fault("POST /containers/*/exec", "reset")
equal(run("host", "cat").status, 503, "as is one that is lost")
world.engine.clear()

# --- slow --------------------------------------------------------------------------------------------
equal(world.spawn(name="slow", command=["cat"], stdin_open=True).status, 201, "one more that echoes")
stalled = Console("/v1/instances/slow/attach?role=observer")
driver = Console("/v1/instances/slow/attach")
driver.role(), stalled.role()
block, total = os.urandom(60000), 0
for _ in range(300):
    driver.put(block)
    total += len(block)
    driver.read_until(lambda: len(driver.got[OUTPUT]) == total)
equal(len(driver.got[OUTPUT]), total, "a stalled observer does not slow the driver")
driver.put(b"last")
stalled.read_until(lambda: stalled.got[OUTPUT].endswith(b"last"))
gaps = sum(one["bytes"] for one in stalled.control if one["type"] == "gap")
if not gaps:
    driver.put(b"!")
    stalled.read_until(lambda: [one for one in stalled.control if one["type"] == "gap"])
    gaps = sum(one["bytes"] for one in stalled.control if one["type"] == "gap")
ok(gaps > 0, f"it is told what it has lost ({gaps} bytes)")
driver.leave(), stalled.leave()

# --- many --------------------------------------------------------------------------------------------
for path, begin in (("attach", lambda: Console("/v1/instances/slow/attach")), ("exec with input", lambda: run("host", "cat", stdin_open=True)),
                    ("exec", lambda: run("host", "anything"))):
    begin().leave()
    ok(settled(lambda: (world.descriptors(), connections())), f"{path}: one that was dropped is closed")
    before, memory = (world.descriptors(), connections()), world.rss_kib()
    for number in range(MANY):
        console = begin()
        if number % 2:
            console.put(b"x" * 100)
        console.leave()
    # a few connections to the engine may be kept for the next call
    ok(until(lambda: world.descriptors() <= before[0] + 3 and connections() <= before[1] + 3, f"{MANY} consoles to be gone"), f"{path}: {MANY} that were dropped leave no descriptor here and at the engine")
    memory_below(world.rss_kib() - memory, 6000, "and no memory")

# --- the ends of gantryd and of the engine -------------------------------------------------------------
equal(world.spawn(name="long", command=["cat"], stdin_open=True).status, 201, "one that is left running")
console, plain, begun = Console("/v1/instances/long/attach"), Console("/v1/instances/long/attach", PLAIN), run("host", "cat", stdin_open=True)
world.engine.ask("POST", "/fake/restart", {"down_ms": 200, "stop": False})
for one in (console, plain, begun):
    equal(one.rest().closed[0], 1011, "an engine that is lost ends them")
    equal(one.told["status"], "Failure", "with a word why")
until(lambda: world.state("long") == "running", "the engine to be back")
console, plain, begun = Console("/v1/instances/long/attach"), Console("/v1/instances/long/attach", PLAIN), run("host", "cat", stdin_open=True)
console.role()
equal(world.stop(), 0, "gantryd stops")
for one in (console, plain, begun):
    equal(one.rest().closed[0], 1001, "each is told so")
    has(one.told["message"], "gantryd stops", "and why")
done()
