#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How an instance is reached: its address and the ports that the engine picked, known after the start, asked for once."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from command import Command
from daemon import *

world = World()
engine = world.engine
ADDRESS = "172.30.0.7"  # what the fake engine gives to all that run


def looks():
    return engine.state()["calls"].get("GET /containers/ID/json", 0)


def reach(name):
    instance = world.instance(name)
    return instance.get("address"), instance.get("ports")


def known(name):
    """Waits until it is known; the ports."""
    until(lambda: reach(name)[0], f"the address of {name}")
    return reach(name)[1]


def agrees(name, what):
    """With what the engine's own inspect says."""
    theirs = engine.ask("GET", f"/containers/{world.instance(name)['container_id']}/json").json["NetworkSettings"]
    want = [{"host_ip": one["HostIp"], "host_port": int(one["HostPort"]), "container_port": int(key.split("/")[0]),
             "protocol": key.split("/")[1]} for key, ones in theirs["Ports"].items() for one in ones]
    equal((reach(name)[0], reach(name)[1] or []), (theirs["Networks"]["bridge"]["IPAddress"], want), f"{what}: as the engine has it")


world.start()
PORTS = ["127.0.0.1::80/tcp", "127.0.0.1:8053:53/udp"]
answer = world.spawn(name="web", ports=PORTS)
equal(answer.status, 201, "an instance with a port that the engine picks")
ports = known("web")
equal([(p["container_port"], p["protocol"], p["host_port"] > 32767) for p in ports], [(80, "tcp", True), (53, "udp", False)],
      "the port that was picked is told, and the one that was named")
agrees("web", "after a spawn")
equal(looks() - 1, 1, "one inspect was enough")
shown = Command("unix://" + world.socket)("show", "web").out
has(shown, ADDRESS, "gantry show has the address")
has(shown, f"127.0.0.1:{ports[0]['host_port']} to 80/tcp", "and the ports")

# nobody waits for it
engine.fault("GET /containers/*/json", "delay", ms=3000)
began = time.monotonic()
equal(world.spawn(name="quick").status, 201, "an engine that is slow to inspect")
took = time.monotonic() - began
ok(took < 2.5 * SLOW, f"does not make the spawn slow ({took:.1f} s)")
equal(reach("quick"), (None, None), "what is not known yet is not there")
engine.clear()
known("quick")

# one at a time
before = looks()
engine.fault("GET /containers/*/json", "delay_after", ms=300)
for n in range(3):
    world.spawn(name=f"one{n}")
until(lambda: looks() > before, "the first look")
equal(looks() - before, 1, "several started at once are asked for one at a time")
engine.clear()
for n in range(3):
    known(f"one{n}")

# each boot anew
world.post("/v1/instances/web/pause?wait=10")
equal(reach("web")[0], ADDRESS, "paused, it keeps it")
world.post("/v1/instances/web/unpause?wait=10")
world.post("/v1/instances/web/stop?wait=10")
equal(reach("web"), (None, None), "stopped, it has none")
before = looks()
world.post("/v1/instances/web/start?wait=10")
known("web")
equal(looks() - before, 1, "started again, it is asked for once")
world.post("/v1/instances/web/restart?wait=10")
known("web")
agrees("web", "after a restart")
engine.ask("POST", f"/containers/{world.instance('web')['container_id']}/stop")
until(lambda: world.state("web") == "stopped", "a stop by somebody else")
equal(reach("web"), (None, None), "stopped by somebody else, it has none")
engine.ask("POST", f"/containers/{world.instance('web')['container_id']}/start")
known("web")
agrees("web", "started by somebody else")
until(lambda: world.state("web") == "running", "the start to be heard of")

# over the end of the daemon
before = looks()
world.stop()
world.start()
until(lambda: world.state("web") == "running", "web to be known again")
agrees("web", "after a restart of gantryd")
equal(looks() - before, 1, "from the store, without a question")
engine.fault("GET /containers/*/json", "hang")
equal(world.spawn(name="late", ports=["90"]).status, 201, "one whose look is not over")
world.kill()
engine.clear()
world.start()
known("late")
agrees("late", "when gantryd was killed before it was known")
world.stop()
world.forget()
world.start()
known("web")
agrees("web", "with the store deleted")

world.settled("reach")
equal(world.stop(), 0, "an orderly end")
done()
