#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The API of a whole gantryd on the fake engine: operations, idempotency, names, and what it refuses."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *

JSON = {"Content-Type": "application/json"}


def problem(answer, status, what, field=None, text=None):
    equal(answer.status, status, what)
    document = answer.json
    if field is not None:
        equal(document.get("field"), field, f"{what}: names the field")
    if text is not None:
        has(document["detail"], text, f"{what}: says so")
    return document


NEEDS_USER = """return { name = "user", admit = function(req)
	if req.labels and req.labels["needs-user"] and req.on_behalf_of ~= "bob" then
		return false, req.on_behalf_of and "not bob" or "nobody is named"
	end
	return true
end }"""
world = World(settings='trusted_actors = { "uid:4242" }', policies={"10-user.lua": NEEDS_USER}).start()
post, get = world.post, world.get

# --- 202, wait, watch ---
world.engine.fault("POST /containers/*/start", "delay", ms=500 * SLOW, count=1)
answer = post("/v1/instances", {"name": "slow", "image": "busybox"})
equal(answer.status, 202, "a spawn without wait is accepted")
operation = answer.json
equal(answer.headers["Location"], f"/v1/operations/{operation['id']}", "Location is its address")
equal((operation["kind"], operation["state"], operation["actor"]), ("spawn", "running", f"uid:{os.getuid()}"),
      "it tells kind, state and actor")
short = get(answer.headers["Location"] + "?wait=0.05")
equal(short.json["state"], "running", "waiting too short a time shows it as it is")
listed = get("/v1/operations").json["operations"]
ok(any(o["id"] == operation["id"] for o in listed), "one under way is listed")
until(lambda: get("/v1/operations").json["operations"][0]["step"] == "start", "the list to show the step that it is at")
watch = world.stream(f"/v1/operations/{operation['id']}/watch")
lines = [json.loads(line) for line in watch.rest()]
for line in lines:
    world.check("Operation", line, "watch")
ok(watch.ended and not watch.cut, "the watch ends with its last chunk")
equal((lines[0]["state"], lines[-1]["state"]), ("running", "done"), "from running to done")
ok(len(lines) >= 2 and [l["step"] for l in lines][-1] == "announce", "with its steps")
ended = get(answer.headers["Location"] + "?wait=5").json
equal((ended["state"], ended["result"]["name"], ended["result"]["state"]), ("done", "slow", "running"),
      "the ended one has its instance as result")
timings = ended["timings"]
equal(timings["policy_us"] + timings["store_us"] + timings["engine_us"] + timings["other_us"], timings["total_us"],
      "the parts of its time sum up to the total")
ok(timings["engine_us"] >= 450000, "the engine's time is the engine's")

# --- made only ---
mark = get("/v1/health").json["last_event"]
made = post("/v1/instances?wait=5&start=false", {"name": "made", "image": "busybox"})
equal((made.status, made.json["result"]["state"], made.json["result"]["intent"]), (201, "stopped", "stopped"), "start=false: it is made, and stopped")
equal([c["State"] for c in world.containers() if c["Names"] == ["/made"]], ["created"], "and the engine has not started it")
equal([e["kind"] for e in world.events(mark)], ["instance.created"], "which is told")
problem(post("/v1/instances?start=perhaps", {"name": "made2", "image": "busybox"}), 400, "another word than true or false", text="true or false")
equal((post("/v1/instances/made/start?wait=5").status, world.state("made")), (200, "running"), "a start starts it")
equal(world.delete("/v1/instances/made?force=true&wait=5").status, 200, "and it goes")

again = world.stream(f"/v1/operations/{operation['id']}/watch").rest()
equal([json.loads(line)["state"] for line in again], ["done"], "watching an ended one gives one line")
sse = world.stream(f"/v1/operations/{operation['id']}/watch", {"Accept": "text/event-stream"})
has(sse.head, "text/event-stream", "server-sent events on demand")
ok(sse.line().startswith("data: {"), "with data lines")

world.engine.fault("POST /containers/*/kill", "delay", ms=400 * SLOW, count=1)
answer = post("/v1/instances/slow/kill?wait=0.05", {"signal": "USR1"})
equal(answer.status, 202, "what has not ended within wait is answered with 202")
busy = post("/v1/instances/slow/pause")
problem(busy, 409, "a second verb on a busy instance is 409", text=answer.json["id"])
equal(world.operation(answer.json["id"])["state"], "done", "and the first one goes on to its end")
stopped = post("/v1/instances/slow/stop?wait=10")
equal((stopped.status, stopped.json["result"]["state"]), (200, "stopped"), "with wait, a verb answers 200 at its end")
problem(post("/v1/instances/slow/stop"), 409, "stopping it twice is 409", text="stopped already")
problem(post("/v1/instances/slow/pause"), 409, "pausing a stopped one is 409", text="needs a running instance")
equal(world.delete("/v1/instances/slow?wait=10").status, 200, "it is removed")
problem(get("/v1/instances/slow"), 404, "and is gone")

# --- an operation that fails ---
answer = post("/v1/instances?wait=10", {"name": "none", "image": "missing/image:1"})
document = problem(answer, 404, "an image that does not exist", text="image missing/image:1: ")
failed = get(f"/v1/operations/{document['operation']}").json
equal((failed["state"], failed["error"]["status"], failed["error"]["detail"]), ("failed", 404, document["detail"]),
      "the failed operation is kept with its problem")
answer = post("/v1/instances?wait=10", {"name": "none", "image": "busybox", "command": ["notfound"]})
problem(answer, 422, "a command that cannot be run", text="notfound")
problem(get("/v1/instances/none"), 404, "leaves no instance")
equal(world.engine.containers(world.owner), [], "and no container")

# --- idempotency ---
def keyed(key, body, target="/v1/instances?wait=10"):
    return post(target, body, {**JSON, "Idempotency-Key": key})


body = {"name": "once", "image": "busybox", "command": ["sleep", "9"]}
first, second = keyed("k1", body), keyed("k1", body)
equal((first.status, second.status), (201, 201), "the same key twice: both answered")
equal(first.json["id"], second.json["id"], "with the same operation")
equal(keyed("k1", body, "/v1/instances").status, 202, "without wait it is 202 again")
problem(keyed("k1", {**body, "name": "other"}), 409, "the same key with another body is 409", text=first.json["id"])
problem(keyed("k1", None, "/v1/instances/once/stop"), 409, "and with another address")
problem(keyed("", body), 400, "an empty key is refused", field="Idempotency-Key")
problem(keyed("x" * 129, body), 400, "and one too long", field="Idempotency-Key")
failing = {"name": "bad", "image": "missing"}
first, second = keyed("k2", failing), keyed("k2", failing)
equal((first.status, second.status), (404, 404), "a failure is answered again with its status")
equal(first.json["operation"], second.json["operation"], "as the same operation")
answers = []
world.engine.fault("POST /containers/create", "delay", ms=200, count=1)
threads = [threading.Thread(target=lambda: answers.append(keyed("k3", {"name": "race", "image": "busybox"})))
           for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
equal({a.status for a in answers}, {201}, "eight at once with one key: all answered")
equal(len({a.json["id"] for a in answers}), 1, "with one operation")

# --- old ones are read from the store ---
for _ in range(70):
    post("/v1/instances/once/pause?wait=10")
    post("/v1/instances/once/unpause?wait=10")
old = get(f"/v1/operations/{operation['id']}")
equal((old.status, old.json.get("state")), (200, "done"), "an operation that is no longer in memory is shown")
equal({k: v for k, v in old.json.items() if k != "timings"}, {k: v for k, v in ended.items() if k != "timings"},
      "just as it was")
listed = get("/v1/operations?limit=1000").json["operations"]
ok(len(listed) > 140, "and listed")
equal(listed[-1]["id"], operation["id"], "as the oldest")
equal(len(get("/v1/operations?limit=3").json["operations"]), 3, "limit holds")
of_once = get("/v1/operations?instance=once&limit=1000").json["operations"]
equal({o["instance_name"] for o in of_once}, {"once"}, "those of one instance")
gone = get(f"/v1/operations?instance={operation['instance']}").json["operations"]
equal([o["kind"] for o in gone], ["remove", "stop", "kill", "spawn"], "and of one that is gone, by its id")
old = world.stream(f"/v1/operations/{operation['id']}/watch")
equal([json.loads(l)["state"] for l in old.rest()], ["done"], "one that is no longer in memory is watched")
again = keyed("k1", body)
equal((again.status, again.json.get("id")), (201, keyed("k1", body).json["id"]),
      "a key is answered with its operation once that is no longer in memory")
problem(keyed("k1", {**body, "name": "other"}), 409, "and is refused with another body")
equal(keyed("k2", failing).status, 404, "a failure is, too")
problem(get("/v1/operations/nothing"), 404, "an operation that never was is 404")
problem(get("/v1/operations/nothing/watch"), 404, "and cannot be watched")

# --- names ---
one = post("/v1/instances?wait=10", {"name": "twin", "project": "red", "image": "busybox"}).json["result"]
two = post("/v1/instances?wait=10", {"name": "twin", "project": "blue", "image": "busybox"}).json["result"]
problem(post("/v1/instances?wait=10", {"name": "twin", "project": "blue", "image": "busybox"}), 409,
        "a name that is taken in its project", field="name")
equal(world.instance(one["id"])["id"], one["id"], "an id")
equal(world.instance(one["id"][:13])["id"], one["id"], "a prefix of the id")
equal(world.instance("twin?project=red")["id"], one["id"], "a name in ?project=")
equal(world.instance("blue%2Ftwin")["id"], two["id"], "PROJECT/NAME")
problem(get("/v1/instances/twin"), 409, "a name that two projects have", text="red/twin")
problem(get(f"/v1/instances/{two['id']}?project=red"), 404, "an id of another project")
many = [post("/v1/instances?wait=10", {"image": "busybox"}).json["result"] for _ in range(18)]
prefix = next(a["id"][:1] for a in many if len([b for b in many if b["id"][0] == a["id"][0]]) > 1)
problem(get(f"/v1/instances/{prefix}"), 404, "a prefix of one character is none")
ambiguous = post("/v1/instances?wait=10", {"name": "common-a", "image": "busybox"}).json["result"]
post("/v1/instances?wait=10", {"name": "common-b", "image": "busybox"})
problem(get("/v1/instances/common"), 409, "a prefix that fits two", text="could be")
ok(many[0]["name"].startswith("busybox-"), "a name is made up where none is given")
in_red = get("/v1/instances?project=red").json["instances"]
equal([i["id"] for i in in_red], [one["id"]], "a list of one project")
equal(len(get("/v1/instances?state=running,paused").json["instances"]), len(get("/v1/instances").json["instances"]),
      "a list by state")
problem(get("/v1/instances?state=jogging"), 400, "a state that there is not", field="state", text="jogging")
post("/v1/instances?wait=10", {"name": "marked", "image": "busybox", "labels": {"tier": "web"}})
for query, count in (("label=tier", 1), ("label=tier%3Dweb", 1), ("label=tier%3Ddb", 0), ("label=tier&label=x", 0),
                     ("node=local&label=tier", 1), ("node=mars", 0)):
    equal(len(get(f"/v1/instances?{query}").json["instances"]), count, f"a list by {query}")

# --- what is refused ---
def spec(**more):
    return post("/v1/instances?wait=10", {"image": "busybox", **more})


problem(spec(memmory="1G"), 400, "an unknown field", field="memmory", text='did you mean "memory"?')
problem(spec(memory="12 parsecs"), 400, "a memory of 12 parsecs", field="memory", text="12 parsecs")
problem(spec(memory=True), 400, "a memory of the wrong type", field="memory")
problem(spec(command="sleep 1"), 400, "a command that is no list", field="command")
problem(spec(name="no blanks please"), 400, "a name with blanks", field="name")
problem(spec(environment=["1=2=3", "=x"]), 400, "a variable without a name", field="environment[1].name")
problem(spec(mounts=[{"type": "bind", "source": "/a", "target": "/b"}, {"type": "bind", "sauce": "/a", "target": "/c"}]),
        400, "an unknown member deep inside", field="mounts[1].sauce", text='did you mean "source"?')
problem(post("/v1/instances", {"name": "x"}), 400, "no image", field="image", text="required")
problem(spec(ports=["70000:80"]), 400, "a port out of range", field="ports[0]")
problem(post("/v1/instances?wait=soon", {"image": "busybox"}), 400, "a wait that is no number", field="wait", text="soon")
problem(post("/v1/instances?wait=3601", {"image": "busybox"}), 400, "a wait too long", field="wait")
problem(post("/v1/instances?wait=-1", {"image": "busybox"}), 400, "a wait below zero", field="wait")
for wrong in ("nan", "inf", "0x10", "1e2", "%201", "%2B1", "1.2.3", ""):
    problem(post(f"/v1/instances?wait={wrong}", {"image": "busybox"}), 400, f"a wait of \"{wrong}\"", field="wait")
problem(get("/v1/operations?limit=0"), 400, "a limit of 0", field="limit")
problem(get("/v1/operations?limit=1001"), 400, "a limit too high", field="limit")
problem(get("/v1/events?after=-1"), 400, "a sequence below zero", field="after")
problem(get("/v1/events?follow=perhaps"), 400, "follow=perhaps", field="follow")
problem(world.delete("/v1/instances/once?force=1"), 400, "force=1", field="force", text="true or false")
problem(get("/v1/instances/once/wait?timeout=x"), 400, "a timeout that is none", field="timeout")
problem(post("/v1/instances/once/stop", {"grace": "ten"}), 400, "a grace that is none", field="grace", text="ten")
problem(post("/v1/instances/once/stop", {"grase": "1s"}), 400, "an unknown field of stop", field="grase", text="grace")
problem(post("/v1/instances/once/kill", {"signal": "SIGNOTHING"}), 400, "a signal that is none", field="signal")
problem(post("/v1/instances/once/start", {"force": True}), 400, "a body where none is taken", field="force")
problem(post("/v1/instances/once/resize", {}), 400, "a resize of nothing")
problem(post("/v1/instances/once/resize", {"image": "x"}), 400, "a resize of what cannot be", field="image")
problem(get("/v1/decisions/x"), 400, "a decision that is no number", field="id")
problem(get("/v1/decisions/999999"), 404, "a decision that never was")
problem(get("/v1/nodes/mars"), 404, "a node that is not there", text="mars")
problem(get("/v1/nowhere"), 404, "an unknown address", text="/v1/nowhere")
answer = world.ask("PUT", "/v1/instances", {"image": "busybox"})
problem(answer, 405, "a method that the address has not")
equal(sorted(answer.headers["Allow"].split(", ")), ["GET", "POST"], "Allow names those it has")
answer = post("/v1/instances", "image=busybox", {"Content-Type": "application/x-www-form-urlencoded"})
problem(answer, 415, "a body that is no JSON by its type", text="application/json")
problem(post("/v1/instances", "{}", {"Content-Type": "application/jsonish"}), 415, "nor one that begins like it")
equal(post("/v1/instances?wait=10", '{"image":"busybox"}', {"Content-Type": "application/json; charset=utf-8"}).status,
      201, "a charset is fine")
problem(post("/v1/instances", '{"image": "busybox",}', JSON), 400, "a body that is not JSON", text="byte 20")
problem(post("/v1/instances", "[]", JSON), 400, "a body that is no object", text="not a list")
problem(post("/v1/instances", b'{"image": "\xff"}', JSON), 400, "a body that is not UTF-8", text="body")
problem(post("/v1/instances"), 400, "no body")
problem(post("/v1/instances", '{"labels":' * 33 + "1" + "}" * 33, JSON), 400, "a body too deep", text="body")
problem(post("/v1/instances", '{"image":"' + "x" * (1 << 20) + '"}', JSON), 413, "a body over 1 MiB")

# --- on behalf of others ---
answer = post("/v1/instances?wait=10", {"image": "busybox"}, {**JSON, "X-Gantry-Project": "red"})
problem(answer, 403, "a project by an actor that is not trusted", text="trusted_actors")
problem(get("/v1/instances", {"X-Gantry-User": "bob"}), 403, "and a user")
answer = post("/v1/instances?wait=10", {"name": "by-hand", "image": "busybox", "labels": {"needs-user": ""}})
problem(answer, 403, "a policy that wants a user refuses who has none", text="nobody is named")
problem(post("/v1/instances?wait=10", {"name": "by-hand", "image": "busybox", "labels": {"needs-user": ""}},
             {**JSON, "X-Gantry-User": "bob"}), 403, "and who may not name one", text="trusted_actors")
world.stop()
with open(world.config) as file:
    text = file.read()
with open(world.config, "w") as file:
    file.write(text.replace("uid:4242", f"uid:{os.getuid()}"))
world.start()
answer = post("/v1/instances?wait=10", {"name": "for-bob", "image": "busybox"},
              {**JSON, "X-Gantry-Project": "red", "X-Gantry-User": "bob"})
equal((answer.status, answer.json["result"]["project"]), (201, "red"), "from a trusted actor the project counts")
equal((answer.json["actor"], answer.json.get("user")), (f"uid:{os.getuid()}", "bob"), "and the user is told beside the actor")
answer = post("/v1/instances?wait=10", {"name": "bobs", "image": "busybox", "labels": {"needs-user": ""}},
              {**JSON, "X-Gantry-User": "bob"})
equal(answer.status, 201, "policies see the user that a trusted actor names")
equal(get(f"/v1/decisions/{answer.json['decision']}").json.get("user"), "bob", "the decision has it")
for user, allowed in (("bob", True), ("eve", False)):
    answer = post("/v1/policies/eval", {"spec": {"image": "busybox", "labels": {"needs-user": ""}}, "user": user})
    equal(answer.json["decision"]["allowed"], allowed, f"eval on behalf of {user}")
equal([i["name"] for i in get("/v1/instances", {"X-Gantry-Project": "red"}).json["instances"]],
      ["twin", "for-bob"], "its lists are of the project")
equal(keyed("k1", body).json.get("kind"), "spawn", "a key is known after a restart")
equal(world.stop(), 0, "it ends well")
done()
