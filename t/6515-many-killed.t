#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A thousand instances on several nodes, and gantryd killed, started, killed again while it rebuilds what it knows,
at several moments, and started: all are there, none twice, with its store kept and with its store deleted. On
simulated nodes, and on fake engines."""
import collections
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *

PER_NODE = 50 if os.environ.get("SAN") or os.environ.get("VG") else 250
NAMES = [f"n{i}" for i in range(1, 5)]


def run_load(world):
    """PER_NODE spawns a node, eight in flight."""
    numbers, failed, lock = iter(range(PER_NODE * len(NAMES))), [], threading.Lock()

    def work():
        connection = UnixConnection(world.socket)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return connection.close()
            connection.request("POST", f"/v1/instances?wait={LIMIT * 3}", json.dumps({"name": f"i{number}", "image": "job:1", "command": ["run"]}),
                               {"Content-Type": "application/json"})
            reply = connection.getresponse()
            body = reply.read()
            if reply.status != 201:
                failed.append((number, reply.status, body))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(failed[:3], [], f"{PER_NODE * len(NAMES)} instances run")


def everything(world):
    """What must be the same after each life: id, name, node, container, state."""
    listed = ask(world.socket, "GET", "/v1/instances").json["instances"]
    return sorted((i["id"], i["name"], i["node"], i.get("container_id"), i["state"]) for i in listed)


def start_for(world, moment_s):
    """Starts gantryd and kills it so long after; True where it was not yet done."""
    world.launch()
    time.sleep(moment_s)
    equal(world.daemon.poll(), None, "gantryd has not ended by itself")
    try:
        early = world.get("/v1/health").json["status"] != "ok" or len(everything(world)) < PER_NODE * len(NAMES)
    except OSError:
        early = True
    world.kill()
    return early


def all_found(world, count):
    """All events, once so many instances were told as found: an event is there when it is committed."""
    events = world.events()
    return events if sum(event["kind"] == "instance.found" for event in events) >= count else None


def torment(world, what):
    before = everything(world)
    equal({row[4] for row in before}, {"running"}, f"{what}: all run before")
    promised = {n["name"]: n["promised"]["instances"] for n in world.get("/v1/nodes").json["nodes"]}
    for lost in (False, True):
        which = f"{what}, store {'deleted' if lost else 'kept'}"
        world.kill()
        began = time.monotonic()
        if lost:
            world.forget()
        world.start()
        whole_s = time.monotonic() - began
        diag(f"{which}: rebuilt in {whole_s:.2f} s")
        world.kill()
        if lost:
            world.forget()
        early = [start_for(world, whole_s * part) for part in (0.05, 0.2, 0.4, 0.6, 0.8)]
        ok(any(early), f"{which}: killed while it rebuilds ({sum(early)} of 5 moments)")
        world.start()
        until(lambda: not world.running_operations(), "what was under way to end")
        now = everything(world)
        equal(len(now), len(before), f"{which}: all are there, none twice")
        equal(now == before, True, f"{which}: each with its id, name, node, container and state")
        equal({n["name"]: n["promised"]["instances"] for n in world.get("/v1/nodes").json["nodes"]}, promised, f"{which}: the nodes have promised as much")
        kinds = collections.Counter(e["kind"] for e in until(lambda: all_found(world, len(before) if lost else 0), "what is known to be written down"))
        equal({k: n for k, n in kinds.items() if k in ("instance.lost", "instance.exited", "instance.restart_planned")}, {},
              f"{which}: nobody was told of an end")
        if lost:
            equal(kinds["instance.found"], len(before), f"{which}: each was told once as found")


SIM = "nodes = { " + ", ".join(f'{n} = {{ plugin = "sim", state = "FOLDER/{n}.state" }}' for n in NAMES) + " }"
sim = World({}, engine=False)
with open(sim.config, "a") as file:
    file.write(SIM.replace("FOLDER", sim.folder))
sim.start()
run_load(sim)
torment(sim, "sim")
equal(sim.stop(), 0, "sim: an orderly end")

fake = World({}, engines=NAMES).start()
run_load(fake)
torment(fake, "engines")
fake.settled("engines")
equal(fake.stop(), 0, "engines: an orderly end")
done()
