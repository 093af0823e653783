#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A start whose command ends at once, and gantryd killed there: it is not started a second time, and one that was not is."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *

world = World()
number = 0


def starts():
    return world.engine.state()["calls"].get("POST /containers/ID/start", 0)


def crash(verb, when, mode, flood):
    """Kills gantryd at the start of one that has run before; what became of it."""
    global number
    number += 1
    name = f"i{number}"
    world.start()
    equal(world.spawn(name=name, command=["exit", "7"]).status, 201, f"{name} runs")
    until(lambda: world.state(name) == "stopped", "its exit")
    first = world.instance(name)["last_exit"]["at"]
    world.stop()
    world.start(crash_at=f"{verb}/start/{when}")
    before = starts()
    if mode:
        world.engine.fault("POST /containers/*/start", mode, ms=200)
    try:
        world.post(f"/v1/instances/{name}/{verb}?wait=10")
    except (OSError, http.client.HTTPException):
        pass  # it died
    world.died()
    world.engine.clear()
    if flood:
        world.engine.ask("POST", "/fake/event-flood", {"count": 300})
    world.start()
    until(lambda: not world.running_operations(), "the operation to end")
    until(lambda: world.state(name) == "stopped", "its exit to be told")
    what = f"{verb}, killed {when} its start{f' ({mode})' if mode else ''}{', events lost' if flood else ''}"
    instance = world.instance(name)
    equal((starts() - before, instance["boots"]), (1, 2), f"{what}: started once")
    equal(instance["last_exit"]["code"], 7, f"{what}: its exit is known")
    ok(instance["last_exit"]["at"] > first, f"{what}: and is the new one")
    kinds = [e["kind"] for e in world.events() if e.get("name") == name]
    equal((kinds.count("instance.started"), kinds.count("instance.exited")), (2, 2), f"{what}: each is told once")
    world.settled(what)
    world.stop()


for verb in ("start", "restart"):
    for flood in (False, True):
        crash(verb, "before", None, flood)
        crash(verb, "during", "delay_after", flood)
        crash(verb, "after", None, flood)
done()
