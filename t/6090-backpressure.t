#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A reader of output that is slow, stops and goes on: every byte arrives, gantryd's memory stays flat, and the
time in which nothing was read does not count as a stall of the engine."""
import hashlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *
from http_client import settled

PAGES = 3200 if VG else 6400  # of 8 KiB
os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"  # memory is looked at
world = World(node='stall_timeout = "2s"').start()


def page(number):
    return (b"%07d " % number * 1024)[:-1] + b"\n"


def frames(connection):
    """The data of each frame, as it is read."""
    reply = connection.getresponse()
    while head := reply.read(8):
        yield reply.read(int.from_bytes(head[4:], "big"))


def begin(follow):
    connection = UnixConnection(world.socket)
    connection.request("GET", f"/v1/instances/pages/output?follow={follow}")
    return connection


want = hashlib.sha256(b"".join(page(number + 1) for number in range(PAGES))).hexdigest()
equal(world.spawn(name="pages", command=["pages", str(PAGES)]).status, 201, f"an instance that wrote {PAGES * 8 // 1024} MiB")
until(lambda: world.state("pages") == "stopped", "all of it to be written")
base = world.rss_kib()
for follow in ("false", "true"):
    connection, digest, length, grown = begin(follow), hashlib.sha256(), 0, 0
    for data in frames(connection):
        before, length = length, length + len(data)
        digest.update(data)
        if before < 1 << 20 <= length:
            ok(settled(lambda: world.rss_kib() >> 4, 250), f"follow={follow}: a reader stops after 1 MiB for longer than an engine may, and gantryd comes to rest")
            grown = world.rss_kib() - base
    equal((length, digest.hexdigest()), (PAGES * 8192, want), "goes on, and has every byte")
    grown = max(grown, world.rss_kib() - base)
    memory_below(grown, 8192, "gantryd has grown little", sanitized_kib=65536)
    connection.close()

slow = [begin("true") for _ in range(8)]
ok(settled(lambda: world.rss_kib() >> 4, 100), "eight readers that read nothing")
memory_below(world.rss_kib() - base, 16384, "gantryd has grown little", sanitized_kib=131072)
for connection in slow:
    connection.close()
equal(world.post("/v1/instances/pages/stop?wait=30").status in (200, 409), True, "they leave, and the instance is as it was")
equal(world.delete("/v1/instances/pages?wait=30").status, 200, "and can be removed")
equal(world.stop(), 0, "gantryd ends in order: nothing of them is left")
done()
