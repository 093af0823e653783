#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A real Docker Engine in trouble, and gantryd beside it: the engine killed and stopped, its containers
changed behind our back, gantryd killed, its store lost, events missed, TLS right and wrong. After each,
what the engine says and what the API says is the same."""
import os
import signal
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from certificates import authority, certificate
from docker import *
from command import Command
from daemon import *

docker = Docker(own=True)
world = docker.world().start()
gantry = Command("unix://" + world.socket)
RUNS = "while :; do sleep 0.05; done"


def begin(name, script="exec sleep 1000", **spec):
    answer = world.spawn(name=name, image=IMAGE, command=["sh", "-c", script], **spec)
    assert answer.status == 201, answer
    return name


def becomes(name, state):
    until(lambda: world.state(name) == state, f"{name} to be {state}")


def stop(name, **body):
    return world.post(f"/v1/instances/{name}/stop?wait=30", body or None)


def remove_all():
    for instance in world.instances():
        answer = world.delete(f"/v1/instances/{instance['id']}?force=true&wait=30")
        if answer.status != 200:
            equal(answer.status, 200, f"{instance['name']} is removed: {answer}")
    world.settled("all removed")


# docker's own client behind our back
begin("behind", f"trap 'exit 4' TERM; {RUNS}")
docker("pause", "behind")
becomes("behind", "paused")
docker("unpause", "behind")
becomes("behind", "running")
docker("stop", "behind")
becomes("behind", "stopped")
last = world.instance("behind")["last_exit"]
equal((last["code"], docker.inspect("behind")["State"]["ExitCode"], last["inferred"]), (4, 4, False), "docker stop: the exit was seen")
docker("start", "behind")
becomes("behind", "running")
boots = world.instance("behind")["boots"]
docker("restart", "--time", "0", "behind")
until(lambda: world.instance("behind")["boots"] == boots + 1 and world.state("behind") == "running", "the restart to be seen")
ok(True, "docker pause, unpause, stop, start, restart: each is followed")
equal(world.instance("behind")["intent"], "running", "what is wanted is still that it runs")
world.settled("behind our back")
docker("rm", "--force", "behind")
until(lambda: world.get("/v1/instances/behind").status == 404 or world.state("behind") == "failed", "docker rm to be seen")
events = [e for e in world.events() if e.get("name") == "behind"]
ok(any(e["kind"] in ("instance.lost", "instance.removed") for e in events), "docker rm --force: an event tells that it is gone")
world.delete("/v1/instances/behind?force=true&wait=30")
world.settled("docker rm --force")

# the engine is killed while it creates
answers = []
threads = [threading.Thread(daemon=True, target=lambda n=n: answers.append(
    ask(world.socket, "POST", "/v1/instances?wait=30", {"name": f"burst{n}", "image": IMAGE, "command": ["sleep", "1000"]}))) for n in range(6)]
for thread in threads:
    thread.start()
until(lambda: any(o["step"] in ("create", "start") for o in world.running_operations()), "the first create")
docker.kill()
until(lambda: world.get("/v1/health").json["status"] == "degraded", "gantryd to see that the engine is gone")
docker.again()
for thread in threads:
    thread.join()
until(lambda: world.get("/v1/health").json["status"] == "ok", "the node to be up again")
world.settled("engine killed during creates")
equal({a.status for a in answers} <= {201, 202, 500, 502, 503, 504}, True, f"each spawn had an answer: {sorted(a.status for a in answers)}")
failed = [a.json for a in answers if a.status >= 400]
equal([p for p in failed if not p.get("detail") or "local" not in p["detail"]], [], "each failure names the node")
remove_all()
begin("after")
world.settled("a spawn after that")

# the engine is killed under what runs: unknown, then what it was found to be
begin("codes", f"trap 'exit 4' TERM; {RUNS}")
docker.kill()
becomes("after", "unknown")
equal(world.instance("after")["known_state"], "running", "engine killed: unknown, running when last seen")
refused = stop("after")
equal((refused.status, refused.json["status"]), (503, 503), "a stop meanwhile is refused: the engine is out of reach")
docker.again()
until(lambda: world.state("after") in ("stopped", "running"), "it to be known again")
for name in ("after", "codes"):
    instance, inspected = world.instance(name), docker.inspect(name)
    equal(instance["state"], STATES.get(inspected["State"]["Status"], inspected["State"]["Status"]), f"{name} is what the engine says")
    if instance["state"] == "stopped":
        equal(instance["last_exit"]["code"], inspected["State"]["ExitCode"], f"{name}: its code is the engine's")
world.settled("engine killed under what runs")
for name in ("after", "codes"):
    if world.state(name) == "stopped":
        equal(world.post(f"/v1/instances/{name}/start?wait=30").status, 200, f"{name} starts again")

# the engine goes down in order: its containers are stopped by it
docker.down()
becomes("after", "unknown")
docker.again()
becomes("codes", "stopped")
becomes("after", "stopped")
equal({n: world.instance(n)["last_exit"]["code"] for n in ("codes", "after")},
      {n: docker.inspect(n)["State"]["ExitCode"] for n in ("codes", "after")}, "engine stopped: the codes are the engine's")
equal(world.instance("codes")["last_exit"]["code"], 4, "and the process ended by its own will")
world.settled("engine stopped and started")
remove_all()

# the engine is killed amid two starts, by a runtime that can be held there: it forgets them, and its containerd does not
hold, held, runtime = (os.path.join(docker.folder, name) for name in ("hold", "held", "runtime"))
with open(runtime, "w") as file:
    file.write(f'#!/bin/sh\ncase " $* " in *" start "*) [ ! -e {hold} ] || echo >>{held}; while [ -e {hold} ]; do sleep 0.02; done ;; esac\n'
               'exec runc "$@"\n')
os.chmod(runtime, 0o755)
docker.down()
docker.again("--add-runtime", f"held={runtime}", "--default-runtime", "held")
until(lambda: world.get("/v1/health").json["status"] == "ok", "the node to be up")
begin("before", "exit 7")
becomes("before", "stopped")
open(hold, "w").close()
answers = []
threads = [threading.Thread(daemon=True, target=lambda ask_for=ask_for: answers.append(ask(world.socket, "POST", *ask_for))) for ask_for in (
    ("/v1/instances?wait=30", {"name": "amid", "image": IMAGE, "command": ["sleep", "1000"]}), ("/v1/instances/before/start?wait=30", None))]
for thread in threads:
    thread.start()
until(lambda: os.path.exists(held) and os.path.getsize(held) == 2, "both to be amid their start")
docker.kill()
until(lambda: world.get("/v1/health").json["status"] == "degraded", "gantryd to see that the engine is gone")
os.unlink(hold)
docker.again("--add-runtime", f"held={runtime}", "--default-runtime", "held")
until(lambda: world.get("/v1/health").json["status"] == "ok", "the node to be up again")
for thread in threads:
    thread.join()
equal([a.status for a in answers], [503, 503], "engine killed amid two starts: both failed, by the engine")
world.settled("engine killed amid two starts")
equal({i["name"]: i["state"] for i in world.instances()}, {"before": "stopped"}, "the one that is new is gone, the other is as it was")
refused = docker.run("start", "before")
has(refused.stderr, "already", "of which the engine says that it is there already")
for _ in range(2):
    answer = world.post("/v1/instances/before/start?wait=30")
    equal(answer.status, 409, "so a start is refused")
    has(answer.json["detail"], "remove the instance and make it anew", "with what is to be done")
equal(world.state("before"), "stopped", "it stays stopped")
world.settled("starts that the engine refuses")
equal(world.delete("/v1/instances/before?wait=30").status, 200, "it is removed")
begin("before")
begin("amid")
world.settled("and both are made anew")
remove_all()

# gantryd is killed at some moments
for crash, target, body, end in (
        ("spawn/create/during", None, None, "running"), ("spawn/create/after", None, None, "running"),
        ("spawn/start/during", None, None, "running"), ("stop/signal/during", "stop", {"grace": "200ms"}, "stopped"),
        ("stop/kill/before", "stop", {"grace": "200ms"}, "stopped"), ("remove/remove/during", "remove", None, None)):
    name = crash.replace("/", "-")
    if target:
        begin(name, f"trap '' TERM; {RUNS}")
    world.stop()
    world.start(crash_at=crash)
    try:
        if target == "remove":
            ask(world.socket, "DELETE", f"/v1/instances/{name}?force=true&wait=30")
        else:
            ask(world.socket, "POST", f"/v1/instances/{name}/{target}?wait=30" if target else "/v1/instances?wait=30",
                body if target else {"name": name, "image": IMAGE, "command": ["sleep", "1000"]})
    except (OSError, http.client.HTTPException):
        pass
    world.died()
    world.start()
    world.settled(f"gantryd killed at {crash}")
    equal({i["name"]: i["state"] for i in world.instances()}.get(name), end, f"{crash}: {name} is {end or 'gone'}")
remove_all()

# the store is lost
begin("kept", project="shop", labels={"tier": "gold"}, environment=["A=1", {"name": "S", "value": "s3cret", "secret": True}],
      memory="64MiB", stop_grace="3s")
begin("ended", "exit 6")
becomes("ended", "stopped")
answer = world.post("/v1/instances/kept/resize?wait=30", {"memory": "96MiB", "cpus": 0.5})
equal(answer.status, 200, "resized before")
stop_me = begin("stopped-by-us", f"trap 'exit 5' TERM; {RUNS}")
equal(stop(stop_me).status, 200, "stopped before")
before = {i["name"]: i for i in world.instances()}
world.kill()
world.forget()
world.start()
world.settled("store lost")
found = {i["name"]: i for i in world.instances()}
equal(sorted(found), sorted(before), "store lost: each instance is found")


def kept(instance):
    spec = {key: value for key, value in instance["spec"].items() if key != "environment"}
    last = {key: value for key, value in instance.get("last_exit", {}).items() if key in ("code", "oom_killed")}
    return {**{key: instance.get(key) for key in ("id", "name", "project", "state", "node", "image", "container_id", "generation",
                                                 "labels")}, "spec": spec, "last_exit": last,
            "environment": [e["name"] if isinstance(e, dict) else e.split("=")[0] for e in instance["spec"].get("environment", [])]}


for name in before:
    equal(kept(found[name]), kept(before[name]), f"{name}: id, project, spec, generation, limits and last exit are rebuilt")
host = docker.inspect("shop_kept")["HostConfig"]
equal((found["kept"]["spec"]["memory"], found["kept"]["spec"]["cpus"]), (host["Memory"], host["NanoCpus"] / 1e9),
      "the limits are those in force, not those of the label")
equal(world.post("/v1/instances/kept/resize?wait=30", {"memory": "256MiB"}).status, 200, "and can be raised again")
equal([found[n]["intent"] for n in ("kept", "stopped-by-us")], ["running", "stopped"], "the intent is what it does")
doctor = gantry("doctor").out
has(doctor, "lost are events, decisions, operations, idempotency keys and intents", "doctor says what is lost")
equal("s3cret" in gantry("--json", "show", "kept").out, False, "a secret is not told after that, either")
remove_all()

# more events than the engine keeps, while gantryd is away
begin("missed", f"trap 'exit 8' TERM; {RUNS}")
begin("same")
sequence = max(e["sequence"] for e in world.events())
world.kill()
docker("stop", "missed")
for number in range(300):
    docker.ask("POST", f"/images/{IMAGE}/tag?repo=gantry-test/foreign&tag={number % 3}")
world.start()
becomes("missed", "stopped")
news = [e for e in world.events(sequence)]
ok(any("gap" in e["kind"] for e in news), "300 foreign events while gantryd was away: a gap is told")
exits = [e for e in news if e["kind"] == "instance.exited"]
equal([(e["name"], e.get("inferred")) for e in exits], [("missed", True)], "the exit is told as inferred, and nothing else is")
last = world.instance("missed")["last_exit"]
equal((last["code"], last["inferred"]), (8, True), "its code is the engine's")
world.settled("after the gap")
# as many while gantryd is there: none
sequence = max(e["sequence"] for e in world.events())
for number in range(300):
    docker.ask("POST", f"/images/{IMAGE}/tag?repo=gantry-test/foreign&tag={number % 3}")
docker("kill", "same")
becomes("same", "stopped")
equal([e["kind"] for e in world.events(sequence) if "gap" in e["kind"] or e.get("inferred")], [], "as many while it listens: no gap")
# gantryd sleeps while things happen
begin("asleep")
world.daemon.send_signal(signal.SIGSTOP)
docker("kill", "asleep")
docker("start", "missed")
docker("rm", "--force", "same")
world.daemon.send_signal(signal.SIGCONT)
becomes("asleep", "stopped")
becomes("missed", "running")
world.delete("/v1/instances/same?force=true&wait=30")
world.settled("gantryd stopped and continued")
remove_all()
equal(world.stop(), 0, "gantryd ends in order")

# an engine on TCP with TLS
folder = world.folder
ours, stranger = authority(folder, "ours"), authority(folder, "stranger")
server = certificate(folder, "engine", ours, "serverAuth")
mine = certificate(folder, "mine", ours, "clientAuth")
theirs = certificate(folder, "theirs", stranger, "clientAuth")
with socket.socket() as sock:
    sock.bind(("127.0.0.1", 0))
    port = sock.getsockname()[1]
docker.down()
docker.again("-H", f"tcp://127.0.0.1:{port}", "--tlsverify", f"--tlscacert={ours[0]}", f"--tlscert={server[0]}",
             f"--tlskey={server[1]}")


def tls_world(host="127.0.0.1", **options):
    text = ", ".join(f'tls_{key} = {json.dumps(value)}' for key, value in options.items())
    return docker.world(endpoint=f"tcp://{host}:{port}", node=text).start(up=False)


right = tls_world(ca=ours[0], certificate=mine[0], key=mine[1])
until(lambda: right.get("/v1/health").json["status"] == "ok", "the node to be up over TLS")
equal(right.spawn(name="over-tls", image=IMAGE).status, 201, "TLS: an instance is made over it")
equal(docker.inspect("over-tls")["State"]["Running"], True, "TLS: and it runs")
right.settled("TLS")
for words in (("run", "-i", "--rm", IMAGE, "cat"), ("exec", "-i", "over-tls", "cat")):
    sent = os.urandom(4 << 20)
    result = Command("unix://" + right.socket)(*words, stdin=sent, raw=True)
    equal((result.status, result.out == sent), (0, True), f"TLS: {words[0]} -i: what is sent comes back, and its end ends the process")
equal(right.delete("/v1/instances/over-tls?force=true&wait=30").status, 200, "TLS: removed")
equal(right.stop(), 0, "TLS: gantryd ends in order")
for what, options, word in (
        ("the wrong authority", {"ca": stranger[0], "certificate": mine[0], "key": mine[1]}, "certificate"),
        ("no certificate of ours", {"ca": ours[0]}, "certificate"),
        ("a certificate by somebody else", {"ca": ours[0], "certificate": theirs[0], "key": theirs[1]}, "certificate"),
        ("another name than the certificate's", {"ca": ours[0], "certificate": mine[0], "key": mine[1], "host": "localhost"},
         "localhost")):
    wrong = tls_world(**options)
    error = until(lambda: wrong.get("/v1/nodes/local").json.get("last_error"), f"TLS, {what}: an error")
    until(lambda: wrong.get("/v1/nodes/local").json["state"] == "down", f"TLS, {what}: the node to be down")
    has(error, word, f"TLS, {what}: the node says why")
    # the words of an engine that refuses may be lost with the connection: they differ from try to try
    has(Command("unix://" + wrong.socket)("node", "show", "local").out, word, f"TLS, {what}: and so does the command")
    equal(wrong.spawn(name="never", image=IMAGE, wait=5).status, 503, f"TLS, {what}: nothing is spawned there")
    equal(wrong.stop(), 0, f"TLS, {what}: gantryd ends in order")
loose = tls_world(ca=stranger[0], certificate=mine[0], key=mine[1], verify=False)
until(lambda: loose.get("/v1/health").json["status"] == "ok", "tls_verify = false to let it through")
has(open(loose.log).read(), "tls_verify", "tls_verify = false works, and the log warns of it")
equal(loose.stop(), 0, "gantryd ends in order")
equal(docker.ps(), {}, "nothing is left")
done()
