#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Two daemons on one real Docker Engine: one owner, the second refuses and takes over from a dead one; the
claim outlives prunes and the engine's restart; two owners see only their own."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from docker import *
from daemon import *

docker = Docker(own=True)  # volumes are pruned here
CLAIM = f"gantry.claim.{docker.owner}"


def volumes():
    return sorted(docker("volume", "ls", "--quiet").split())


def daemon_of(volume):
    done = docker.run("volume", "inspect", "--format", '{{index .Labels "gantry.daemon"}}', volume)
    return done.stdout.strip() if done.returncode == 0 else None


def names(world):
    return sorted(i["name"] for i in world.instances())


def is_refused(world, by, what):
    status, said = world.refuses()
    equal(status, 1, f"{what}: it ends with status 1")
    has(said, f"a gantryd with owner {docker.owner} (host {os.uname().nodename}, store {by.store}) is at work on this engine",
        f"{what}: it says who is there")


first, second = docker.world().start(), docker.world()
equal(first.spawn(name="web", image=IMAGE).status, 201, "the first has an instance")
before = docker.inspect("web")
is_refused(second, first, "a second with the same owner")
equal(docker.inspect("web"), before, "the container is as it was, to the last word of inspect")
equal(volumes(), [CLAIM], "one volume, and no ask")

holder = daemon_of(CLAIM)
docker("volume", "rm", CLAIM)
until(lambda: daemon_of(CLAIM) == holder, "the claim to be restored")
is_refused(second, first, "after docker volume rm")
docker("volume", "prune", "--force")
until(lambda: daemon_of(CLAIM) == holder, "the claim to be restored")
is_refused(second, first, "after docker volume prune")

first.kill()
second.start()
equal(names(second), ["web"], "the first is killed: the second takes over")
ok(daemon_of(CLAIM) not in (holder, None), "the volume names it")
second.settled("taken over")
is_refused(first, second, "the first, come again")

docker.kill()
until(lambda: second.get("/v1/nodes/local").json["state"] == "down", "the node to be down")
docker.again()
until(lambda: second.get("/v1/health").json["status"] == "ok", "the node to be up again", LIMIT * 3)
second.settled("the engine was killed and came again")
is_refused(first, second, "after that")

other = docker.world(owner=f"{docker.owner}-2").start()
equal(other.spawn(name="other", image=IMAGE).status, 201, "another owner works beside it")
equal((names(second), names(other)), (["web"], ["other"]), "each lists its own")
equal({e["name"] for e in other.events() if e.get("name")}, {"other"}, "and hears of its own")
equal(other.delete("/v1/instances/web?force=true&wait=5").status, 404, "the other's cannot be removed")
equal(volumes(), [CLAIM, f"{CLAIM}-2"], "each has its claim")
for world in (second, other):
    for name in names(world):
        equal(world.delete(f"/v1/instances/{name}?force=true&wait=30").status, 200, f"{name} is removed by its own")
    equal(world.stop(), 0, "gantryd ends in order")
equal(docker.ps(), {}, "nothing is left")
done()
