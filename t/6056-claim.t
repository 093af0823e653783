#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Two daemons on one engine: with one owner the second refuses to start and touches nothing, and takes over
from one that is dead; with two owners each sees only its own."""
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *

CLAIM_WAIT_MS = 500 * SLOW
OWNER = "test"


def beside(first, **options):
    """A world on the engine of another, with a store of its own."""
    options.setdefault("endpoint", f"unix://{first.engine.socket}")
    options.setdefault("node", f'claim_wait = "{CLAIM_WAIT_MS}ms"')
    world = World(engine=False, **options)
    world.engine = first.engine
    return world


def why(world):
    """What the one says that finds that world at work."""
    return f"docker: a gantryd with owner {world.owner} (host {os.uname().nodename}, store {world.store}) is at work on this engine"


def is_refused(world, by, what):
    status, said = world.refuses()
    equal(status, 1, f"{what}: it ends with status 1")
    has(said, f"gantryd: node local: {why(by)}\n", f"{what}: it says who is there")
    equal("is ready" in said, False, f"{what}: it was never ready")


def names(world):
    return sorted(i["name"] for i in world.instances())


# one owner: the second refuses
first = World(node=f'claim_wait = "{CLAIM_WAIT_MS}ms"').start()
engine = first.engine
equal(first.spawn(name="web").status, 201, "the first has an instance")
second = beside(first)
containers, lists = engine.state()["containers"], engine.state()["calls"]["GET /containers/json"]
last = first.events()[-1]["sequence"]
is_refused(second, first, "a second with the same owner")
equal(engine.state()["containers"], containers, "the containers are as they were")
equal(engine.state()["calls"]["GET /containers/json"], lists, "the second has not even listed them")
equal(first.events(after=last), [], "for the first nothing has happened")
equal(first.get("/v1/health").json["status"], "ok", "it is at work")
equal(first.spawn(name="web2").status, 201, "and works")
spare = beside(first, nodes=f'["local"] = {{ plugin = "docker", endpoint = "unix://{engine.socket}" }}, '
               '["other"] = { plugin = "sim" }')
is_refused(spare, first, "a second for which one of two nodes is taken")

# killed: the second takes over, and is then the one that refuses the first
first.kill()
second.start()
equal(names(second), ["web", "web2"], "the first is killed: the second takes its instances in")
equal(second.state("web"), "running", "as they are")
second.settled("taken over")
is_refused(first, second, "the first, come again")
second.kill()
first.start()
equal(names(first), ["web", "web2"], "and the other way round")
first.settled("taken back")

# one that slept and was taken over from goes down when it wakes
first.daemon.send_signal(signal.SIGSTOP)
second.start()
first.daemon.send_signal(signal.SIGCONT)
until(lambda: first.get("/v1/nodes/local").json["state"] == "down", "the sleeper's node to go down")
equal(first.get("/v1/nodes/local").json["last_error"], why(second), "one that slept loses its claim: its node is down and says why")
equal(first.state("web"), "unknown", "its instances are unknown")
equal(second.get("/v1/health").json["status"], "ok", "the one that took over goes on")
equal(second.spawn(name="web3").status, 201, "and works")
doctor = lambda: next(c for c in first.get("/v1/doctor").json["checks"] if c["name"] == "node local")
check = until(lambda: doctor()["detail"] == f"is down: {why(second)}" and doctor(), "doctor to say that it is down, and why")  # between two tries
equal(check["status"], "fail", "doctor: that is a failure")
has(check["hint"], "stop one of the two", "doctor: what is to be done")
second.stop()
until(lambda: first.get("/v1/health").json["status"] == "ok", "the sleeper to have its node again", 60 * SLOW)
equal(names(first), ["web", "web2", "web3"], "when the other ends it takes over by itself")
first.settled("awake")

# pruned
volumes = {v["Name"]: v["Labels"] for v in engine.ask("GET", "/volumes").json["Volumes"]}
equal(list(volumes), [f"gantry.claim.{OWNER}"], "one volume on the engine, and no ask is left")
engine.ask("POST", "/volumes/prune")
until(lambda: engine.ask("GET", "/volumes").json["Volumes"], "the claim to be restored")
is_refused(second, first, "after all volumes were pruned")

# the store is lost: it is another daemon, and follows the dead one
first.kill()
first.forget()
first.start()
equal(names(first), ["web", "web2", "web3"], "the store is lost: it takes over from what it was")
first.settled("store lost")

# a node that is taken when it comes up
late_socket = os.path.join(first.folder, "late.sock")
late = beside(first, endpoint=f"unix://{late_socket}").start(up=False)
until(lambda: "is ready" in open(late.log).read(), "it to be ready")
ok(True, "an engine that is not there: it is ready without it")
os.symlink(engine.socket, late_socket)
until(lambda: late.get("/v1/nodes/local").json.get("last_error") == why(first), "the node to be refused")
equal(late.get("/v1/nodes/local").json["state"], "down", "an engine that comes later and is another's: the node stays down")
equal(late.daemon.poll(), None, "and the daemon goes on")
equal(late.instances(), [], "it has taken nothing in")
equal(late.stop(), 0, "it ends in order")
equal(first.get("/v1/health").json["status"], "ok", "the first was at work all the while")
equal([e["kind"] for e in first.events() if e["kind"] == "node.down"], [], "without a break")
first.stop()

# the same store: at once, whatever the wait
same = World(node='claim_wait = "10m"').start()
same.kill()
same.start()
ok(True, "killed and started again with its store: its node is up without a wait")
same.stop()
same.start()
ok(True, "stopped and started again, too")
same.kill()

# ready only when it is known whose the engine is
def ready_count():
    with open(same.log) as log:
        return log.read().count("is ready")


begun = ready_count()
same.engine.fault("POST /volumes/create", "delay", min(1500 * SLOW, 4000), 1)
same.start(up=False)
equal((ready_count(), same.get("/v1/health").json["status"]), (begun, "degraded"), "the claim is slow: not ready, the node not up")
until(lambda: ready_count() > begun, "it to be ready")
until(lambda: same.get("/v1/health").json["status"] == "ok", "the node to be up")
same.kill()
begun = ready_count()
same.engine.fault("GET /version", "hang")
same.start(up=False)
until(lambda: ready_count() > begun, "it to be ready")
equal(same.get("/v1/health").json["status"], "degraded", "an engine that hangs: ready without it, after a while")
same.engine.clear()
same.kill()

# two owners
red = World(owner="red").start()
blue = beside(red, owner="red-2").start()
for world, name in ((red, "r"), (blue, "b")):
    equal(world.spawn(name=name).status, 201, f"{world.owner}: spawns")
    equal(world.spawn(name=f"{name}-ends", command=["exit", "3"]).status, 201, f"{world.owner}: one that ends")
    until(lambda: world.state(f"{name}-ends") == "stopped", "it to end")
red.kill()
red.start()
for world, name, other in ((red, "r", "b"), (blue, "b", "r")):
    equal(names(world), [name, f"{name}-ends"], f"{world.owner}: lists its own")
    equal({e["name"] for e in world.events() if e.get("name")}, {name, f"{name}-ends"}, f"{world.owner}: events of its own alone")
    equal(world.get(f"/v1/instances/{other}").status, 404, f"{world.owner}: the other's is not there")
    equal(world.delete(f"/v1/instances/{other}?force=true&wait=5").status, 404, f"{world.owner}: nor can it be removed")
    world.settled(world.owner)
equal(red.delete("/v1/instances/r?force=true&wait=20").status, 200, "red removes its own")
equal([c["Names"] for c in red.engine.containers("red-2")], [["/default_b"], ["/b-ends"]], "the other's stay")
equal([v["Name"] for v in red.engine.ask("GET", "/volumes").json["Volumes"]], ["gantry.claim.red", "gantry.claim.red-2"], "each has its claim")
red.kill()
red.forget()
red.start()
equal(names(red), ["r-ends"], "red with its store lost: its own alone are found")
red.settled("red's store lost")
done()
