#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every route of openapi.yaml asked of a live gantryd on the fake engine: statuses, types and every member of every
answer are as the contract has them, and nothing is answered that it does not name."""
import io
import os
import re
import struct
import sys
import tarfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *
from logfiles import LogFiles
from websocket import handshake

contract = Contract()

# the validator itself can fail
SPEC = "#/components/schemas/Spec"
equal(contract.check(SPEC, {"image": "x", "memory": "1m", "ports": ["80", {"container_port": 80}], "cpus": 1.5}, "$"), [], "the validator passes what is right")
for wrong in ({}, {"image": 1}, {"image": "x", "colour": 1}, {"image": "x", "ports": [{"container_port": 0}]}, {"image": "x", "cpus": 0},
              {"image": "x", "memory": True}, {"image": "x", "name": "a_b"}, {"image": "x", "labels": {"a": 1}}, {"image": "x", "dns": "1"}):
    ok(contract.check(SPEC, wrong, "$"), f"and finds what is wrong in {wrong}")


def once(pairs):
    keys = [key for key, _ in pairs]
    if len(keys) != len(set(keys)):
        raise ValueError(f"members given twice: {sorted({key for key in keys if keys.count(key) > 1})}")
    return dict(pairs)


TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(\d{6})?Z")
seen = {}  # operationId: statuses
operations = {}
for path, item in contract.document["paths"].items():
    for method, operation in item.items():
        if method != "parameters":
            operations[f"{method.upper()} {path}"] = operation


def first_line(answer):
    return answer.body.partition(b"\n")[0] if answer.headers.get("Content-Type", "").startswith("application/x-ndjson") else answer.body


def check(method, template, status, target=None, body=None, headers=None, name=None):
    """Asks, and holds the answer against the contract. The parsed body; of a stream, a list of its lines."""
    operation = operations[f"{method} {template}"]
    target = target or template
    name = name or f"{method} {target}"
    if body is not None and status < 400 and not isinstance(body, bytes):
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        equal(contract.check(schema, body, "$", closed=False), [], f"{name}: the test's body is as the contract has it")
    answer = ask(world.socket, method, target, body, {**({"Content-Type": "application/json"} if body is not None else {}), **(headers or {})})
    if not ok(answer.status == status, f"{name}: {status}"):
        diag(answer)
        return {}
    seen.setdefault(operation["operationId"], set()).add(status)
    equal(contract.answer(method, target, status, answer.headers, first_line(answer))[:8], [],
         f"{name}: as the contract has it")
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    if not kind.endswith("json"):
        return answer.body
    parsed, wrong = [], []
    for line in [line for line in answer.body.splitlines() if line]:
        try:
            parsed.append(json.loads(line, object_pairs_hook=once))
        except ValueError as error:
            wrong.append(f"{error}: {line[:200]}")
            parsed.append(json.loads(line))
    if kind == "application/x-ndjson":
        schema = operation["responses"]["200"]["content"][kind]["schema"]
        for at, value in enumerate(parsed):
            wrong += contract.check(schema, value, f"line {at}")
            if not TIME.fullmatch(value.get("at") or value.get("created_at") or value.get("time") or ""):
                wrong.append(f"line {at}: no time in {value}")
    equal(wrong[:8], [], f"{name}: each member once, each line as the contract has it")
    if status == 202:
        equal(answer.headers["Location"], f"/v1/operations/{parsed[0]['id']}", f"{name}: its Location")
    return parsed if kind == "application/x-ndjson" else parsed[0]


INSTANCE = "/v1/instances/{id}"
world = World(policies={"10-refuse.lua": """
return {
  admit = function(req)
    if req.image == "refused" then return false, "not this one" end
    return true
  end,
  environment = function(req, env) return { BY_POLICY = "1", BY_POLICY_SECRET = { value = "hidden", secret = true } } end,
  resources = function(req, res) return { pids = 50 } end,
}
"""}, settings=f'listen[2] = {{ console = "127.0.0.1:{free_port()}", plain = true }}').start()

for path in ("health", "version", "doctor", "logs/sinks"):
    check("GET", "/v1/" + path, 200)
text = check("GET", "/v1/metrics", 200).decode()
ok(all(re.fullmatch(r"# (HELP|TYPE) \w+ .+|\w+({[^}]*})? -?[\d.e+]+", line) for line in text.splitlines()) and "gantry_instances" in text,
   "metrics are in Prometheus' form")

full = {"name": "web", "labels": {"a": "1"}, "image": "busybox", "command": ["sleep", "1000"], "entrypoint": [], "hostname": "h",
        "environment": ["A=1", {"name": "B", "value": "2"}, {"name": "S", "value": "hidden", "secret": True}], "user": "1:1", "working_dir": "/",
        "tty": False, "stdin_open": False, "mounts": ["vol:/v", {"type": "tmpfs", "target": "/t", "size": "1MiB"}],
        "ports": ["8080:80", {"container_port": 53, "protocol": "udp"}], "network": "bridge", "dns": ["1.1.1.1"], "dns_search": ["x"],
        "cap_add": ["NET_ADMIN"], "cap_drop": ["ALL"], "devices": ["/dev/null", {"host_path": "/dev/zero", "permissions": "r"}],
        "ulimits": ["nofile=1:2", {"name": "core", "soft": 0}], "sysctls": {"net.core.somaxconn": "9"}, "read_only": True, "init": True,
        "stop_signal": "TERM", "stop_grace": "1s", "health_check": {"test": ["CMD", "true"], "interval": "5s", "timeout": 2, "retries": 1},
        "memory": "64MiB", "memory_swap": 134217728, "cpus": 1.5, "cpu_shares": 100, "cpuset": "0", "pids": 40,
        "block_io": {"weight": 100, "devices": [{"device": "/dev/vda", "read_bps": "1MiB", "write_iops": 5}]},
        "log": {"driver": "local", "size": "1MiB", "files": 2}}
equal(sorted(set(contract.document["components"]["schemas"]["Spec"]["properties"]) - set(full)), ["network_ports", "project"],
      "the test's spec has every field; ports of networks want a real engine: t/9085")
if not full["entrypoint"]:
    del full["entrypoint"]
web = check("POST", "/v1/instances", 201, "/v1/instances?wait=30", full, {"Idempotency-Key": "k1"}, name="spawn with every field")
instance = web["result"]
equal(instance["spec"]["pids"], 50, "the policy's value is in the result")
ok("hidden" not in json.dumps(web), "a secret is not")
again = check("POST", "/v1/instances", 201, "/v1/instances?wait=30", full, {"Idempotency-Key": "k1"}, name="the same key again")
equal(again["id"], web["id"], "is the same operation")
check("POST", "/v1/instances", 409, "/v1/instances?wait=30", {**full, "name": "other"}, {"Idempotency-Key": "k1"}, name="the same key with another body")
check("POST", "/v1/instances", 409, "/v1/instances?wait=30", full, name="a name that is taken")
for field, body in (("memory", {"image": "x", "memory": "12 parsecs"}), ("colour", {"image": "x", "colour": 1}), ("image", {}),
                    ("mounts[0].target", {"image": "x", "mounts": [{"type": "tmpfs", "target": "t"}]})):
    document = check("POST", "/v1/instances", 400, None, body, name=f"a wrong {field}")
    equal(document.get("field"), field, "the field is named")
check("POST", "/v1/instances", 400, None, "{", name="no JSON")
check("POST", "/v1/instances", 415, None, "{}", {"Content-Type": "text/plain"}, name="another type")
check("POST", "/v1/instances", 413, None, json.dumps({"image": "x" * (1 << 20)}), name="over 1 MiB")
check("POST", "/v1/instances", 400, "/v1/instances?wait=x", {"image": "x"}, name="a wrong wait")
document = check("POST", "/v1/instances", 403, "/v1/instances?wait=30", {"image": "refused"}, name="refused by policy")
ok(document.get("decision") and document.get("operation"), "decision and operation are told")
check("POST", "/v1/instances", 403, None, {"image": "x"}, {"X-Gantry-Project": "p"}, name="another project, by no trusted actor")
check("POST", "/v1/instances", 404, "/v1/instances?wait=30", {"image": "missing:1"}, name="no such image")
check("POST", "/v1/instances", 422, "/v1/instances?wait=30", {"image": "busybox", "command": ["notfound"]}, name="no such command")
started = check("POST", "/v1/instances", 202, None, {"name": "job", "image": "pullable:2", "command": ["echo", "hello"]})
watched = check("GET", "/v1/operations/{id}/watch", 200, f"/v1/operations/{started['id']}/watch")
equal(watched[-1]["state"], "done", "the watch ends with the operation")
check("GET", "/v1/operations/{id}", 200, f"/v1/operations/{started['id']}?wait=30")
check("GET", "/v1/operations/{id}", 404, "/v1/operations/nothing")
check("GET", "/v1/operations", 200)
check("GET", "/v1/operations", 200, "/v1/operations?instance=web&limit=2")
check("GET", "/v1/operations", 400, "/v1/operations?limit=0")

check("GET", "/v1/instances", 200)
equal([i["name"] for i in check("GET", "/v1/instances", 200, "/v1/instances?state=running,paused&label=a%3D1&node=local&project=default")["instances"]],
     ["web"], "selected")
equal(check("GET", "/v1/instances", 200, "/v1/instances?label=b")["instances"], [], "none")
check("GET", "/v1/instances", 400, "/v1/instances?state=asleep")
for word in ("web", instance["id"], instance["id"][:8], "web?project=default"):
    equal(check("GET", INSTANCE, 200, f"/v1/instances/{word}")["id"], instance["id"], "found")
check("GET", INSTANCE, 404, "/v1/instances/nothing")
check("GET", INSTANCE, 404, "/v1/instances/web?project=other")

check("GET", INSTANCE + "/attach", 426, "/v1/instances/web/attach")
check("POST", INSTANCE + "/exec", 400, "/v1/instances/web/exec", {"command": []})
execution = check("POST", INSTANCE + "/exec", 201, "/v1/instances/web/exec", {"command": ["cat"], "environment": ["A=1"]})
check("GET", "/v1/execs/{id}", 426, execution["path"])
check("GET", INSTANCE + "/attach", 404, "/v1/instances/nothing/attach")
for name, what in (("instanceAttach", "/v1/instances/web/attach"), ("execAttach", execution["path"])):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(LIMIT)
        sock.connect(world.socket)
        sock.sendall(handshake(what, "v1.attach.gantry"))
        status = int(sock.recv(4096).split()[1])
        ok(status == 101, f"{what}: 101")
        seen.setdefault(name, set()).add(status)

check("POST", INSTANCE + "/console", 200, "/v1/instances/web/console")
check("POST", INSTANCE + "/console", 404, "/v1/instances/nothing/console")
check("POST", INSTANCE + "/serial", 200, "/v1/instances/web/serial")
check("POST", INSTANCE + "/serial", 404, "/v1/instances/nothing/serial")
check("DELETE", INSTANCE + "/serial", 200, "/v1/instances/web/serial")

job = check("GET", INSTANCE + "/wait", 200, "/v1/instances/job/wait?timeout=30")
equal((job["timed_out"], job["last_exit"]["code"]), (False, 0), "job has ended")
equal(check("GET", INSTANCE + "/wait", 200, "/v1/instances/web/wait?timeout=0.01")["timed_out"], True, "web has not")
body = check("GET", INSTANCE + "/output", 200, "/v1/instances/job/output?follow=true")
equal(body, bytes([1, 0, 0, 0]) + struct.pack(">I", 6) + b"hello\n", "output in frames")
files = LogFiles(os.path.join(world.folder, "logged"))
files.line("a line")
files.line("another", "stderr", newline=False)
check("POST", "/v1/instances", 201, "/v1/instances?wait=30",
      {"name": "logged", "image": "busybox", "labels": {"fake.log": files.folder}, "log": {"driver": "json-file"}})
for form in ("ndjson", "raw&timestamps=true", "frames"):
    check("GET", INSTANCE + "/logs", 200, f"/v1/instances/logged/logs?format={form}", name=f"a log as {form}")
check("DELETE", INSTANCE, 200, "/v1/instances/logged?force=true&wait=30")
check("GET", INSTANCE + "/logs", 200, "/v1/instances/job/logs", name="a log that is not on this host")
with io.BytesIO() as packed:
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("empty"))
    check("PUT", INSTANCE + "/archive", 204, "/v1/instances/web/archive?path=/tmp", packed.getvalue(), {"Content-Type": "application/x-tar"})
check("PUT", INSTANCE + "/archive", 404, "/v1/instances/web/archive?path=/none", b"", {"Content-Type": "application/x-tar"})
check("GET", INSTANCE + "/archive", 200, "/v1/instances/web/archive?path=/tmp")
check("GET", INSTANCE + "/archive", 404, "/v1/instances/web/archive?path=/none")
check("GET", INSTANCE + "/archive", 400, "/v1/instances/web/archive")
check("GET", INSTANCE + "/top", 200, "/v1/instances/web/top")
check("GET", INSTANCE + "/stats", 200, "/v1/instances/web/stats")
for verb in ("top", "stats"):
    check("GET", f"{INSTANCE}/{verb}", 409, f"/v1/instances/job/{verb}", name=f"{verb} of one that is stopped")
for verb, body in (("pause", None), ("unpause", None), ("resize", {"memory": "32MiB", "memory_swap": "64MiB", "cpus": 2, "pids": 60}),
                   ("restart", {"grace": 1}), ("stop", {"grace": "100ms"}), ("start", None), ("kill", {"signal": "KILL"})):
    check("POST", f"{INSTANCE}/{verb}", 200, f"/v1/instances/web/{verb}?wait=30", body)
    if verb == "kill":
        check("GET", INSTANCE + "/wait", 200, "/v1/instances/web/wait?timeout=30")
    check("POST", f"{INSTANCE}/{verb}", 404, f"/v1/instances/nothing/{verb}", body)
for verb, body in (("stop", None), ("pause", None), ("unpause", None), ("kill", None), ("restart", None)):
    if verb != "restart":
        check("POST", f"{INSTANCE}/{verb}", 409, f"/v1/instances/web/{verb}?wait=30", body, name=f"{verb} of one that is stopped")
check("POST", f"{INSTANCE}/start", 202, "/v1/instances/web/start")
check("GET", "/v1/operations", 200, "/v1/operations?instance=web&limit=1")
check("POST", f"{INSTANCE}/resize", 400, "/v1/instances/web/resize", {"image": "x"})
check("POST", f"{INSTANCE}/resize", 400, "/v1/instances/web/resize", {})
for method, status, more, body in (("GET", 501, "", None), ("POST", 400, "", {"port": "p,bridge=b"}), ("DELETE", 404, "?port=p", None)):
    check(method, f"{INSTANCE}/ports", status, f"/v1/instances/web/ports{more}", body, name=f"{method}: ports without a plugin that wires them")
until(lambda: not world.running_operations(), "the start to be over")
check("POST", f"{INSTANCE}/commit", 200, "/v1/instances/web/commit?wait=30", {"image": "pullable-made:1", "pause": False})
check("POST", f"{INSTANCE}/commit", 400, "/v1/instances/web/commit", {"image": "NO"})
check("POST", f"{INSTANCE}/commit", 400, "/v1/instances/web/commit", {"picture": "x"})
check("POST", f"{INSTANCE}/kill", 400, "/v1/instances/web/kill", {"signal": "NOPE"})
check("POST", f"{INSTANCE}/stop", 400, "/v1/instances/web/stop", {"grace": "soon"})
check("DELETE", INSTANCE, 409, "/v1/instances/web?wait=30", name="remove one that runs")
check("GET", INSTANCE + "/decisions", 200, "/v1/instances/web/decisions?limit=3")
check("DELETE", INSTANCE, 200, "/v1/instances/web?force=true&wait=30")
check("DELETE", INSTANCE, 202, "/v1/instances/job")
check("DELETE", INSTANCE, 404, "/v1/instances/nothing")
decisions = check("GET", INSTANCE + "/decisions", 200, f"/v1/instances/{instance['id']}/decisions", name="decisions on one that is gone")
ok(decisions["decisions"], "are kept")
check("GET", "/v1/decisions/{id}", 200, f"/v1/decisions/{decisions['decisions'][0]['id']}")
check("GET", "/v1/decisions/{id}", 404, "/v1/decisions/999999")
MATRIX = "/v1/decisions/{id}/matrix"
placed = next(decision for decision in decisions["decisions"] if decision["verb"] == "spawn")
matrix = check("GET", MATRIX, 200, f"/v1/decisions/{placed['id']}/matrix")
equal((matrix.get("exact"), matrix.get("node")), (True, placed["node"]), "the matrix of a placement")
equal(check("GET", MATRIX, 200, f"/v1/decisions/{decisions['decisions'][0]['id']}/matrix")["exact"], False, "what placed nothing has none")
check("GET", MATRIX, 404, "/v1/decisions/999999/matrix")
check("GET", MATRIX, 400, "/v1/decisions/x/matrix")

until(lambda: any(e["kind"] == "instance.removed" and e["name"] == "job" for e in world.events()), "the removal of job to be told")
events = check("GET", "/v1/events", 200)
equal([e["sequence"] for e in events], list(range(1, len(events) + 1)), "events are in one sequence")
equal(check("GET", "/v1/events", 200, f"/v1/events?after={len(events) - 1}")[0]["sequence"], len(events), "after one")
equal({e["instance"] for e in check("GET", "/v1/events", 200, f"/v1/events?instance={instance['id']}")}, {instance["id"]}, "of one instance")
text = check("GET", "/v1/events", 200, "/v1/events", headers={"Accept": "text/event-stream"}, name="events as server-sent events").decode()
equal(re.findall(r"^id: (\d+)$", text, re.M), [str(e["sequence"]) for e in events], "have their sequence as id")
equal(check("GET", "/v1/health", 200)["last_event"], len(events), "health names the last event")
os.makedirs(os.path.join(os.path.dirname(world.store), "recordings"))
with open(os.path.join(os.path.dirname(world.store), "recordings/20260101T000000Z-1.cast"), "w") as file:
    file.write('{"version":2,"width":80,"height":24,"gantry":{"id":"20260101T000000Z-1","instance":"x","name":"web","verb":"attach","actor":"uid:0",'
               '"decision":1,"input":false,"at":"2026-01-01T00:00:00.000Z"}}\n')
equal(len(check("GET", "/v1/recordings", 200)["recordings"]), 1, "a recording")
check("GET", "/v1/recordings/{id}", 200, "/v1/recordings/20260101T000000Z-1")
check("GET", "/v1/recordings/{id}", 404, "/v1/recordings/nothing")
check("GET", "/v1/events", 400, "/v1/events?after=x")

check("GET", "/v1/nodes", 200)
check("GET", "/v1/nodes/{name}", 200, "/v1/nodes/local")
check("GET", "/v1/nodes/{name}", 404, "/v1/nodes/nothing")
check("GET", "/v1/nodes/{name}/images", 200, "/v1/nodes/local/images")
check("GET", "/v1/nodes/{name}/images", 404, "/v1/nodes/nothing/images")
check("POST", "/v1/nodes/{name}/images", 200, "/v1/nodes/local/images?wait=30", {"image": "pullable:3"})
check("POST", "/v1/nodes/{name}/images", 202, "/v1/nodes/local/images", {"image": "pullable:4"})
check("POST", "/v1/nodes/{name}/images", 404, "/v1/nodes/local/images?wait=30", {"image": "missing:3"})
check("POST", "/v1/nodes/{name}/images", 400, "/v1/nodes/local/images", {"image": "x", "y": 1})
check("GET", "/v1/images", 200)
archive = check("GET", "/v1/images/{name}/archive", 200, "/v1/images/base%3Alatest/archive?node=local")
check("GET", "/v1/images/{name}/archive", 404, "/v1/images/missing%2Fx/archive")
check("POST", "/v1/images", 200, "/v1/images?name=pullable%3A5", archive)
check("POST", "/v1/images", 400, "/v1/images", archive[:2000])
check("DELETE", "/v1/images/{name}", 200, "/v1/images/pullable%3A5?wait=30")
check("DELETE", "/v1/images/{name}", 202, "/v1/images/pullable%3A3")
check("DELETE", "/v1/images/{name}", 404, "/v1/images/pullable%3A9?wait=30")
check("GET", "/v1/policies", 200)
check("POST", "/v1/policies/reload", 200)
allowed = check("POST", "/v1/policies/eval", 200, None, {"spec": {"image": "x"}})
equal((allowed["decision"]["allowed"], "id" in allowed["decision"]), (True, False), "eval allows, and stores nothing")
refused = check("POST", "/v1/policies/eval", 200, None, {"spec": {"image": "refused"}, "verb": "spawn", "actor": "uid:7", "project": "p"}, name="eval of what is refused")
equal((refused["decision"]["allowed"], refused["decision"]["actor"]), (False, "uid:7"), "eval refuses")
check("POST", "/v1/policies/eval", 400, None, {"spec": {"image": "x", "memory": "lots"}})

for method, target, status in (("PUT", "/v1/health", 405), ("POST", "/v1/health", 405), ("GET", "/v1/nothing", 404), ("GET", "/", 404)):
    answer = ask(world.socket, method, target)
    equal((answer.status, answer.headers["Content-Type"].split(";")[0], contract.check("#/components/schemas/Problem", answer.json, "$")),
         (status, "application/problem+json", []), f"{method} {target}: a problem document")
    if status == 405:
        equal(answer.headers["Allow"], "GET", "with Allow")

equal(sorted({o["operationId"] for o in operations.values()} - set(seen)), [], "every route was asked")
wanted = {f"{o['operationId']} {status}" for o in operations.values() for status in o["responses"] if status != "default"}
equal(sorted(wanted - {f"{name} {status}" for name, statuses in seen.items() for status in statuses}
            - {f"instance{verb} 202" for verb in ("Stop", "Restart", "Pause", "Unpause", "Kill", "Resize", "Commit")}
            - {f"port{verb} {status}" for verb in ("List", "Attach", "Detach") for status in (200, 202)}), [], "every success it names was seen")
equal(world.stop(), 0, "gantryd ends well")

# a plugin that offers next to nothing
bare = World(engine=False, nodes='["bare"] = { plugin = "skeleton" }')
bare.start(up=False)
answer = bare.get("/v1/nodes/bare/images")
equal((answer.status, answer.json["detail"]), (501, "node bare offers no images"), "images of a node that offers none")
equal(bare.get("/v1/images").json, {"images": [], "unreachable": []}, "among those of all nodes it is passed over")
equal(bare.stop(), 0, "gantryd ends well")
done()
