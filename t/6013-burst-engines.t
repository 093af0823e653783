#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A burst of 300 over eight equal nodes with the shipped policies, whose engines answer slowly, each in its own time:
even, though most are chosen while others are under way; and one engine that dies in the middle of it. Then the window of
starts of one engine, which follows the time that these take."""
import collections
import os
import queue
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from command import Command
from daemon import *

NAMES = [f"n{i}" for i in range(8)]
COUNT, IN_FLIGHT, DIES, AFTER = 300, 48, "n3", 100


def slow_world():
    world = World(policies="shipped", engines=NAMES).start()
    for number, engine in enumerate(world.engines.values()):
        engine.fault("POST /containers/create", "delay", ms=10 * number)
        engine.fault("POST /containers/*/start", "delay_after", ms=150 - 15 * number)
    return world


def burst(world, meanwhile=None, count=COUNT, prefix="b"):
    """Spawns with many in flight; the answers. meanwhile is called once when AFTER of them are answered."""
    todo, answers = queue.SimpleQueue(), []
    for number in range(count):
        todo.put(f"{prefix}{number}")

    def work():
        while True:
            try:
                name = todo.get_nowait()
            except queue.Empty:
                return
            answers.append(ask(world.socket, "POST", f"/v1/instances?wait={LIMIT * 2}",
                               {"name": name, "image": "busybox", "command": ["sleep", "1000"], "memory": "32MiB"}))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(IN_FLIGHT)]
    for thread in threads:
        thread.start()
    if meanwhile:
        until(lambda: len(answers) >= AFTER, f"{AFTER} answers", LIMIT * 2)
        meanwhile()
    for thread in threads:
        thread.join()
    return answers


def placed(answers):
    return collections.Counter(a.json["result"]["node"] for a in answers if a.status == 201)


def statuses(answers):
    return dict(collections.Counter(a.status for a in answers))


def held(world):
    """How many containers of ours each engine has."""
    return {name: len(engine.containers(world.owner)) for name, engine in world.engines.items()}


world = slow_world()
answers = burst(world)
equal(statuses(answers), {201: COUNT}, "slow engines: all are spawned")
counts = placed(answers)
equal((len(counts), min(counts.values()), max(counts.values())), (8, 37, 38), "within one instance of even")
equal(held(world), dict(counts), "and the engines have as many")
world.settled("slow engines")
equal(world.stop(), 0, "an orderly end")

world = slow_world()
answers = burst(world, lambda: world.engines[DIES].ask("POST", "/fake/restart", {"down_ms": 20000}))
counts = placed(answers)
equal(statuses(answers), {201: COUNT}, "an engine dies in the middle: all are spawned")
if world.get(f"/v1/nodes/{DIES}").json["state"] != "up":
    others = [count for name, count in counts.items() if name != DIES]
    ok(max(others) - min(others) <= 1, f"its share went to the others, within one of even ({dict(counts)})")
    ok(counts[DIES] < min(others), "and it has no more than it had")
else:
    skip(2, "the burst took longer than the engine was away")
again = [a for a in answers if a.status == 201 and len(a.json.get("tries", ())) > 0]
diag(f"{len(again)} were begun on another node first")
until(lambda: world.get(f"/v1/nodes/{DIES}").json["state"] == "up", "the engine to be back", LIMIT * 3)
world.settled("the engine is back: nothing is there twice, nothing is left over")
equal(held(world), dict(counts), "each engine has what was said")
equal(world.stop(), 0, "an orderly end")

# the window of starts of an engine: wider while each takes as long as the others, narrower once it takes longer
world = World().start()
engine, command = world.engine, Command("unix://" + world.socket)
starts = [world.get("/v1/nodes/local").json["starts"]]
FLAT_MS = 400 if os.environ.get("VG") or os.environ.get("SAN") else 100  # long beside what a busy machine adds
for what, delay_ms, count in (("flat", FLAT_MS, 100), ("slow", 6 * FLAT_MS, 30)):
    engine.fault("POST /containers/*/start", "delay_after", ms=delay_ms)
    equal(statuses(burst(world, count=count, prefix=what)), {201: count}, f"{count} starts of {delay_ms} ms")
    engine.clear()
    starts.append(world.get("/v1/nodes/local").json["starts"])
narrow, wide, halved = (one["width"] for one in starts)
ok(wide > narrow, f"a time that stays flat makes the window wider ({narrow}, {wide})")
ok(halved <= wide // 2, f"one that rises makes it half as wide, or less ({wide}, {halved})")
ok(starts[2]["mean_us"] > 5000 * FLAT_MS, f"the mean of the last starts is told ({starts[2]['mean_us']} us)")
has(command("node", "show", "local").out, f"  width              {halved}\n", "node show has the width")
equal(world.stop(), 0, "an orderly end")
done()
