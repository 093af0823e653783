#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The stream of events: resumed over reconnects and restarts, filtered, slow, pruned; no gap, no repeat."""
import os
import sqlite3
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *

world = World().start()
get = world.get


def toggle(name, times):
    for _ in range(times):
        world.post(f"/v1/instances/{name}/pause?wait=10")
        world.post(f"/v1/instances/{name}/unpause?wait=10")


def in_order(sequences, first, what):
    """first, first + 1, … with none left out and none twice."""
    return equal(sequences, list(range(first, first + len(sequences))), what)


equal(world.spawn(name="a").status, 201, "an instance")
kinds = [e["kind"] for e in world.events() if e.get("name") == "a"]
equal(kinds, ["instance.started"], "its start is told")
before = world.events()
in_order([e["sequence"] for e in before], 1, "sequences begin at 1, none is left out")
started = before[-1]
ok(started["instance"] and started["name"] == "a" and started["node"] == "local" and started["operation"],
   "an event names instance, node and operation")

# --- follow ---
follow = world.stream("/v1/events?follow=true")
has(follow.head, "application/x-ndjson", "a follow is NDJSON")
world.post("/v1/instances/a/pause?wait=10")
event = follow.json(LIMIT)
equal((event["kind"], event["sequence"]), ("instance.paused", started["sequence"] + 1),
      "without after, only what is new comes")
slowest = 0
for _ in range(20):
    world.post("/v1/instances/a/unpause?wait=10")
    answered = time.monotonic()
    follow.json()
    slowest = max(slowest, time.monotonic() - answered)
    world.post("/v1/instances/a/pause?wait=10")
    follow.json()
ok(slowest < 0.05 * SLOW, f"a follower hears of it with the answer (at the latest {slowest * 1000:.1f} ms after)")
world.post("/v1/instances/a/unpause?wait=10")
last = follow.json()["sequence"]
follow.close()

# --- resumed, also from beyond what is in memory (256) ---
toggle("a", 150)
late = [e["sequence"] for e in world.events(after=last)]
in_order(late, last + 1, "resumed after a reconnect: no gap, no repeat")
ok(len(late) >= 300, "over more than is in memory")
everything = world.events()
in_order([e["sequence"] for e in everything], 1, "from the beginning, page by page from the store and on from memory")
follow = world.stream(f"/v1/events?follow=true&after={last}")
got = [follow.json()["sequence"] for _ in late]
toggle("a", 2)
got += [follow.json()["sequence"] for _ in range(4)]
in_order(got, last + 1, "a follow goes on from the store to memory to what is new")
last = got[-1]

world.kill()
ok(follow.line() is None and follow.cut, "a stream that was cut by kill -9 has no last chunk")
world.start()
until(lambda: world.state("a") == "running", "the instance to be known again")
toggle("a", 1)
after = world.events(after=last)
in_order([e["sequence"] for e in after], last + 1, "after kill -9 and a restart: no gap, no repeat")
equal([e["kind"] for e in after if e["kind"].startswith("instance.")], ["instance.paused", "instance.unpaused"],
      "with what happened since")
last = after[-1]["sequence"]
world.stop()
world.start()
until(lambda: world.state("a") == "running", "the instance to be known again")
toggle("a", 1)
after = world.events(after=last)
in_order([e["sequence"] for e in after], last + 1, "after an orderly restart as well")
equal(world.events(after=after[-1]["sequence"]), [], "nothing comes after the last one")
beyond = world.stream(f"/v1/events?follow=true&after={after[-1]['sequence'] + 1000}")
gap = beyond.json()
world.check("Event", gap, "gap")
equal((gap["kind"], gap["sequence"], gap["from"], gap.get("to")), ("gap", 0, after[-1]["sequence"] + 1001, None),
      "a sequence that is not reached yet (the store was lost) is a gap")
in_order([beyond.json()["sequence"] for _ in range(after[-1]["sequence"])], 1, "and all that is kept follows")
beyond.close()

# --- server-sent events ---
last = world.events()[-1]["sequence"]
sse = world.stream("/v1/events?follow=true", {"Accept": "text/event-stream", "Last-Event-ID": str(last - 2)})
has(sse.head, "text/event-stream", "server-sent events on demand")
lines = [sse.line() for _ in range(4)]
equal([lines[0], lines[2]], [f"id: {last - 1}", f"id: {last}"], "Last-Event-ID resumes, and each event has its id")
ok(all(line.startswith("data: {") for line in lines[1::2]), "with its data")
sse.close()
equal(get("/v1/events", {"Last-Event-ID": "soon"}).status, 400, "a Last-Event-ID that is no number is refused")

# --- one instance ---
world.spawn(name="b", labels={"x": "y"})
b = world.instance("b")["id"]
toggle("a", 1)
world.delete("/v1/instances/b?force=true&wait=10")
names = [json.loads(line)["name"] for line in world.stream("/v1/events?instance=a").rest()]
equal(set(names), {"a"}, "only those of one instance")
ok(len(names) > 300, "all of them")
kinds = [json.loads(line)["kind"] for line in world.stream(f"/v1/events?instance={b}").rest()]
equal(kinds, ["instance.started", "instance.exited", "instance.removed"], "and of one that is gone, by its id")
equal(get("/v1/events?instance=nobody").status, 404, "one that never was is 404")
filtered = world.stream("/v1/events?instance=a&follow=true")
world.spawn(name="c")
toggle("a", 1)
equal([filtered.json()["kind"] for _ in range(2)], ["instance.paused", "instance.unpaused"], "a filtered follow")
filtered.close()

# --- a slow follower ---
slow = world.stream("/v1/events?follow=true&after=0")
stuck = [world.stream("/v1/events?follow=true&after=0") for _ in range(10)]
before_kb = world.rss_kib()
toggle("a", 400)
after_kb = world.rss_kib()
if os.environ.get("SAN") or os.environ.get("VG"):
    skip(1, "a sanitizer keeps freed memory for a while: its figure says nothing")
else:
    ok(after_kb - before_kb < 4096, f"followers that do not read cost no memory ({after_kb - before_kb} kB more)")
count = world.events()[-1]["sequence"]
sequences = [slow.json()["sequence"] for _ in range(count)]
in_order(sequences, 1, "and get everything once they read")
for one in stuck + [slow]:
    one.close()
equal(get("/v1/health").json["status"], "ok", "closing them does no harm")

# --- history that is no longer kept ---
world.stop()
with sqlite3.connect(world.store) as store:
    store.execute("UPDATE events SET at_ms = 1000 WHERE sequence <= 500")
store.close()
world.start()
until(lambda: world.events()[0]["sequence"] > 500, "old events to be dropped")
kept = world.events(after=10)
equal((kept[0]["kind"], kept[0].get("from"), kept[0].get("to")), ("gap", 11, 500), "what is no longer kept is told as a gap")
in_order([e["sequence"] for e in kept], 500, "and goes on with what is")
equal([e["kind"] for e in world.events(after=500)][0] == "gap", False, "no gap where nothing is missing")
ok(world.events()[0]["kind"] != "gap", "nor where all that is kept was asked for")
equal(world.stop(), 0, "it ends well")

# --- nothing in memory: no node, so no event since the start ---
world.engine.stop()
world.start(up=False)
a = world.stream("/v1/events?instance=a")
equal({json.loads(line)["name"] for line in a.rest()}, {"a"}, "those of one instance with nothing in memory")
ok(a.ended, "end well")
equal(world.stop(), 0, "it ends well without an engine")
done()
