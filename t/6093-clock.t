#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The host's clock is set back an hour, and ahead, under gantryd and its engine: waits, back-offs, durations, retries."""
import glob
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *

HOOK = """
return {
  restart = function(instance, exit)
    return tonumber(instance.labels.after) or 0, exit.ran < 60 and "it ran for less than a minute" or "it ran for long"
  end,
}
"""
HOUR_MS = 3600 * 1000
world = World({"50-restart.lua": HOOK})
clock = os.path.join(world.folder, "clock")
library = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")[0]
# the wall clock alone; the file is read at each question
FAKED = ["env", f"LD_PRELOAD={library}", f"FAKETIME_TIMESTAMP_FILE={clock}", "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1",
         "NO_FAKE_STAT=1", f"ASAN_OPTIONS=verify_asan_link_order=0:{os.environ.get('ASAN_OPTIONS', '')}"]


def set_clock(hours):
    """Of the host: gantryd's and the engine's."""
    with open(clock + ".new", "w") as file:
        file.write(f"{hours:+d}h")
    os.rename(clock + ".new", clock)
    world.engine.ask("POST", "/fake/clock", {"ahead_ms": hours * HOUR_MS})


def spawn(name, **labels):
    equal(world.spawn(name=name, labels=labels).status, 201, f"{name} runs")


def die(name):
    world.engine.ask("POST", "/fake/exit", {"id": world.instance(name)["container_id"], "code": 3})


def ran_ms(name):
    return world.get(f"/v1/instances/{name}").json["last_exit"]["ran_ms"]


def planned(name):
    return [e for e in world.events() if e["kind"] == "instance.restart_planned" and e.get("name") == name]


set_clock(0)
world.start(wrap=FAKED)
for hours, what in ((-1, "back"), (1, "ahead")):
    set_clock(0)
    began = time.monotonic()
    spawn(f"web{what}")
    set_clock(hours)
    shown = world.get(f"/v1/instances/web{what}").json
    equal(shown["state"], "running", f"{what}: what runs goes on")
    die(f"web{what}")
    until(lambda: world.instance(f"web{what}").get("restarts") == 1 and world.state(f"web{what}") == "running", f"{what}: the restart")
    ok(0 < ran_ms(f"web{what}") <= (time.monotonic() - began) * 1000, f"{what}: it ran for as long as it ran, not an hour more or less")
    equal(planned(f"web{what}")[0]["reason"], "it ran for less than a minute", f"{what}: and the hook was told so")
    began = time.monotonic()
    world.post(f"/v1/instances/web{what}/stop?wait={LIMIT}", {"grace": "1s"})
    spawn(f"more{what}")
    ok(time.monotonic() - began < LIMIT, f"{what}: stop and spawn take no hour")
    timings = world.get(f"/v1/instances/more{what}").json
    world.engine.ask("POST", "/fake/restart", {"down_ms": 300 * SLOW})
    until(lambda: world.get("/v1/nodes/local").json["state"] != "up", f"{what}: the engine to be away")
    until(lambda: world.get("/v1/nodes/local").json["state"] == "up", f"{what}: and tried again in time")
    world.settled(f"clock set {what}")

# a back-off that was planned before the clock went back, and gantryd is killed in it
set_clock(0)
spawn("later", after="2")
die("later")
until(lambda: planned("later"), "the restart to be planned")
set_clock(-1)
world.kill()
world.start(wrap=FAKED)
until(lambda: world.instance("later").get("restarts") == 1 and world.state("later") == "running", "the restart: it is put off for two seconds at most")
sequences = [e["sequence"] for e in world.events()]
equal(sequences, sorted(set(sequences)), "the events are in their order, whatever their times say")
world.settled("back in the back-off")
equal(world.stop(), 0, "an orderly end")
done()
