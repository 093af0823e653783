#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Two real Docker Engines under one gantryd, each with data, bridge and addresses of its own: placed by labels and
spread over both, a burst over both, one engine killed and stopped under what runs there while the other goes on, a
spawn that goes to the other one, and gantryd started without its store. What both engines say and what the API says
is the same."""
import collections
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from docker import *
from daemon import *

world = two_engines().start()
engines = world.engines
east, west = engines.values()


def begin(name, **spec):
    answer = world.spawn(name=name, image=IMAGE, command=["sleep", "1000"], **spec)
    if answer.status != 201:
        equal(answer.status, 201, f"{name} is placed: {answer}")
    return answer.json["result"]["node"]


def becomes(name, state):
    until(lambda: world.state(name) == state, f"{name} to be {state}")


def per_node():
    return dict(collections.Counter(i["node"] for i in world.instances()))


def agree(what):
    """By the list of each engine's own API, and by what `docker ps` prints of each."""
    world.settled(what)
    listed = {name: sorted(e.ps()) for name, e in engines.items()}
    want = {name: sorted(i["name"] for i in world.instances() if i["node"] == name) for name in engines}
    equal(listed, want, f"{what}: docker ps of each engine has what the API says it has")


def networks(engine):
    return [c["Subnet"] for c in json.loads(engine("network", "inspect", "bridge"))[0]["IPAM"]["Config"]]


ok(networks(east) != networks(west) and east("info", "--format", "{{.ID}} {{.DockerRootDir}}") != west("info", "--format", "{{.ID}} {{.DockerRootDir}}"),
   f"two engines, each with data and addresses of its own: {networks(east)}, {networks(west)}")
facts = {n["name"]: n["facts"]["engine_id"] for n in world.get("/v1/nodes").json["nodes"]}
equal(facts, {name: e("info", "--format", "{{.ID}}") for name, e in engines.items()}, "each node is its engine")

# labels, and spread over both
equal([begin(f"{zone}{n}", labels={"node.zone": zone}) for zone in engines for n in range(2)], ["east"] * 2 + ["west"] * 2, "placed by labels")
for number in range(4):
    begin(f"any{number}", memory="32MiB")
equal(per_node(), {"east": 4, "west": 4}, "without a label: spread over both")
agree("placed by labels and by spread")
answer = world.spawn(name="nowhere", image=IMAGE, labels={"node.zone": "north"})
equal(answer.status, 403, "a zone that no node is in is refused")
has(answer.json["detail"], "north is wanted", "with the policy's reason")
for name in ("east0", "west0"):
    equal(world.post(f"/v1/instances/{name}/stop?wait=60", {"grace": "0s"}).status, 200, f"{name} is stopped")

# a burst over both
answers = []
threads = [threading.Thread(daemon=True, target=lambda n=n: answers.append(ask(
    world.socket, "POST", f"/v1/instances?wait={LIMIT * 3}", {"name": f"burst{n}", "image": IMAGE, "command": ["sleep", "1000"]}))) for n in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
equal(collections.Counter(a.status for a in answers), {201: 12}, "a burst of twelve")
equal(per_node(), {"east": 10, "west": 10}, "in flight or not, each counts: both have as many")
agree("after a burst")

# one engine is killed under what runs there
before = {i["name"]: (i["state"], i["container_id"], i["boots"]) for i in world.instances()}
of_east = [i["name"] for i in world.instances() if i["node"] == "east"]
east.kill()
for name in of_east:
    becomes(name, "unknown")
equal({n: world.instance(n)["known_state"] for n in of_east}, {n: before[n][0] for n in of_east}, "killed: its instances are unknown, and what they were")
equal({i["name"]: i["state"] for i in world.instances() if i["node"] == "west"}, {n: s[0] for n, s in before.items() if n not in of_east},
      "those of the other engine are as they were")
equal(begin("meanwhile"), "west", "what is spawned meanwhile goes to the other one")
answer = world.spawn(name="there", image=IMAGE, labels={"node.zone": "east"})
ok(answer.status in (403, 503), f"what must be there is refused with {answer.status}")
equal(world.post("/v1/instances/west1/stop?wait=60", {"grace": "0s"}).status, 200, "the other engine's are at hand: stopped")
equal(world.post("/v1/instances/west1/start?wait=60").status, 200, "and started")
east.again()
until(lambda: world.get("/v1/health").json["status"] == "ok", "the engine to be up again")
for name in of_east:
    until(lambda: world.state(name) != "unknown", f"{name} to be known again")
equal({n: world.instance(n)["container_id"] for n in of_east}, {n: before[n][1] for n in of_east}, "back: they are the containers that they were")
agree("killed and back")
equal(world.state("east0"), "stopped", "what was meant to be stopped is so")
for name in of_east:
    if name != "east0" and world.state(name) == "stopped":
        equal(world.post(f"/v1/instances/{name}/start?wait=60").status, 200, f"{name} starts again")

# one engine goes down in order, and gantryd is killed meanwhile and loses its store
west.down()
until(lambda: world.get("/v1/nodes/west").json["state"] != "up", "the other engine to be gone")
world.kill()
world.forget()
world.start(up=False)
until(lambda: world.get("/v1/nodes/east").json["state"] == "up", "the one that is there to be up")
equal(sorted(i["name"] for i in world.instances()), sorted(of_east), "store lost, one engine away: what the other one has is found")
west.again()
until(lambda: world.get("/v1/health").json["status"] == "ok", "both to be up")
equal(sorted(i["name"] for i in world.instances()), sorted([*before, "meanwhile"]), "and the rest once it is back")
agree("store lost")
for instance in world.instances():
    world.delete(f"/v1/instances/{instance['id']}?force=true&wait=60")
equal((east.ps(), west.ps()), ({}, {}), "all is removed from both")
equal(world.stop(), 0, "an orderly end")
done()
