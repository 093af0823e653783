#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A real Docker Engine that restarts under running instances, in order and by a crash, with gantryd there and away:
each is started once again by the restart hook with its cause, and what is meant to be stopped stays so."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from docker import *
from daemon import *

HOOK = "return { restart = function(instance, exit) return 0, exit.cause end }"
RUN, OFF = [f"run{i}" for i in range(12)], [f"off{i}" for i in range(4)]
END = "trap 'exit 4' TERM; while :; do sleep 0.2; done"
docker = Docker(own=True)
world = docker.world(policies={"50-restart.lua": HOOK}).start()
for name in RUN + OFF:
    answer = world.spawn(name=name, image=IMAGE, command=["sh", "-c", END], wait=LIMIT * 3)
    if answer.status != 201:
        equal(answer.status, 201, f"{name} runs: {answer}")
for name in OFF:
    equal(world.post(f"/v1/instances/{name}/stop?wait=60", {"grace": "0s"}).status, 200, f"{name} is stopped")


def show():
    return {i["name"]: i for i in world.instances()}


def cause(name):
    decisions = world.get(f"/v1/instances/{name}/decisions").json["decisions"]
    return next(d for d in decisions if d["verb"] == "restart")["records"][0]["reason"]


def restart(what, boots, down, away=False):
    if away:
        world.kill()
    down()
    docker.again()
    if away:
        world.start()
    until(lambda: all(show()[n]["state"] == "running" and show()[n]["boots"] >= boots for n in RUN), f"{what}: all to run again", LIMIT * 2)
    world.settled(what)
    now = show()
    equal({now[n]["boots"] for n in RUN}, {boots}, f"{what}: each of {len(RUN)} was started once again")
    equal({cause(n) for n in RUN}, {"engine"}, f"{what}: the hook was told the cause")
    equal({now[n]["restarts"] for n in RUN}, {boots - 1}, f"{what}: and each is one restart")
    equal({(now[n]["state"], now[n]["boots"]) for n in OFF}, {("stopped", 1)}, f"{what}: those meant to be stopped stay so")
    equal({n: docker.inspect(n)["State"]["Running"] for n in (RUN[0], RUN[-1], OFF[0])}, {RUN[0]: True, RUN[-1]: True, OFF[0]: False},
          f"{what}: the engine agrees")


restart("an engine that ends in order", 2, docker.down)
restart("an engine that ends in order, gantryd away", 3, docker.down, away=True)
# a crash leaves the processes; the engine ends them when it comes back, and tells of it as of any exit
restart("an engine that crashes", 4, docker.kill)
restart("an engine that crashes, gantryd away", 5, docker.kill, away=True)
equal(world.stop(), 0, "an orderly end")
done()
