#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Logs whose files are not on this host, from the engine's log endpoint: one read however many followers, the same
cursors over reconnects and lives of gantryd, gaps, and a disk that is full."""
import glob
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *
from small_disk import SmallDisk

world = World()
disk = SmallDisk.under_store(world)
world.start()
lines = world.log_lines


def begin(name, **spec):
    equal(world.spawn(name=name, **spec).status, 201, f"{name} runs")
    return world.instance(name)["container_id"]


def write(id, text, stream=1):
    equal(world.engine.ask("POST", "/fake/write", {"id": id, "stream": stream, "text": text}).status, 200, f"{text[:20]!r} is written")


def path(name, **query):
    return f"/v1/instances/{name}/logs?" + "&".join(f"{key}={value}" for key, value in query.items())


def take(stream, count):
    return [stream.json() for _ in range(count)]


def seen(found):
    return [(line["cursor"].split(".")[1], line.get("text", "GAP")) for line in found]


# what there is, and what comes
id = begin("far")
equal(lines("far"), [], "nothing was printed")
write(id, "one\n")
write(id, "two\n", 2)
found = lines("far")
equal([(line["cursor"], line["stream"], line["text"]) for line in found], [("1.1", "stdout", "one"), ("1.2", "stderr", "two")], "lines, streams and cursors")
equal((found[0]["time"], "lossy_source" in found[0]), ("2026-01-02T03:04:05.000000000Z", False), "with the engine's time")
followers = [world.stream(path("far", follow="true")) for _ in range(3)]
for follower in followers:
    equal(seen(take(follower, 2)), [("1", "one"), ("2", "two")], "a follower has what was there")
write(id, "three\n")
write(id, "3a\n")
write(id, "3b\n")
for follower in followers:
    equal(seen(take(follower, 3)), [("3", "three"), ("4", "3a"), ("5", "3b")], "and what comes, once")
calls = {call: count for call, count in world.engine.state()["calls"].items() if call.endswith("/logs")}
ok(sum(calls.values()) <= 5, f"the engine was asked no more often for three of them ({calls})")
equal(world.instance("far")["log_source"], "endpoint", "where it is read is said")
for follower in followers[1:]:
    follower.close()

# what comes while what came before is written
burst = begin("burst")
follower = world.stream(path("burst", follow="true"))
for number in range(60):
    for part in "abc":
        write(burst, f"{number}{part}\n")
    got = [line["text"] for line in take(follower, 3)]
    if got != [f"{number}{part}" for part in "abc"]:
        equal(got, number, "three in a row, each once")
follower.close()

# the connection breaks; gantryd is killed
world.engine.ask("POST", "/fake/restart", {"down_ms": 50})
until(lambda: os.path.exists(world.engine.socket), "the engine to be back")
write(id, "four\n")
equal(seen(take(followers[0], 1)), [("6", "four")], "over a break of the engine's connections: no repeat, none missing")
cursor = "1.5"
world.kill()
write(id, "five\n")
world.start()
until(lambda: world.state("far") == "running", "the instance to be known")
equal(seen(lines("far", after=cursor)), [("6", "four"), ("7", "five")], "and after gantryd was killed, behind a cursor")
equal(len(lines("far")), 7, "each line once")

# the engine drops what nobody had read
write(id, "dropped\n")
equal(world.engine.ask("POST", "/fake/drop-log", {"id": id}).status, 200, "the engine drops all")
write(id, "after\n")
found = lines("far", after="1.6")
equal([text for _, text in seen(found)], ["five", "GAP", "after"], "a gap where the engine had dropped lines")
has(found[1]["gap"]["why"], "nobody knows how many", "which says so")
ok(int(seen(found)[2][0]) == 1_000_000_001, "behind it the sequence goes on at a greater number")
equal(seen(lines("far", after="1.6")), seen(found), "the same to who asks again")

# to the end of the process, and over a start
follower = world.stream(path("far", follow="true", tail=1))
equal([text for _, text in seen(take(follower, 2))], ["GAP", "after"], "a follower of the last line, with the gap in front of it")
world.engine.ask("POST", "/fake/exit", {"id": id, "code": 0})
until(lambda: world.state("far") == "stopped", "the end")
equal((follower.rest(), follower.ended), ([], True), "ends with the process")
equal(world.post(f"/v1/instances/far/start?wait={LIMIT}").status, 200, "started again")
follower = world.stream(path("far", follow="true", tail=0))
follower_two = world.stream(path("far", follow="true", tail=0))
until(lambda: len(world.engine.state()["containers"]) > 0, "the engine")
write(id, "second run\n")
equal(follower.json()["text"], "second run", "is followed again")

# a removal ends it; what was read stays, and what came since
before = seen(lines("far"))
folder = os.path.join(os.path.dirname(world.store), "logs", world.instance("far")["id"])
ok(glob.glob(folder + "/output*"), "what was read is kept beside the store")
world.delete(f"/v1/instances/far?force=true&wait={LIMIT}")
equal((follower.rest(), follower.ended), ([], True), "a removal ends a follower")
equal(seen(lines("far")), before, "its lines are there after it")

# also where the engine answers none of the reads that its end asks for
id = begin("vanishing")
write(id, "last words\n")
followers = [world.stream(path("vanishing", follow="true")) for _ in range(2)]
for follower in followers:
    equal(follower.json()["text"], "last words", "is followed")
world.engine.fault("GET /*/logs*", "500")
world.delete(f"/v1/instances/vanishing?force=true&wait={LIMIT}")
for follower in followers:
    equal((follower.rest(), follower.ended), ([], True), "a removal ends a follower whose log cannot be read any more")
world.engine.clear()

# json-file replaces bytes, wherever it is read
id = begin("lossy", log={"driver": "json-file"})
write(id, "x\n")
equal(lines("lossy")[0].get("lossy_source"), True, "lossy_source is said of json-file")

# a disk that is full
if disk.mounted:
    follower = world.stream(path("lossy", follow="true"))
    follower.json()
    disk.fill()
    write(id, "while it is full\n")
    world.stream(path("lossy")).close()
    disk.empty()
    equal(follower.json(limit=30)["text"], "while it is full", "a disk that was full: what was not written is read again")
    equal([line["text"] for line in lines("lossy")], ["x", "while it is full"], "once")
else:
    skip(2, "no small tmpfs")
equal(world.stop(), 0, "gantryd ends in order")
done()
