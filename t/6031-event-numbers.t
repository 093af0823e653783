#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Numbers of events are not given twice: not where events were told that a full disk did not take, nor after a power loss."""
import os
import sqlite3
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *
from small_disk import SmallDisk


def toggle(world, times):
    """Pauses and unpauses the instance by somebody else: two events each time, which the API tells."""
    id = world.instance("web")["container_id"]
    told = lambda: sum(e["kind"] in ("instance.paused", "instance.unpaused") for e in world.events())
    before = told()
    for _ in range(times):
        for verb, state in (("pause", "paused"), ("unpause", "running")):
            world.engine.ask("POST", f"/containers/{id}/{verb}")
            until(lambda: world.state("web") == state, f"{verb} to be heard of")
    until(lambda: told() >= before + 2 * times, "all of it to be told")


# --- the disk is full ---
world = World()
disk = SmallDisk.under_store(world)
if not disk.mounted:
    skip(1, "a small tmpfs cannot be mounted here")
else:
    world.start()
    equal(world.spawn(name="web").status, 201, "an instance runs")
    disk.fill()
    while "what happened could not be recorded" not in open(world.log).read():
        toggle(world, 1)
    toggle(world, 5)
    last = world.events()[-1]["sequence"]
    ok(True, f"events up to {last} were told")
    world.kill()
    disk.empty()
    world.start()
    toggle(world, 2)
    since = lambda: [e["kind"] for e in world.events(after=last) if e.get("name") == "web"][-4:]
    until(lambda: since() == ["instance.paused", "instance.unpaused"] * 2, "what happened since to be among them")
    news = world.events(after=last)
    equal([e["sequence"] for e in news], list(range(last + 1, last + 1 + len(news))), "the next ones have numbers of their own, all are told")
    everything = world.events()
    numbers = [e["sequence"] for e in everything if e["kind"] != "gap"]
    ok(numbers == sorted(set(numbers)), "no number is there twice")
    committed = max(n for n in numbers if n <= last)
    ok(committed < last, f"what was not recorded is not there any more: {committed + 1} to {last}")
    gap = world.events(after=committed)[0]
    equal((gap["kind"], gap.get("from"), gap.get("to")), ("gap", committed + 1, last), "and who has not seen it is told that it is missing")
    equal(world.stop(), 0, "an orderly end")
    world.start()
    first = until(lambda: world.events(after=numbers[-1]), "the node to be up")[0]["sequence"]
    equal(first, numbers[-1] + 1, "after that numbers go on as ever")
    equal(world.stop(), 0, "it ends well")

# --- the power is lost: the boot is another one, and the last commits may be gone ---
world = World().start()
equal(world.spawn(name="web").status, 201, "an instance runs")
toggle(world, 3)
last = until(lambda: len(events := world.events()) == 8 and events, "all to be committed")[-1]["sequence"]
world.kill()
with open(world.store + ".lock", "r+b") as file:
    record = file.read()
    boot = open("/proc/sys/kernel/random/boot_id", "rb").read().strip()
    equal(record.count(boot), 1, "the boot is noted beside the store")
    file.seek(record.index(boot))
    file.write(b"00000000-1111-4222-8333-444444444444")
world.start()
toggle(world, 1)
gap, *news = world.events(after=last)
ok(gap["kind"] == "gap" and gap["from"] == last + 1 and gap["to"] == news[0]["sequence"] - 1, "after a power loss what may be missing is told")
ok(news[0]["sequence"] > last + 100000, f"by numbers that were never given: {last}, {news[0]['sequence']}")
last = news[-1]["sequence"]
world.kill()
world.start()
toggle(world, 1)
equal(world.events(after=last)[0]["sequence"], last + 1, "a kill alone costs no number")
last = world.events()[-1]["sequence"]
equal(world.stop(), 0, "an orderly end")
ok(b"-" * 36 in open(world.store + ".lock", "rb").read(), "after an orderly end no boot is noted")
world.start()
equal(until(lambda: world.events(after=last), "the node to be up")[0]["sequence"], last + 1, "nor does that cost one")
equal(world.stop(), 0, "an orderly end")

# --- what is old ---
world = World(settings='keep_history = "1h"').start()
operation = world.spawn(name="web").json["id"]
toggle(world, 2)
last = until(lambda: (events := world.events()) and events[-1]["kind"] == "instance.unpaused" and len(events) == 6 and events, "all to be committed")[-1]["sequence"]
world.kill()
with sqlite3.connect(world.store) as store:
    store.execute("UPDATE events SET at_ms = at_ms - 3600000")
    store.execute("UPDATE operations SET changed_ms = changed_ms - 3600000")
store.close()
world.start()
until(lambda: (events := world.events()) and events[0]["sequence"] >= last and events, "events of before to be forgotten")  # the newest one holds the number
equal(until(lambda: [e for e in world.events() if e["kind"] == "node.up"], "the node to be up")[-1]["sequence"], last + 1, "what is older than keep_history goes, its numbers are not given again")
with sqlite3.connect(world.store) as store:
    until(lambda: not store.execute("SELECT id FROM operations WHERE id = ?", (operation,)).fetchall(), "the operation to go")
store.close()
ok(True, "so do operations")
equal(world.state("web"), "running", "but no instance")

done()
