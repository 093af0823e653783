#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The orderly end and the sudden one: flows end or are gone on with, whoever waits is told, nothing is left over."""
import itertools
import os
import re
import resource
import signal
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
world = World().start()
engine = world.engine
JSON = {"Content-Type": "application/json"}


def in_background(call):
    results = []

    def run():
        try:
            results.append(call())
        except (OSError, http.client.HTTPException) as error:
            results.append(error)
    thread = threading.Thread(target=run)
    thread.start()
    return thread, results


def sanitized_end(what, limit_s=LIMIT + 15):
    """The end after a signal: status 0 and no socket left."""
    until(lambda: world.daemon.poll() is not None, f"{what}: gantryd to end", limit_s)
    equal(world.daemon.returncode, 0, f"{what}: status 0")
    ok(not os.path.exists(world.socket), f"{what}: no socket file is left")


def calls(name):
    return engine.state()["calls"].get(name, 0)


# --- a flow that ends within the grace ---
engine.fault("POST /containers/*/start", "delay", ms=700, count=1)
thread, results = in_background(lambda: world.spawn(name="soon"))
until(lambda: calls("POST /containers/ID/start") == 1, "the start to be under way")
began = time.monotonic()
world.daemon.send_signal(signal.SIGTERM)
thread.join(LIMIT)
equal((results[0].status, results[0].json["result"]["state"]), (201, "running"), "a flow under way ends, and its client is answered")
sanitized_end("SIGTERM with a flow")
ok(time.monotonic() - began < 4 * SLOW, "it ends as soon as the flow has")
world.start()
equal(world.state("soon"), "running", "it is there at the next start")
world.settled("a flow within the grace")

# --- one that does not ---
engine.fault("POST /containers/*/start", "delay_after", ms=60000, count=1)
spawn, spawned = in_background(lambda: world.spawn(name="late", wait=60))
until(lambda: calls("POST /containers/ID/start") == 2, "the start to be under way")
operation = world.running_operations()[0]["id"]
watch = world.stream(f"/v1/operations/{operation}/watch")
watch.line()
requests = lambda: int(re.search(r"^gantry_http_requests_total (\d+)", world.get("/v1/metrics").body.decode(), re.M)[1])
before, asked = requests(), itertools.count(1)
wait, waited = in_background(lambda: world.get("/v1/instances/soon/wait?timeout=60"))
show, shown = in_background(lambda: world.get(f"/v1/operations/{operation}?wait=60"))
kept = UnixConnection(world.socket)
kept.request("GET", "/v1/health")
kept.getresponse().read()
until(lambda: requests() - before >= 3 + next(asked), "all requests to have come")
world.daemon.send_signal(signal.SIGTERM)
until(lambda: not os.path.exists(world.socket), "the listener to be closed")
try:
    kept.request("GET", "/v1/health")
    reply = kept.getresponse()
    ok(reply.status == 503, "a connection that is kept open is told 503")
except (OSError, http.client.HTTPException):
    ok(True, "a connection that is kept open and idle is closed")
world.daemon.send_signal(signal.SIGTERM)
for thread in (spawn, wait, show):
    thread.join(LIMIT + 15)
for what, results in (("a spawn with wait", spawned), ("a wait for an exit", waited), ("a wait for an operation", shown)):
    ok(results and getattr(results[0], "status", None) == 503, f"{what}: answered with 503")
    if getattr(results[0], "status", None) == 503:
        ok("Retry-After" in results[0].headers, f"{what}: with Retry-After")
    else:
        diag(results)
ok(watch.line() is None and watch.cut, "a watch is cut, and can be told from one that has ended")
sanitized_end("SIGTERM with a flow that hangs (a second SIGTERM changes nothing)")
world.start()
equal(world.operation(operation)["state"], "done", "at the next start the flow goes on to its end")
equal((world.state("late"), world.instance("late")["boots"]), ("running", 1), "with what it was to make, started once")
world.settled("a flow that was interrupted")

# --- 500 streams ---
COUNT = 500
streams = [world.stream("/v1/events?follow=true") for _ in range(COUNT - 20)]
streams += [world.stream("/v1/events?follow=true", {"Accept": "text/event-stream"}) for _ in range(20)]
equal({s.status for s in streams}, {200}, f"{COUNT} streams are open")
world.post("/v1/instances/late/pause?wait=10")
equal({s.json()["kind"] for s in streams[:-20]}, {"instance.paused"}, "each hears the same")
began = time.monotonic()
world.daemon.send_signal(signal.SIGINT)
for stream in streams[-20:]:
    stream.line(), stream.line()  # id, data
ends = [(stream.line(), stream.ended, stream.cut) for stream in streams]
equal(set(ends), {(None, False, True)}, "at the end each is cut: no last chunk, so nobody takes it for the end")
sanitized_end("SIGINT with 500 streams")
ok(time.monotonic() - began < 3 * SLOW, f"without waiting for them ({time.monotonic() - began:.1f} s)")
for stream in streams:
    stream.close()

# --- an engine that does not answer ---
world.start()
until(lambda: world.state("late") == "paused", "the instance to be known")
engine.fault("POST /images/create", "hang")
pull, pulled = in_background(lambda: world.post("/v1/nodes/local/images?wait=60", {"image": "pullable:1"}))
until(lambda: any(o["step"] == "pull" for o in world.running_operations()), "the pull to be under way")
world.daemon.send_signal(signal.SIGTERM)
sanitized_end("SIGTERM with a pull that hangs")
pull.join(LIMIT)
engine.clear()
engine.fault("GET /info", "hang")
engine.fault("GET /version", "hang")
world.start(up=False)
equal(world.state("late"), "unknown", "the engine says nothing at the start")
began = time.monotonic()
world.daemon.send_signal(signal.SIGTERM)
sanitized_end("SIGTERM while the engine says nothing")
ok(time.monotonic() - began < 4 * SLOW, "soon")
engine.clear()
world.start()
until(lambda: not world.running_operations(), "the pull to be gone on with")
pulls = [o for o in world.get("/v1/operations").json["operations"] if o["kind"] == "pull"]
equal([o["state"] for o in pulls], ["done"], "the pull that was interrupted was gone on with")
world.post("/v1/instances/late/unpause?wait=10")

# --- kill -9 ---
keyed = {**JSON, "Idempotency-Key": "one"}
body = {"name": "once", "image": "busybox"}
first = world.post("/v1/instances?wait=10", body, keyed)
engine.fault("POST /containers/*/start", "delay_after", ms=2000, count=1)
thread, _ = in_background(lambda: world.post("/v1/instances?wait=10", {"name": "twice", "image": "busybox"},
                                             {**JSON, "Idempotency-Key": "two"}))
starts = calls("POST /containers/ID/start")
until(lambda: calls("POST /containers/ID/start") > starts or world.state("twice") == "starting", "the second to be under way")
operation = world.running_operations()[0]["id"]
stream = world.stream("/v1/events?follow=true")
world.kill()
thread.join(LIMIT)
ok(stream.line() is None and stream.cut, "kill -9: a stream is cut")
ok(os.path.exists(world.socket), "the socket's file stays")
world.start()
ok(True, "and is no hindrance to the next start")
second = world.post("/v1/instances?wait=10", body, keyed)
equal((second.status, second.json["id"]), (201, first.json["id"]), "a key that was used is answered with the same operation")
again = world.post("/v1/instances?wait=20", {"name": "twice", "image": "busybox"}, {**JSON, "Idempotency-Key": "two"})
equal((again.status, again.json["id"]), (201, operation), "so is one whose operation was under way")
equal(world.post("/v1/instances", {**body, "name": "other"}, keyed).status, 409, "and another body is refused")
equal(sorted(i["name"] for i in world.instances()), ["late", "once", "soon", "twice"], "each was made once")
world.settled("kill -9")

# --- the end at once after the start, and with nothing under way ---
began = time.monotonic()
equal(world.stop(), 0, "with nothing under way it ends well")
ok(time.monotonic() - began < 2 * SLOW, "and at once")
world.start(up=False)
equal(world.stop(), 0, "at once after the start as well")
ok(not os.path.exists(world.socket), "no socket file is left")
equal(sorted(n for n in os.listdir(world.folder) if n.startswith("gantry.db")), ["gantry.db", "gantry.db.lock"],
      "nor the store's log")
done()
