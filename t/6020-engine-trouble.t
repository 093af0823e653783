#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An engine that dies, hangs, lies or goes its own ways: each verb ends, and nothing is lost or left over."""
import os
import re
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *

STALL_MS = 400 * SLOW
world = World(node=f'stall_timeout = "{STALL_MS}ms", ping_interval = "500ms"').start()
engine = world.engine
get, post = world.get, world.post
counter = 0


def fresh(*command):
    global counter
    counter += 1
    name = f"i{counter}"
    answer = world.spawn(name=name, command=list(command) or ["sleep", "1000"])
    if answer.status != 201:
        diag(f"{name}: {answer}")
    return name


def container(name):
    return next((c for c in engine.containers(world.owner) if c["Names"] == [f"/{name}"]), None)


def container_id(name):
    return world.instance(name)["container_id"]


def in_background(call):
    results = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    return thread, results


def node():
    return get("/v1/nodes/local").json


def up():
    until(lambda: node()["state"] == "up", "the node to be up")


def restart(down_ms=0, stop=False):
    engine.ask("POST", "/fake/restart", {"down_ms": down_ms, "stop": stop})


def kinds_after(sequence, name=None):
    return [e["kind"] for e in world.events(after=sequence) if name is None or e.get("name") == name]


def last_event():
    return world.events()[-1]["sequence"]


# --- the engine dies during a create ---
for mode, what in (("delay_after", "after the container was made"), ("hang", "before")):
    engine.fault("POST /containers/create", mode, ms=20000, count=1)
    thread, results = in_background(lambda: world.spawn(name=f"cut-{mode[:4]}"))
    if mode == "delay_after":
        until(lambda: container(f"cut-{mode[:4]}"), "the container to be made")
    else:
        until(lambda: engine.state()["struck"], "the call to arrive")
        until(lambda: world.state(f"cut-{mode[:4]}") == "creating", "the flow to be there")
    restart(down_ms=700)
    thread.join(LIMIT)
    answer = results[0]
    ok(answer.status in (502, 503), f"engine killed during a create, {what}: it fails")
    has(answer.json["detail"], "node local", "it names the node")
    operation = world.operation(answer.json["operation"])
    equal((operation["state"], operation["error"]["detail"]), ("failed", answer.json["detail"]), "the operation says the same")
    up()
    world.settled(f"engine killed during a create, {what}")
    equal(get(f"/v1/instances/cut-{mode[:4]}").status, 404, "no instance is left")
    equal(container(f"cut-{mode[:4]}"), None, "and no container")
equal(world.spawn(name="cut-hang").status, 201, "the name is free")
world.delete("/v1/instances/cut-hang?force=true&wait=10")

# --- each call of the engine, each kind of trouble ---
FAILS = ("500", "503", "reset", "garbage", "hang", "reset_after", "hang_after", "drop_after")
for mode in ("delay", "split") + FAILS:
    good = mode in ("delay", "split")
    ms = 1 if mode == "split" else 60
    tag = mode.replace("_", "-")

    engine.fault("POST /containers/create", mode, ms=ms)
    answer = world.spawn(name=f"create-{tag}")
    engine.clear()
    if good:
        equal(answer.status, 201, f"create, {mode}: it is made")
    else:
        ok(answer.status in (502, 503, 504), f"create, {mode}: it fails with {answer.status}")
        up()
        equal(get(f"/v1/instances/create-{tag}").status, 404, f"create, {mode}: no instance is left")
    world.settled(f"create, {mode}")

    engine.fault("POST /containers/*/start", mode, ms=ms)
    answer = world.spawn(name=f"start-{tag}")
    engine.clear()
    if good:
        equal(answer.status, 201, f"start, {mode}: it runs")
    else:
        # where half of an answer without a body is dropped, nothing is missing
        made = answer.status == 201 and mode == "drop_after"
        ok(made or answer.status in (502, 503, 504), f"start, {mode}: it ends with {answer.status}")
        up()
        equal(get(f"/v1/instances/start-{tag}").status, 200 if made else 404, f"start, {mode}: and so the instance is")
    world.settled(f"start, {mode}")

    name = fresh()
    engine.fault("POST /containers/*/kill", mode, ms=ms)
    answer = post(f"/v1/instances/{name}/stop?wait={LIMIT}", {"grace": "5s"})
    engine.clear()
    if good:
        equal(answer.status, 200, f"kill, {mode}: it is stopped")
    else:
        ok(answer.status in (200, 502, 503, 504), f"kill, {mode}: the stop ends with {answer.status}")
    world.settled(f"kill, {mode}")
    if world.state(name) == "running":
        equal(post(f"/v1/instances/{name}/stop?wait={LIMIT}").status, 200, f"kill, {mode}: a stop later is fine")

    name = fresh()
    engine.fault("POST /containers/*/wait", mode, ms=ms)
    answer = post(f"/v1/instances/{name}/stop?wait={LIMIT}", {"grace": "5s"})
    engine.clear()
    equal(answer.status, 200, f"wait, {mode}: the exit is known by its event")
    world.settled(f"wait, {mode}")

    engine.fault("DELETE /containers/", mode, ms=ms)
    answer = world.delete(f"/v1/instances/{name}?wait={LIMIT}")
    engine.clear()
    if good:
        equal(answer.status, 200, f"remove, {mode}: it is removed")
    elif mode == "drop_after":
        ok(answer.status in (200, 502, 503), f"remove, {mode}: it ends with {answer.status}")
        world.delete(f"/v1/instances/{name}?wait={LIMIT}")
    else:
        ok(answer.status in (502, 503, 504), f"remove, {mode}: it fails with {answer.status}")
        up()
        equal(world.state(name), "failed", f"remove, {mode}: the instance is in sight")
        equal(world.delete(f"/v1/instances/{name}?wait={LIMIT}").status, 200, f"remove, {mode}: it can be removed later")
    world.settled(f"remove, {mode}")

    name = fresh()
    engine.fault("GET /containers/*/json", mode, ms=ms)
    engine.ask("POST", "/fake/exit", {"id": container_id(name), "code": 7})
    answer = get(f"/v1/instances/{name}/wait?timeout={LIMIT}").json
    engine.clear()
    equal((answer["state"], answer["last_exit"]["code"]), ("stopped", 7), f"inspect, {mode}: the exit is told with its code")

    name = fresh()
    for call in ("GET /containers/json", "GET /events", "GET /info", "GET /version"):
        engine.fault(call, mode, ms=ms)
        engine.ask("POST", "/fake/disconnect-events")
        if not good:
            until(lambda: node().get("last_error"), f"{call}, {mode}: the node to be down")
        until(lambda: good and node()["state"] == "up" or node()["state"] == "down", f"{call}, {mode}: an outcome")
        engine.clear()
        up()
        until(lambda: world.state(name) == "running", f"{call}, {mode}: the instance to be known again")
    ok(True, f"list, events, info and version, {mode}: the node comes back and all is known")
    engine.fault("GET /containers/*/top", mode, ms=ms)
    answer = get(f"/v1/instances/{name}/top")
    engine.clear()
    ok(answer.status == 200 if good else answer.status in (502, 503, 504), f"top, {mode}: answered with {answer.status}")
    for i in world.instances():
        world.delete(f"/v1/instances/{i['id']}?force=true&wait={LIMIT}")
    world.settled(mode)

# --- away while running ---
equal(engine.containers(world.owner), [], "all is removed")
names = [fresh(), fresh(), fresh("stubborn")]
post(f"/v1/instances/{names[1]}/pause?wait=10")
post(f"/v1/instances/{names[2]}/kill?wait=10", {"signal": "KILL"})
before = {n: world.state(n) for n in names}
equal(list(before.values()), ["running", "paused", "stopped"], "three instances")
mark = last_event()
waiter, waited = in_background(lambda: get(f"/v1/instances/{names[0]}/wait?timeout=0.8").json)
restart(down_ms=2500 * SLOW)
until(lambda: node()["state"] == "down", "the node to be down")
down = node()
ok(down["last_error"], "a node that is down has its error")
until(lambda: node().get("next_retry_at") or node()["state"] == "connecting", "a time for the next try")
equal([world.instance(n)["state"] for n in names], ["unknown"] * 3, "its instances are unknown")
equal([world.instance(n)["known_state"] for n in names], list(before.values()), "and say what they were")
for verb in ("stop", "start", "pause", "unpause", "kill", "restart"):
    answer = post(f"/v1/instances/{names[0]}/{verb}?wait=5")
    equal(answer.status, 503, f"{verb} is answered with 503")
    has(answer.json["detail"], down["last_error"], f"{verb}: with the node's error")
answer = world.delete(f"/v1/instances/{names[0]}?force=true&wait=5")
equal(answer.status, 503, "so is a removal")
equal(post(f"/v1/instances/{names[0]}/resize?wait=5", {"memory": "64MiB"}).status, 503, "and a resize")
for what in ("top", "stats"):
    answer = get(f"/v1/instances/{names[0]}/{what}")
    equal(answer.status, 503, f"and {what}")
answer = world.spawn(name="nowhere")
equal(answer.status, 503, "a spawn finds no node")
has(answer.json["detail"], down["last_error"], "and says why")
answer = post("/v1/nodes/local/images?wait=5", {"image": "x"})
equal(answer.status, 503, "a pull is answered with 503")
check = next(c for c in get("/v1/doctor").json["checks"] if c["name"] == "node local")
equal((check["status"], down["last_error"] in check["detail"]), ("fail", True), "doctor says so")
equal(get("/v1/health").json["status"], "degraded", "and health")
waiter.join(LIMIT)
equal((waited[0]["state"], waited[0]["timed_out"]), ("unknown", True), "who waits is not told of an exit that was none")
up()
until(lambda: "unknown" not in [world.state(n) for n in names], "the instances to be known again")
equal({n: world.state(n) for n in names}, before, "they come back as they were")
kinds = kinds_after(mark)
ok("node.down" in kinds and "node.up" in kinds, "down and up are told")
equal([k for k in kinds if k in ("instance.exited", "instance.lost", "instance.started")], [], "and nothing that never was")

# --- restarted, containers stopped meanwhile ---
mark = last_event()
waiter, waited = in_background(lambda: get(f"/v1/instances/{names[0]}/wait?timeout={LIMIT}").json)
until(lambda: get("/v1/health").status == 200, "the waiter to be there")
restart(down_ms=100, stop=True)
waiter.join(LIMIT)
equal((waited[0]["state"], waited[0]["timed_out"]), ("stopped", False), "an engine restarted with all stopped: waiters are answered")
equal((waited[0]["last_exit"]["code"], waited[0]["last_exit"].get("inferred")), (137, True), "the exit is inferred")
up()
world.settled("restarted, all stopped")
events = world.events(after=mark)
gap = next((e for e in events if e["kind"] == "node.gap"), None)
ok(gap and gap["node"] == "local" and gap["from"] and gap["to"], "the gap is told")
exits = [e for e in events if e["kind"] == "instance.exited"]
equal(sorted(e["name"] for e in exits), sorted(names[:2]), "one exit for each that ran")
equal({e["exit"].get("inferred") for e in exits}, {True}, "all inferred")
equal(world.instance(names[0])["intent"], "running", "an exit that nobody wanted leaves the intent")

# --- gantryd away meanwhile, too ---
post(f"/v1/instances/{names[0]}/start?wait=10")
world.stop()
engine.ask("POST", "/fake/exit", {"id": container(names[0])["Id"], "code": 5})
world.start()
until(lambda: world.state(names[0]) == "stopped", "the exit to be found")
equal((world.instance(names[0])["last_exit"]["code"], world.instance(names[0])["last_exit"].get("inferred", False)), (5, False),
      "an exit while gantryd was down is heard of by the engine's memory")

# --- the stream of events is silent without being closed ---
name = fresh()
engine.ask("POST", "/fake/mute-events", {"mute": True})
answer = post(f"/v1/instances/{name}/stop?wait={LIMIT}", {"grace": "20s"})
equal((answer.status, answer.json["result"]["state"]), (200, "stopped"), "a stop does without events")
equal(answer.json["result"]["last_exit"]["code"], 143, "and knows the exit")
short = fresh("exit", "4")
name = fresh()
equal(post(f"/v1/instances/{name}/kill?wait={LIMIT}", {"signal": "KILL"}).status, 200, "and a kill")
equal(world.delete(f"/v1/instances/{name}?wait={LIMIT}").status, 200, "and a removal")
name = fresh()
engine.ask("POST", "/fake/exit", {"id": container_id(name), "code": 6})
engine.ask("POST", "/fake/mute-events", {"mute": False})
engine.fault("GET /_ping", "hang")
until(lambda: node().get("last_error"), "an engine without a sign of life to be down")
engine.clear()
up()
until(lambda: world.state(name) == "stopped", "what happened in the silence to be found")
equal(world.instance(short)["last_exit"]["code"], 4, "a command that ended at once in the silence is found")
equal(world.instance(name)["last_exit"]["code"], 6, "a dead connection is noticed, and what happened is found")
world.settled("silent events")

# --- behind gantryd's back ---
name = fresh()
mark, id = last_event(), container_id(name)
for call, state, kind in ((f"{id}/pause", "paused", "instance.paused"), (f"{id}/unpause", "running", "instance.unpaused"),
                          (f"{id}/stop", "stopped", "instance.exited"), (f"{id}/start", "running", "instance.started"),
                          (f"{id}/kill", "stopped", "instance.exited")):
    engine.ask("POST", f"/v1.41/containers/{call}")
    until(lambda: world.state(name) == state, f"{call}: {state}")
    until(lambda: kind in kinds_after(mark, name), f"{call}: {kind}")
    mark = last_event()
ok(True, "pause, unpause, stop, start and kill by somebody else are heard of")
equal(world.instance(name)["boots"], 2, "a start by somebody else is counted")
equal(world.instance(name)["last_exit"].get("signal_source"), "inferred", "a signal that was not ours is not called ours")
engine.ask("DELETE", f"/v1.41/containers/{id}?force=1")
until(lambda: world.state(name) == "failed", "a removal by somebody else")
has(world.instance(name)["last_exit"]["reason"], "not through gantryd", "says what became of it")
ok("instance.lost" in kinds_after(mark, name), "it is told as lost")
starts = engine.state()["calls"].get("POST /containers/ID/start", 0)
for verb in ("start", "restart"):
    answer = post(f"/v1/instances/{name}/{verb}?wait=10")
    equal(answer.status, 409, f"{verb} is refused")
    has(answer.json["detail"], "has no container any more: somebody removed it at the engine", "it says what happened")
    has(answer.json["detail"], "remove it, and run it anew", "and what to do")
equal(engine.state()["calls"].get("POST /containers/ID/start", 0), starts, "the engine is not even asked")
equal(world.delete(f"/v1/instances/{name}?wait=10").status, 200, "and can be removed")
# during a flow
name = fresh()
mark = last_event()
engine.fault("POST /containers/*/update", "delay", ms=500, count=1)
thread = threading.Thread(target=lambda: post(f"/v1/instances/{name}/resize?wait=10", {"memory": "64MiB"}))
thread.start()
until(lambda: any(o["step"] == "update" for o in world.running_operations()), "a resize to be under way")
engine.ask("DELETE", f"/v1.41/containers/{name}?force=1")
thread.join(LIMIT)
until(lambda: world.state(name) == "failed", "a removal during a resize")
equal(kinds_after(mark, name).count("instance.lost"), 1, "is told when the resize is over, once")
equal(world.delete(f"/v1/instances/{name}?wait=10").status, 200, "and can be removed")
name = fresh()
engine.fault("GET /events", "503")
engine.ask("POST", "/fake/disconnect-events")
until(lambda: node().get("last_error"), "the node to be down")
engine.ask("DELETE", f"/v1.41/containers/{name}?force=1")
engine.clear()
up()
until(lambda: world.state(name) == "failed", "a removal during a disconnect to be found")
waiter = get(f"/v1/instances/{name}/wait?timeout=5").json
equal(waiter["state"], "failed", "who waits for it is answered")
equal(world.delete(f"/v1/instances/{name}?wait=10").status, 200, "it can be removed")

# --- 300 events of strangers during a disconnect ---
name, other, third = fresh(), fresh(), fresh()
world.post(f"/v1/instances/{third}/pause?wait=10")
for flood in (100, 300):
    mark = last_event()
    engine.fault("GET /events", "503")
    engine.ask("POST", "/fake/disconnect-events")
    until(lambda: node().get("last_error"), "the node to be down")
    engine.ask("POST", "/fake/exit", {"id": container(name)["Id"], "code": 9})
    engine.ask("POST", "/fake/event-flood", {"count": flood})
    engine.clear()
    up()
    until(lambda: "instance.exited" in kinds_after(mark, name), "the exit to be found")
    events = world.events(after=mark)
    wanted = flood > 256
    equal(any(e["kind"] == "node.gap" for e in events), wanted, f"{flood} events of strangers: {'a' if wanted else 'no'} gap")
    exit = world.instance(name)["last_exit"]
    equal((exit["code"], exit.get("inferred", False)), (9, wanted), f"{flood}: the exit is {'inferred' if wanted else 'seen'}")
    equal([e["name"] for e in events if e["kind"] == "instance.exited"], [name], f"{flood}: and told once")
    equal((world.state(other), world.state(third)), ("running", "paused"), f"{flood}: others are as they were")
    post(f"/v1/instances/{name}/start?wait=10")

# --- commands that end at once ---
mark = last_event()
name = fresh("exit", "3")
answer = get(f"/v1/instances/{name}/wait?timeout={LIMIT}").json
equal((answer["state"], answer["last_exit"]["code"], answer["timed_out"]), ("stopped", 3, False), "a wait asked after the end")
equal(kinds_after(mark, name), ["instance.started", "instance.exited"], "started comes before exited, each once")
engine.fault("POST /containers/*/start", "delay", ms=300 * SLOW, count=1)
name = f"i{counter + 1}"
spawn, spawned = in_background(lambda: fresh("exit", "8"))
until(lambda: get(f"/v1/instances/{name}").status == 200, "the instance to be there")
answer = get(f"/v1/instances/{name}/wait?timeout={LIMIT}").json
equal((answer["state"], answer["last_exit"]["code"]), ("stopped", 8), "a wait asked before the start")
spawn.join(LIMIT)
answers = []
name = fresh()
waiters = [threading.Thread(target=lambda: answers.append(get(f"/v1/instances/{name}/wait").json)) for _ in range(20)]
for one in waiters:
    one.start()
until(lambda: int(re.search(r"gantry_http_connections (\d+)", get("/v1/metrics").body.decode()).group(1)) >= 21, "20 waiters")
engine.ask("POST", "/fake/exit", {"id": container_id(name), "code": 77})
for one in waiters:
    one.join(LIMIT)
equal({(a["state"], a["last_exit"]["code"]) for a in answers}, {("stopped", 77)}, "20 waiters are told the same")
name = fresh("exit", "3")
for _ in range(3):
    post(f"/v1/instances/{name}/restart?wait=10")
get(f"/v1/instances/{name}/wait?timeout=5")
until(lambda: len(kinds_after(mark, name)) == 8, "four starts and four exits")
equal(kinds_after(mark, name), ["instance.started", "instance.exited"] * 4, "restarted: in turns, each once")
equal(world.instance(name)["boots"], 4, "boots are counted")
engine.fault("GET /containers/*/json", "reset")
name = fresh("exit", "21")
answer = get(f"/v1/instances/{name}/wait?timeout={LIMIT}").json
engine.clear()
equal(answer["last_exit"]["code"], 21, "its code is right where the engine cannot be asked again")

# --- many at once, and the engine goes away in the middle ---
for i in world.instances():
    world.delete(f"/v1/instances/{i['id']}?force=true&wait={LIMIT}")
statuses = []
threads = [threading.Thread(target=lambda n=n: statuses.append(
    world.spawn(name=f"many-{n}", command=["exit", "0"] if n % 3 == 0 else ["sleep", "9"]).status)) for n in range(60)]
for n, thread in enumerate(threads):
    thread.start()
    if n == 25:
        restart(down_ms=300, stop=True)
for thread in threads:
    thread.join(2 * LIMIT)
ok(len(statuses) == 60 and set(statuses) <= {201, 502, 503}, f"each of 60 is answered ({sorted(set(statuses))})")
up()
world.settled("60 spawns with the engine restarted in the middle")
equal(world.stop(), 0, "it ends well")

# --- away at the start ---
late = World(engine=False, endpoint="unix:///nowhere/at/all")
path = os.path.join(late.folder, "engine.sock")
with open(late.config) as file:
    text = file.read()
with open(late.config, "w") as file:
    file.write(text.replace("/nowhere/at/all", path))
late.start(up=False)
until(lambda: late.get("/v1/nodes/local").json.get("last_error"), "the node to be down")
answer = late.spawn(name="early")
equal(answer.status, 503, "an engine that is away at the start: a spawn is 503")
has(answer.json["detail"], path, "it says which engine")
equal(late.get("/v1/health").json["status"], "degraded", "health is degraded")
late.engine = Engine(late.folder)
until(lambda: late.get("/v1/health").json["status"] == "ok", "the node to be up once its engine is")
equal(late.spawn(name="late").status, 201, "and one runs when it comes")
late.stop()
late.engine.ask("POST", "/fake/restart", {"down_ms": 1500})
late.start(up=False)
equal((late.state("late"), late.instance("late")["known_state"]), ("unknown", "running"), "what the store knows is unknown while the engine is away")
until(lambda: late.state("late") == "running", "and known when it comes")
late.settled("away at the start")
equal(late.stop(), 0, "it ends well")
done()
