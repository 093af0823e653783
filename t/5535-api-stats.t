#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What an instance uses, followed: one stream from the engine however many look on, and how that ends."""
import os
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from command import Command as Gantry
from daemon import *

FOLLOW = "/v1/instances/{}/stats?follow=true"
world = World().start()
for name in ("web", "db"):
    equal(world.spawn(name=name).status, 201, f"{name} runs")


container = world.instance("web")["container_id"]


def asked():
    return world.engine.state()["calls"].get("GET /containers/ID/stats", 0)


def tick():
    """The engine takes a reading, which it does once a second elsewhere."""
    assert world.engine.ask("POST", "/fake/stats", {"id": container}).status == 200


def reading(stream):
    one = stream.json()
    world.check("Stats", one, "a reading")
    return one


equal(world.get("/v1/instances/web/stats?follow=perhaps").status, 400, "follow is true or false")
one = world.get("/v1/instances/web/stats").json
equal((one["name"], one["pids"]), ("web", 3), "one reading")
for _ in range(3):
    equal(ask(world.socket, "HEAD", FOLLOW.format("web")).status, 200, "HEAD, which leaves as the last one amid a reading")
before = asked()
followers = [world.stream(FOLLOW.format("web")) for _ in range(30)]
ok(all(reading(stream)["id"] == world.instance("web")["id"] for stream in followers), "each of 30 followers has a reading, which says of whom it is")
tick()
ok(all(reading(stream) for stream in followers), "and hears of the next")
equal(asked(), before + 1, "for which the engine was asked once")
other = world.stream(FOLLOW.format("db"), {"Accept": "text/event-stream"})
has(other.line(), "data: {", "another instance, as server-sent events")
equal(asked(), before + 2, "has a stream of its own")

# --- one that does not read, one that leaves -----------------------------------------------------------
for stream in followers[2:]:
    stream.close()
tick()
ok(reading(followers[0]) and reading(followers[1]), "others leave, and it goes on")
deaf = followers[1]
came = 0
for _ in range(1000):
    tick()
    came += reading(followers[0])["name"] == "web"
equal(came, 1000, "one that does not read holds up nobody")
memory_below(world.rss_kib(), 100 << 10, "and costs no memory")
equal(asked(), before + 2, "nothing was asked again")
deaf.close()

# --- ends ----------------------------------------------------------------------------------------------
equal(world.post(f"/v1/instances/web/stop?wait={LIMIT}").status, 200, "it is stopped")
rest = followers[0].rest()
ok(followers[0].ended and not followers[0].cut, "the stream ends with the process")
equal(world.get(FOLLOW.format("web")).status, 409, "what does not run is a plain answer")
equal(world.post(f"/v1/instances/web/start?wait={LIMIT}").status, 200, "it is started")
stream = world.stream(FOLLOW.format("web"))
ok(reading(stream), "and can be followed again")
equal(world.delete(f"/v1/instances/web?force=true&wait={LIMIT}").status, 200, "it is removed")
stream.rest()
ok(stream.ended and not stream.cut, "so it ends with a removal")
other.close()
until(lambda: world.engine.state()["watchers"] == 0, "the engine's stream to end with its last follower")
before = asked()
stream = world.stream(FOLLOW.format("db"))
ok(reading(stream), "one more")
equal(asked(), before + 1, "has a new one")
gantry = Gantry(f"unix://{world.socket}")
process = gantry.start("stats", "-f", "--json")
ok(b'"name":"db"' in process.stdout.readline(), "gantry stats -f follows all that run")
equal(asked(), before + 1, "by the same stream")
world.engine.ask("POST", "/fake/restart", {"down_ms": 200})
stream.rest()
ok(stream.cut, "an engine that is lost cuts it, which can be told from an end")
out, errors = process.communicate(timeout=LIMIT)
ok(process.returncode != 0 and b"lost the connection" in errors, "of which the command tells")
until(lambda: world.get("/v1/health").json["status"] == "ok", "the engine to be back")

# --- a question whose instance goes before its answer comes ---------------------------------------------
world.spawn(name="brief")
SLOW_S, answers = 2, []
world.engine.fault("GET /containers/*/stats", "delay_after", ms=1000 * SLOW_S, count=1)
began, before = time.monotonic(), asked()
thread = threading.Thread(target=lambda: answers.append(world.get("/v1/instances/brief/stats")), daemon=True)
thread.start()
until(lambda: asked() > before, "the engine to be asked")
equal(world.delete(f"/v1/instances/brief?force=true&wait={LIMIT}").status, 200, "it is removed while its figures are waited for")
if time.monotonic() - began < SLOW_S:
    thread.join()
    equal((answers[0].status, "any more" in answers[0].json["detail"]), (404, True), "that there is no such instance any more is the answer")
else:
    skip(1, "the removal took longer than the engine")
world.engine.fault("GET /containers/*/stats", "delay_after", ms=300, count=1)
before = asked()
with socket.socket(socket.AF_UNIX) as leaving:
    leaving.connect(world.socket)
    leaving.sendall(b"GET /v1/instances/db/stats HTTP/1.1\r\nHost: x\r\n\r\n")
    until(lambda: asked() > before, "the engine to be asked")
equal(world.get("/v1/instances/db/stats").status, 200, "who leaves amid a question harms nobody")
equal(world.stop(), 0, "gantryd stops")
done()
