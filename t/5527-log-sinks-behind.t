#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Sinks that are behind: a receiver that takes nothing while much is printed costs little memory and nobody else's time, and gets
all of it once it reads; a file on a disk that is full has no line in half."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *
from logfiles import LogFiles
from receiver import Receiver
from small_disk import SmallDisk

INSTANCES, LINES, QUEUE = 8, 4000, 65536
folder = tempfile.mkdtemp(prefix="gantry-t.")
atexit.register(shutil.rmtree, folder, ignore_errors=True)
address = f"tcp://127.0.0.1:{free_port()}"
stuck, receiver = Receiver(folder, "stuck", "stuck", address), Receiver(folder, "fluent", "fluent", address)
for process in (stuck, receiver):
    atexit.register(process.kill)
disk = SmallDisk(folder)
world = World(settings=f"""logs = {{ sinks = {{
  {{ kind = "fluent", to = "{address}", timeout = "1s", queue = "64KiB" }},
  {{ kind = "file", to = "{disk.folder}/full.log", project = "disk" }},
}} }}""").start()
stuck.start()


def sink(name):
    return next(entry for entry in world.get("/v1/logs/sinks").json["sinks"] if entry["name"] == name)


def begin(name, **spec):
    place = os.path.join(world.folder, name)
    files = LogFiles(place, "local")
    equal(world.spawn(name=name, labels={"fake.log": place}, log={"driver": "local"}, **spec).status, 201, f"{name} runs")
    return files


# a disk that is full
path = f"{disk.folder}/full.log"


def texts():
    with open(path) as file:
        return [json.loads(line)["text"].split()[0] for line in file]


if disk.mounted:
    files = begin("disk1", project="disk")
    files.line("before")
    until(lambda: os.path.exists(path) and os.path.getsize(path), "the first line")
    disk.fill(blocks_left=8)
    for number in range(60):
        files.line(f"{number} {'f' * 2000}")
    until(lambda: sink("file")["state"] == "retrying", "the disk to be full")
    has(sink("file")["last_error"], "No space left", "a full disk is what is said")
    with open(path) as file:
        text = file.read()
    ok(text.endswith("\n") and texts()[0] == "before", "no line is there in half")
    disk.empty()

    until(lambda: len(texts()) >= 61, "the rest")
    equal(texts(), ["before", *map(str, range(60))], "once there is room all lines are there, each once")
else:
    skip(5, "a small disk cannot be had")

# a receiver that takes nothing
all_files = [begin(f"much{number}") for number in range(INSTANCES)]
until(lambda: sink("fluent")["instances"] >= INSTANCES, "all to be read")
before_kib = world.rss_kib()
for number in range(LINES):
    for files in all_files:
        files.line(f"{number} {'m' * 500}")
for number in range(INSTANCES):
    follower = world.stream(f"/v1/instances/much{number}/logs?follow=true&tail=1")
    ok(follower.json()["text"].startswith(f"{LINES - 1} "), f"a follower of much{number} reads on")
    follower.close()
until(lambda: sink("fluent")["behind"] >= INSTANCES, "all of them to be behind")
state = sink("fluent")
ok(state["queued_bytes"] <= QUEUE + (512 << 10), f"the queue is bounded, but for what a reader had at hand ({state['queued_bytes']} bytes)")
memory_below(world.rss_kib() - before_kib, 16 << 10, f"{INSTANCES * LINES * 500 >> 20} MiB that wait cost little")
stuck.kill()
receiver.start()
until(lambda: sink("fluent")["sent_lines"] >= INSTANCES * LINES + (61 if disk.mounted else 0), "all to be sent", 3 * LIMIT)
found = receiver.lines()
for number in range(INSTANCES):
    cursors = [cursor for name, cursor, _ in found if name == f"much{number}"]
    equal(list(dict.fromkeys(cursors)) == [f"1.{at}" for at in range(1, LINES + 1)], True, f"much{number}: all lines came, in order ({len(cursors)})")
equal(world.stop(), 0, "gantryd ends well")
done()
