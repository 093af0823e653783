#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A store that is full, deleted, cut short, damaged, too new or in use: what runs goes on, and the reason is clear."""
import os
import re
import shutil
import sqlite3
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *
from small_disk import SmallDisk


def refused(world, what, *parts):
    """gantryd does not start, and says all the parts."""
    run = subprocess.run([os.path.join(BUILD, "gantryd"), "--config", world.config], capture_output=True, text=True,
                         timeout=LIMIT)
    equal(run.returncode, 1, f"{what}: gantryd does not start")
    for part in parts:
        has(run.stderr, part, f"{what}: it says so")
    return run.stderr


def running(world):
    return sorted((c["Id"], c["State"]) for c in world.engine.containers(world.owner))


# --- the disk is full ---
world = World()
disk = SmallDisk.under_store(world)
if not disk.mounted:
    skip(1, "a small tmpfs cannot be mounted here")
else:
    world.start()
    for name in ("a", "b", "c"):
        equal(world.spawn(name=name).status, 201, f"{name} runs")
    world.post("/v1/instances/b/pause?wait=10")
    before = running(world)
    states = {i["name"]: i["state"] for i in world.instances()}
    disk.fill()
    answer = world.spawn(name="over")
    for n in range(2000):  # what the files have of old pages may be used up first
        if answer.status != 201:
            break
        answer = world.spawn(name=f"over-{n}")
    equal(answer.status, 507, "a full disk: a spawn is refused with 507")
    has(answer.json["detail"], "the disk is full", "it says why")
    has(answer.json["detail"], world.store, "and where")
    for i in world.instances():
        if i["name"].startswith("over"):
            world.engine.ask("DELETE", f"/v1.41/containers/{i['container_id']}?force=1")
    until(lambda: running(world) == before, "the ones that got through to be away")
    for verb in ("stop", "kill", "restart"):
        equal(world.post(f"/v1/instances/a/{verb}?wait=10").status, 507, f"{verb} is refused, too")
    equal(world.post("/v1/instances/b/unpause?wait=10").status, 507, "and unpause")
    equal(world.post("/v1/instances/c/resize?wait=10", {"memory": "64MiB"}).status, 507, "and resize")
    equal(world.delete("/v1/instances/c?force=true&wait=10").status, 507, "and a removal")
    equal(running(world), before, "what runs is untouched")
    equal({i["name"]: i["state"] for i in world.instances() if i["name"] in states}, states, "the API says so")
    equal(world.get("/v1/health").status, 200, "gantryd answers")
    equal(world.get("/v1/operations?limit=5").status, 200, "and shows history")
    world.engine.ask("POST", "/fake/exit", {"id": world.instance("c")["container_id"], "code": 3})
    answer = world.get("/v1/instances/c/wait?timeout=10").json
    equal((answer["state"], answer["last_exit"]["code"]), ("stopped", 3), "an exit is told, though it cannot be recorded")
    disk.empty()
    equal(world.spawn(name="again").status, 201, "once there is room it works again")
    equal(world.post("/v1/instances/a/stop?wait=10").status, 200, "stop, too")
    world.settled("after the disk was full")
    world.kill()
    world.start()
    until(lambda: world.state("c") == "stopped", "the exit to be found again")
    world.settled("after the disk was full and a kill -9")
    equal(world.stop(), 0, "it ends well")

# --- the store cannot be read ---
world = World().start()
equal(world.spawn(name="web").status, 201, "an instance runs")
decision = world.get("/v1/instances/web/decisions").json["decisions"][0]["id"]
with sqlite3.connect(world.store) as store:
    for table in ("operations", "decisions"):
        store.execute(f"ALTER TABLE {table} RENAME TO {table}_away")
store.close()
for target in ("/v1/operations", "/v1/operations/00000000-0000-4000-8000-000000000000", f"/v1/decisions/{decision}",
               "/v1/instances/web/decisions"):
    answer = world.get(target)
    equal((answer.status, answer.json["title"]), (500, "Store failed"), f"{target}: it is not said to be the engine's")
    has(answer.json["detail"], f"store {world.store}", "the store is named")
equal(world.state("web"), "running", "what runs is told all the same")
world.kill()

# --- the store is deleted ---
world = World(policies={"10-set.lua": 'return { resources = function(req, res) return { pids = 77 } end }'})
world.start()
spec = {"name": "web", "project": "red", "image": "busybox", "command": ["sleep", "7"], "labels": {"tier": "front"},
        "memory": "64MiB", "cpus": 1.5, "environment": ["A=1"], "mounts": ["data:/data:ro"], "ports": ["8080:80"],
        "stop_grace": "3s", "hostname": "www", "ulimits": ["nofile=100:200"]}
equal(world.post("/v1/instances?wait=10", spec).status, 201, "an instance with a long spec")
world.post("/v1/instances/web/resize?wait=10", {"memory": "96MiB", "pids": 55})
world.spawn(name="done", command=["exit", "9"])
world.get("/v1/instances/done/wait?timeout=10")
world.spawn(name="held")
world.post("/v1/instances/held/pause?wait=10")
first = world.post("/v1/instances?wait=10", {"name": "once", "image": "busybox"},
                   {"Content-Type": "application/json", "Idempotency-Key": "k"}).json
before = {i["name"]: i for i in world.instances()}
events = len(world.events())
world.stop()
world.forget()
world.start()
after = {i["name"]: i for i in world.instances()}
equal(sorted(after), sorted(before), "the store deleted: all instances are there")
for key in ("id", "name", "project", "state", "generation", "image", "container_id", "node", "labels"):
    equal({n: i.get(key) for n, i in after.items()}, {n: i.get(key) for n, i in before.items()}, f"with {key}")


def without_values(instance):
    spec = dict(instance["spec"])
    spec["environment"] = [e["name"] if isinstance(e, dict) else e.partition("=")[0] for e in spec.get("environment", [])]
    return spec


for name in before:
    equal(without_values(after[name]), without_values(before[name]), f"{name}: with its spec, limits as they are now")
equal((after["web"]["spec"]["memory"], after["web"]["spec"]["pids"]), (96 << 20, 55), "limits that were changed are the changed ones")
equal(after["done"]["last_exit"]["code"], 9, "with the last exit")
equal({n: i["intent"] for n, i in after.items()},
      {"web": "running", "done": "stopped", "held": "running", "once": "running"}, "intent is what it does")
equal(world.get("/v1/operations").json["operations"], [], "operations are lost")
ok(len(world.events()) < events, "as are events")
check = next(c for c in world.get("/v1/doctor").json["checks"] if c["name"] == "store")
equal(check["status"], "warn", "doctor warns")
for word in ("4 instances", "events", "decisions", "operations", "idempotency keys", "intents"):
    has(check["detail"], word, "and says what is lost")
found = [e["name"] for e in world.events() if e["kind"] == "instance.found"]
equal(sorted(found), sorted(before), "each is told as found")
for name in before:
    equal(world.delete(f"/v1/instances/{name}?force=true&wait=10").status, 200, f"{name} can be worked with")
equal(world.engine.containers(world.owner), [], "nothing is left")
world.spawn(name="next")
world.stop()
world.start()
check = next(c for c in world.get("/v1/doctor").json["checks"] if c["name"] == "store")
equal(check["status"], "ok", "after one more start doctor is content")

# --- and deleted while it is used ---
world.forget()
answer = world.spawn(name="lost")
equal(answer.status, 500, "the store deleted while gantryd uses it: a spawn is refused")
has(answer.json["detail"], "restart gantryd", "it says what to do")
equal(world.state("next"), "running", "what runs goes on")
equal(world.stop(), 0, "it can be stopped")
world.start()
equal(world.state("next"), "running", "and started: all is rebuilt")
equal(world.spawn(name="found").status, 201, "and works")

# --- the log of the store is cut short (as by a loss of power) ---
def cut(keep):
    """The share of the WAL that is left."""
    path = world.store + "-wal"
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        file.truncate(int(size * keep))
    if os.path.exists(world.store + "-shm"):
        os.unlink(world.store + "-shm")


for keep in (0.9, 0.5, 0.1, 0.0):
    for n in range(5):
        world.spawn(name=f"w{int(keep * 100)}-{n}")
    world.post(f"/v1/instances/w{int(keep * 100)}-0/stop?wait=10")
    world.delete(f"/v1/instances/w{int(keep * 100)}-1?force=true&wait=10")
    world.kill()
    cut(keep)
    world.start()
    until(lambda: not world.running_operations(), "operations to end")
    # a removal that is forgotten, be it one of the round before, looks like one by somebody else: the instance is in sight as failed
    forgotten = [i for i in world.instances() if i["name"].startswith("w") and i["name"].endswith("-1")]
    for i in forgotten:
        equal((i["state"], world.delete(f"/v1/instances/{i['id']}?wait=10").status), ("failed", 200), "a forgotten removal")
    world.settled(f"the WAL cut to {keep * 100:.0f} %")
    names = {i["name"] for i in world.instances()}
    equal({f"w{int(keep * 100)}-{n}" for n in (0, 2, 3, 4)} - names, set(), "no instance is lost")
    equal(world.spawn(name=f"after-{int(keep * 100)}").status, 201, "and it works")

world.kill()
with open(world.store + "-wal", "r+b") as file:
    file.seek(os.path.getsize(world.store + "-wal") // 2)
    file.write(os.urandom(4096))
world.start()
until(lambda: not world.running_operations(), "operations to end")
world.settled("garbage in the WAL")
last = world.events()[-1]["sequence"]
world.post("/v1/instances/next/pause?wait=10")
ok(world.events(after=last), "events go on")

# --- a second gantryd, a newer schema, a damaged file, another's file ---
second = os.path.join(world.folder, "second.lua")
with open(world.config) as file:
    text = file.read()
with open(second, "w") as file:
    file.write(text.replace("gantry.sock", "second.sock"))
run = subprocess.run([os.path.join(BUILD, "gantryd"), "--config", second], capture_output=True, text=True, timeout=LIMIT)
equal(run.returncode, 1, "a second gantryd on the same store is refused")
has(run.stderr, "another gantryd", "it says why")
has(run.stderr, f"process {world.daemon.pid}", "and which")
equal(world.spawn(name="first-goes-on").status, 201, "the first one goes on")
with open(second, "w") as file:
    file.write(text.replace("gantry.db", "second.db"))
run = subprocess.run([os.path.join(BUILD, "gantryd"), "--config", second], capture_output=True, text=True, timeout=LIMIT)
equal(run.returncode, 1, "one on the same socket, too")
has(run.stderr, world.socket, "it says which")
equal(world.get("/v1/health").status, 200, "the first one still answers there")

equal(world.stop(), 0, "it ends well")
shutil.copy(world.store, world.store + ".good")
with sqlite3.connect(world.store) as store:
    version = store.execute("PRAGMA user_version").fetchone()[0]
    store.execute("PRAGMA user_version = 99")
store.close()
refused(world, "a newer schema", "version 99", f"knows up to {version}", world.store)
shutil.copy(world.store + ".good", world.store)
with open(world.store, "r+b") as file:
    file.seek(4096)
    file.write(os.urandom(8192))
refused(world, "a damaged file", "damaged", "move the file", world.store)
with open(world.store, "wb") as file:
    file.write(b"this is no database, but somebody's diary\n" * 100)
refused(world, "a file that is no database", world.store)
os.unlink(world.store)
with sqlite3.connect(world.store) as store:
    store.execute("CREATE TABLE diary (day TEXT)")
store.close()
refused(world, "a database of another program", "another program", world.store)
os.unlink(world.store)
os.mkdir(world.store)
refused(world, "a folder in its place", world.store)
os.rmdir(world.store)
shutil.copy(world.store + ".good", world.store)
world.start()
equal(world.state("next"), "paused", "the good one is taken again")
equal(world.stop(), 0, "it ends well")


# --- the key of hashes is damaged ---
def secret_key(value=None):
    with sqlite3.connect(world.store) as store:
        if value is not None:
            store.execute("UPDATE facts SET value = ? WHERE name = 'secret_key'", [value])
        key = store.execute("SELECT value FROM facts WHERE name = 'secret_key'").fetchone()[0]
    store.close()
    return key


def key_checks():
    return [c["status"] for c in world.get("/v1/doctor").json["checks"] if c["name"] == "secret key"]


good = secret_key()
for number, damaged in enumerate((good[:40], "z" * 32 + good[32:], ""), 1):
    secret_key(damaged)
    world.start()
    equal(key_checks(), ["warn"], f"doctor tells of a key of {len(damaged)} characters")
    equal(open(world.log).read().count(f"the secret key in {world.store} is damaged"), number, "the log, too")
    equal(world.stop(), 0, "it ends well")
    made = secret_key()
    ok(re.fullmatch("[0-9a-f]{64}", made) and made != good, "a whole one was made")
    world.start()
    equal(key_checks(), [], "at the next start it is an old story")
    equal(world.stop(), 0, "it ends well")
    equal(secret_key(), made, "and the key is kept")
done()
