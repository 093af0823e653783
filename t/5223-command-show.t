#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What gantry shows, against a server that plays gantryd: instances, figures, images, nodes, policies, events, operations."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from command import *


def looking(fake, gantry):
    long_ago = {"created_at": "2001-01-01T00:00:00.000Z", "started_at": "2001-01-01T00:00:00.000Z"}
    base = {"id": ID, "name": "web", "project": "default", "node": "local", "state": "running", "intent": "running", "image": "busybox:latest",
            "generation": 1, "boots": 2, "labels": {"a": "1"}, "container_id": "c0ffee", "address": "172.17.0.2", **long_ago,
            "spec": {"name": "web", "image": "busybox:latest", "command": ["sh", "-c", "echo 'hi' $A", ""], "memory": 67108864, "cpus": 1.5,
                     "tty": True, "ports": [{"container_port": 80, "protocol": "tcp"}],
                     "environment": [{"name": "TZ", "value": "UTC"}, {"name": "GREETING", "value": "hello world"}, {"name": "TOKEN", "secret": True}]}}
    days = int((time.time() - 978307200) / 86400)
    instances = [base, {**base, "name": "a-very-long-name", "id": "ffffffff", "health": "healthy"},
                 {**base, "name": "ü", "state": "stopped", "node": None, "last_exit": {"code": 137, "at": "2001-01-01T00:00:00Z", "oom_killed": True}},
                 {**base, "name": "evil\x1b]0;x\x07", "state": "failed", "image": "", "last_exit": {"code": 127, "at": "x"}}]
    fake.answers = {("GET", "/v1/instances"): (200, {"instances": instances})}
    check(gantry("ps", "-a"), 0, f"""NAME               ID         IMAGE            NODE    STATE                   SINCE
web                0f0e0d0c   busybox:latest   local   running                 {days}d
a-very-long-name   ffffffff   busybox:latest   local   running (healthy)       {days}d
ü                  0f0e0d0c   busybox:latest   -       stopped (137, memory)   {days}d
evil?]0;x?         0f0e0d0c   -                local   failed (127)            -
""", "", "ps -a: a table, without control characters")
    equal(fake.take()[0].query, "", "all states")
    check(gantry("ps", "-aq"), 0, f"{ID}\nffffffff\n{ID}\n{ID}\n", "", "ps -q: ids")
    check(gantry("ps", "--json"), 0, json.dumps({"instances": instances}) + "\n", "", "ps --json: the answer as it came")
    fake.take()
    gantry("ps")
    equal(fake.take()[0].query, "state=pending%2Ccreating%2Cstarting%2Crunning%2Cpaused%2Cstopping%2Cremoving%2Cunknown", "ps alone: not the stopped and failed")
    gantry("ps", "--project", "p", "-l", "a=1", "--label", "b", "--node", "n", "--state", "paused")
    equal(fake.take()[0].query, "project=p&label=a%3D1&label=b&node=n&state=paused", "ps with selectors")
    fake.answers["GET", "/v1/instances"] = (200, {"instances": []})
    check(gantry("ps"), 0, "NAME   ID   IMAGE   NODE   STATE   SINCE\n", "", "ps of nothing: the titles")
    check(gantry("ps", "-q"), 0, "", "", "ps -q of nothing")

    fake.answers["GET", "/v1/instances/web"] = (200, {**base, "last_exit": {"code": 137, "signal": 9, "signal_source": "sent", "oom_seen": True, "at": "T"}})
    fake.answers["GET", "/v1/instances/gone"] = (404, problem(404, "no such instance"))
    check(gantry("show", "gone", "web"), 3, f"""\
name           web
id             {ID}
project        default
state          running, wanted running
image          busybox:latest
node           local
container      c0ffee
address        172.17.0.2
created        2001-01-01T00:00:00.000Z
started        2001-01-01T00:00:00.000Z ({days}d ago), 2 times
last exit      137, signal 9 (sent), out of memory was seen at T
labels
  a=1
spec
  command      sh -c 'echo '\\''hi'\\'' $A' ''
  memory       64MiB
  cpus         1.5
  tty          true
  ports        container_port=80,protocol=tcp
  environment  TZ=UTC 'GREETING=hello world' TOKEN (secret)
""", "gantry: gone: no such instance\n", "show")
    equal(len(gantry("show", "--json", "web", "web").out.splitlines()), 2, "show --json: one answer a line")

    fake.answers["GET", "/v1/instances/web/wait"] = [(200, {"id": ID, "state": "running", "timed_out": True}), (200, ended(7, signal=9))]
    fake.answers["GET", "/v1/instances/b/wait"] = (200, ended(0))
    fake.take()
    check(gantry("wait", "web", "b"), 0, "7\n0\n", "", "wait prints the codes, its status is 0")
    equal([r.query for r in fake.take()], ["timeout=3600.000"] * 3, "it asks again until the end")
    asked = threading.Event()
    fake.answers["GET", "/v1/instances/web/wait"] = lambda *_: asked.wait(20) and (200, ended(7, signal=9))
    fake.answers["GET", "/v1/instances/b/wait"] = lambda *_: asked.set() or (200, ended(0))
    check(gantry("wait", "web", "b"), 0, "7\n0\n", "", "all are asked at once: the second is answered while the first is waited for")
    held = threading.Event()
    fake.answers["GET", "/v1/instances/web/wait"] = lambda *_: held.wait(20) and (200, ended(7, signal=9))
    check(gantry("wait", "--any", "--exit-code", "web", "b"), 0, "b 0\n", "", "--any does not wait for the others")
    held.set()
    fake.answers["GET", "/v1/instances/b/wait"] = (200, ended(0))
    fake.answers["GET", "/v1/instances/web/wait"] = (200, ended(7, signal=9))
    check(gantry("wait", "--exit-code", "b", "web"), 7, "0\n7\n", "", "--exit-code")
    equal(json.loads(gantry("wait", "--json", "web").out), ended(7, signal=9), "--json has the signal too")
    fake.answers["GET", "/v1/instances/web/wait"] = (200, {"id": ID, "state": "running", "timed_out": True})
    check(gantry("wait", "--timeout", "0", "web"), 7, "", "gantry: web: still running\n", "--timeout: status 7")
    check(gantry("wait", "--any", "--timeout", "0", "web", "web"), 7, "", "gantry: all: still running\n", "--any: none has")
    check(gantry("wait", "--any", "b", "b"), 0, "b 0\n", "", "--any: one line")
    fake.answers["GET", "/v1/instances/gone/wait"] = (404, problem(404, "no such instance"))
    check(gantry("wait", "--any", "gone"), 3, "", "gantry: gone: no such instance\n", "--any: one that is not there")
    fake.answers["GET", "/v1/instances/web/wait"] = (200, {"id": ID, "state": "failed", "timed_out": False})
    check(gantry("wait", "web"), 5, "", "gantry: web: is failed and its process never ended\n", "one that never ran")
    fake.take()

    fake.answers["GET", "/v1/instances/web/top"] = (200, {"titles": ["PID", "CMD"], "rows": [["1", "sh -c x"], ["22", "sleep"]]})
    check(gantry("top", "web"), 0, "PID   CMD\n1     sh -c x\n22    sleep\n", "", "top")
    stats = {"id": ID, "name": "web", "at": "2026-01-02T03:04:05.000Z", "memory_bytes": 1048576, "memory_limit_bytes": 67108864, "cpu_ns": 1500000000,
             "cpu_periods": 8, "throttled_periods": 1, "pids": 3, "network_rx_bytes": 1024, "network_tx_bytes": 2048, "block_read_bytes": 0, "block_write_bytes": 10}
    fake.answers["GET", f"/v1/instances/{ID}/stats"] = (200, stats)
    fake.answers["GET", "/v1/instances"] = (200, {"instances": [base]})
    fake.take()
    table = ("NAME   CPU   CPU-TIME   THROTTLED   MEMORY   LIMIT   PIDS   OOM   WAITS CPU/MEM/IO   NET IN/OUT    DISK IN/OUT\n"
             "web    -     1.5s       12.5%       1MiB     64MiB   3      -     -                  1KiB / 2KiB   0B / 10B\n")
    check(gantry("stats"), 0, table, "", "stats of all that run")
    equal([(r.path, r.query) for r in fake.take()], [("/v1/instances", "state=running"), (f"/v1/instances/{ID}/stats", "")], "asks for each")
    known = {**stats, "pids_limit": 64, "oom_kills": 2, "cpu_pressure_percent": 1.25, "memory_pressure_percent": 0, "cpu_periods": 0}
    fake.answers["GET", "/v1/instances/web/stats"] = (200, known)
    equal(re.split("  +", gantry("stats", "web").out.splitlines()[1])[3:9], ["-", "1MiB", "64MiB", "3 / 64", "2", "1.2% / 0.0% / -"],
          "stats: the limit of processes, kills for memory and pressure where they are known")

    fresh = threading.Semaphore(0)

    def readings(*objects, end=True):
        """Each is sent when fresh is released."""
        def answer(handler, _):
            handler.stream("application/x-ndjson")
            for one in objects:
                fresh.acquire()
                handler.chunk(json.dumps(one).encode() + b"\n")
            if end:
                handler.end()
            else:
                handler.cut()
        return answer

    later = {**stats, "at": "2026-01-02T03:04:07.000Z", "cpu_ns": 2500000000}
    fake.answers["GET", "/v1/instances/web/stats"] = readings(stats, later)
    fake.answers["GET", "/v1/instances/gone/stats"] = (409, problem(409, "it is stopped"))
    fake.take()
    process = gantry.start("stats", "-f", "--interval", "100ms", "web", "gone")
    fresh.release()
    rows = [process.stdout.readline().split() for _ in range(2)]
    fresh.release()
    out, errors = process.communicate(timeout=LIMIT)
    rows += [line.split() for line in out.splitlines()]
    equal((process.returncode, [[cell.decode() for cell in row[:3]] for row in rows]), (5, [["NAME", "CPU", "CPU-TIME"], ["web", "-", "1.5s"], ["NAME", "CPU", "CPU-TIME"], ["web", "50.0%", "2.5s"]]),
          "stats --follow: a table when there is something new, with the CPU used in between, until all have ended")
    equal(errors, b"gantry: gone: it is stopped\n", "one that is stopped does not end it")
    equal(sorted((r.path, r.query) for r in fake.take()), [(f"/v1/instances/{name}/stats", "follow=true") for name in ("gone", "web")], "by one request each")
    fresh.release(2)
    lines = gantry("--json", "stats", "-f", "web")
    equal((lines.status, [json.loads(line) for line in lines.out.splitlines()][-1]), (0, later), "with --json each as it comes")
    fake.answers["GET", "/v1/instances/web/stats"] = readings(stats, end=False)
    fresh.release()
    result = gantry("stats", "-f", "web")
    equal((result.status, result.out.splitlines()[1:], "lost the connection" in result.err), (6, [table.splitlines()[1]], True), "a stream that is cut is an error")


def others(fake, gantry):
    image = {"node": "n1", "image_id": "sha256:0123456789abcdef", "tags": ["a:1", "a:2"], "digests": [], "size_bytes": 1536, "created_at": None}
    fake.answers = {("GET", "/v1/images"): (200, {"images": [image, {**image, "tags": []}], "unreachable": ["n2"]}),
                    ("GET", "/v1/nodes/n1/images"): (200, {"images": [image]})}
    check(gantry("images"), 1, "IMAGE    ID             NODE   SIZE     CREATED\n" + "".join(
        f"{tag:6}   0123456789ab   n1     1.5KiB   -\n" for tag in ("a:1", "a:2", "<none>")), "gantry: node n2 cannot be asked\n", "images, one node out of reach")
    equal((gantry("images", "--node", "n1").status, fake.take()[-1].path), (0, "/v1/nodes/n1/images"), "images --node")

    node = {"name": "n1", "plugin": "docker", "state": "up", "drained": True, "labels": {"zone": "a"}, "version": 3,
            "facts": {"engine": "Docker", "engine_version": "20.10", "memory_bytes": 1 << 30}, "capacity": {"memory_bytes": 1 << 30, "nano_cpus": 2000000000},
            "promised": {"instances": 2, "memory_bytes": 1 << 20, "nano_cpus": 500000000}}
    fake.answers = {("GET", "/v1/nodes"): (200, {"nodes": [node, {"name": "n2", "plugin": "docker", "state": "down"}]}), ("GET", "/v1/nodes/n1"): (200, node)}
    check(gantry("node", "ls"), 0, """NAME   STATE         ENGINE         INSTANCES   CPUS   PROMISED   MEMORY   PROMISED
n1     up, drained   Docker 20.10   2           2      0.5        1GiB     1MiB
n2     down          docker         0           -      -          -        -
""", "", "node ls")
    result = gantry("node", "show", "n1", "gone")
    equal((result.status, result.out.splitlines()[:6]), (3, ["name                 n1", "plugin               docker", "state                up",
                                                         "drained              true", "labels", "  zone               a"]), "node show")
    equal(gantry("--json", "node", "ls").out, json.dumps({"nodes": [node, {"name": "n2", "plugin": "docker", "state": "down"}]}) + "\n", "--json before the command")

    decision = {"id": 12, "verb": "spawn", "actor": "uid:0", "project": "default", "instance": ID, "at": "T", "revision": "abc", "allowed": False,
                "reason": "no", "records": [{"policy": "unsafe", "hook": "admit", "outcome": "deny", "reason": "no\x1b", "file": "unsafe.lua", "line": 3, "took_us": 5},
                                            {"policy": "p", "hook": "resources", "outcome": "set", "answer": {"pids": 1}, "subject": "pids", "file": "p.lua",
                                             "shadow": True, "conflict": True},
                                            {"policy": "p", "hook": "filter", "outcome": "allow", "answer": {"count": 2, "nodes": ["a", "b"]}},
                                            {"policy": "gantry", "hook": "score", "outcome": "score", "subject": "a",
                                             "answer": {"count": 2, "top": [{"node": "a", "score": 7}, {"node": "b", "score": -1.53333333}]}}]}
    text = (f"decision 12: spawn of {ID} by uid:0 in project default refused\nat T under revision abc\nbecause no\n"
            "  admit       unsafe           deny  : no? (unsafe.lua:3)\n"
            '  resources   p                set    pids {"pids":1} (p.lua) [shadow: without effect] [conflict: changes what another policy set]\n'
            "  filter      p                allow  2 nodes: a, b\n"
            "  score       gantry           score  2 nodes, best a 7, b -1.53333\n")
    fake.answers = {("GET", "/v1/decisions/12"): (200, decision), ("GET", "/v1/instances/web/decisions"): (200, {"decisions": [decision, {**decision, "id": 11}]}),
                    ("GET", "/v1/instances/new/decisions"): (200, {"decisions": []}),
                    ("POST", "/v1/policies/eval"): (200, {"decision": {**decision, "id": 0}}),
                    ("GET", "/v1/policies"): (200, {"revision": "abc", "policies": [{"name": "a", "file": "a.lua", "mode": "enforce", "on_error": "deny", "hooks": ["admit", "score"]}]})}
    check(gantry("policy", "explain", "12"), 0, text, "", "policy explain of a decision")
    check(gantry("policy", "explain", "web"), 0, text, "", "of an instance: the last")
    check(gantry("policy", "explain", "-a", "web"), 0, text + "\n" + text.replace("decision 12", "decision 11"), "", "--all")
    check(gantry("policy", "explain", "new"), 3, "", "gantry: new: no decision is kept\n", "none")
    fake.take()
    result = gantry("policy", "eval", "--actor", "uid:7", "--verb", "spawn", "-m", "1g", "busybox", "x")
    equal((result.status, result.out), (4, text.replace("decision 12: ", "")), "policy eval: status 4 where it is refused")
    equal(fake.take()[0].json, {"spec": {"memory": "1g", "image": "busybox", "command": ["x"]}, "verb": "spawn", "actor": "uid:7"}, "as the contract has it")
    fake.answers[("POST", "/v1/policies/eval")] = (200, {"decision": {**decision, "allowed": True, "reason": None}})
    equal(gantry("policy", "eval", "busybox").status, 0, "0 where it is allowed")
    check(gantry("policy", "status"), 0, "revision abc\nPOLICY   MODE      ON ERROR   HOOKS         FILE\na        enforce   deny       admit score   a.lua\n", "", "policy status")
    fake.answers[("POST", "/v1/policies/reload")] = (200, {"revision": "def", "policies": []})
    check(gantry("policy", "reload"), 0, "revision def\nPOLICY   MODE   ON ERROR   HOOKS   FILE\n", "", "policy reload shows the set that is in force then")
    fake.answers[("POST", "/v1/policies/reload")] = (400, problem(400, "a.lua:3: syntax error"))
    check(gantry("policy", "reload"), 2, "", "gantry: a.lua:3: syntax error\n", "or what is wrong")
    folder = os.path.join(fake.folder, "bin")
    os.mkdir(folder)
    shutil.copy(GANTRY, folder)

    def check_policies(path):
        done = subprocess.run([folder + "/gantry", "policy", "check", path], env={**gantry.environment, "PATH": "/nowhere"},
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT)
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())
    check(check_policies("x"), 1, "", "gantry: policy check runs gantryd, which is neither beside gantry nor in PATH: No such file or directory\n",
          "policy check without gantryd")
    with open(folder + "/gantryd", "w") as file:
        file.write('#!/bin/sh\necho "$@"\nexit 9\n')
    os.chmod(folder + "/gantryd", 0o755)
    check(check_policies("the folder"), 9, "--check-policies the folder\n", "", "policy check runs the gantryd beside it")

    # events
    def event(sequence, **more):
        return {"sequence": sequence, "at": "2026-01-02T03:04:05.678Z", "kind": "instance.state", "instance": ID, "name": "web", "node": "n1", "project": "default", **more}

    def first(handler, _):
        handler.stream()
        handler.line(event(5, to="running\x07"))
        handler.chunk(b"\n")
        handler.chunk(b'{"sequence": 6, "at"')
        handler.cut()

    def second(handler, _):
        handler.stream()
        handler.line(event(6, to="stopped", exit={"code": 3}, error={"detail": "why"}, more={"a": 1}))
        handler.end()
    fake.answers = {("GET", "/v1/events"): [first, second]}
    fake.take()
    lines = ("2026-01-02T03:04:05.678Z  5  instance.state  web  node=n1  to=running?\n"
             "2026-01-02T03:04:05.678Z  6  instance.state  web  node=n1  to=stopped  exit=3  error=why  more={\"a\":1}\n")
    check(gantry("events", "-f", "--after", "4", "--instance", "web"), 0, lines, "", "events --follow: a cut stream goes on, nothing twice")
    equal([r.query for r in fake.take()], ["after=4&follow=true&instance=web", "after=5&follow=true&instance=web"], "where it was")

    def silent(handler, _):
        handler.stream()
        handler.cut()
    fake.answers = {("GET", "/v1/events"): [silent, second], ("GET", "/v1/health"): (200, {"status": "ok", "last_event": 5})}
    check(gantry("events", "-f"), 0, lines.splitlines()[1] + "\n", "", "events --follow: cut before the first one, it goes on")
    equal([r.query for r in fake.take()], ["", "after=5&follow=true", "after=5&follow=true"], "and nothing is lost between")
    fake.answers = {("GET", "/v1/events"): [silent, second]}
    check(gantry("events", "-f", "--after", "5"), 0, lines.splitlines()[1] + "\n", "", "so with a place to begin at")
    equal([r.query for r in fake.take()], ["after=5&follow=true"] * 2, "which is kept")
    fake.answers["GET", "/v1/events"] = first
    result = gantry("events")
    equal((result.status, result.out, result.err), (6, lines.splitlines()[0] + "\n", f"gantry: lost the connection to gantryd at {fake.host}\n"), "without --follow a cut one is an error")
    fake.answers["GET", "/v1/events"] = second
    check(gantry("events", "--json"), 0, json.dumps(event(6, to="stopped", exit={"code": 3}, error={"detail": "why"}, more={"a": 1})) + "\n", "", "events --json: lines as they came")
    fake.answers["GET", "/v1/events"] = (400, problem(400, "must be a number", field="after"))
    check(gantry("events", "--after", "x"), 2, "", "gantry: after: must be a number\n", "events with a wrong value")

    timings = {"policy_us": 500, "store_us": 1500, "engine_us": 2000000, "other_us": 0, "total_us": 2002000, "steps": [{"name": "policy", "us": 400}]}
    failed = operation("failed", timings=timings, ended_at="2026-01-02T03:04:07.000Z", error=problem(409, "taken"), decision=3)
    fake.answers = {("GET", "/v1/operations"): (200, {"operations": [failed]}), ("GET", f"/v1/operations/{OPERATION}"): (200, failed)}
    result = gantry("ops")
    equal((result.status, result.out.splitlines()[0].split(), result.out.splitlines()[1].split()[:6]),
         (0, ["ID", "KIND", "INSTANCE", "STATE", "STEP", "TOOK", "BEGAN", "ACTOR"], [OPERATION, "spawn", "web", "failed", "start", "2.0s"]), "ops")
    check(gantry("ops", OPERATION), 0, f"""operation {OPERATION}
spawn web by uid:0: failed
began 2026-01-02T03:04:05.678Z, ended 2026-01-02T03:04:07.000Z
step start
decision 3; why: gantry policy explain 3
failed: taken
took 2.0s: policy 500us, store 1.5ms, engine 2.0s, other 0us
  policy       400us
""", "", "ops of one: where the time went")
    fake.take()
    gantry("ops", "--instance", "web", "--limit", "5")
    equal(fake.take()[0].query, "instance=web&limit=5", "ops of an instance")
    equal(gantry("ops", "--wait", OPERATION).status, 5, "ops --wait: the operation's own status")

    fake.answers = {("GET", "/v1/doctor"): (200, {"checks": [{"name": "store", "status": "ok", "detail": "fine"},
                                                           {"name": "node n1", "status": "fail", "detail": "down", "hint": "start it"}]}),
                    ("GET", "/v1/version"): (200, {"version": "9.9", "api": "1", "plugins": [{"name": "docker", "version": "1.0"}]})}
    check(gantry("doctor"), 1, "ok    store: fine\nfail  node n1: down\n      start it\n", "", "doctor: status 1 where a check fails")
    result = gantry("version")
    equal((result.status, result.out.splitlines()[1:]), (0, [f"gantryd  9.9 at {fake.host}, API 1", "plugin   docker 1.0"]), "version")
    ok(re.fullmatch(r"gantry   \d+\.\d+\.\d+", result.out.splitlines()[0]), "ours first")
    result = gantry("--host", "/nowhere/s", "version")
    equal((result.status, len(result.out.splitlines())), (6, 1), "also without a daemon")


run_parts(looking, others)
