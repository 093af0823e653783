#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""attach that begins with lines of the log: joined to what is live with no gap and no repeat, whichever of the two is first."""
import functools
import os
import random
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from console import CONTROL, ERRORS, OUTPUT, PLAIN, Console as ConsoleAt
from daemon import *
from logfiles import LogFiles

SEED = int(os.environ.get("SEED") or time.time_ns() % 1000000)
world = World().start()
Console = functools.partial(ConsoleAt, world)


def begin(name, driver="local", **spec):
    files = LogFiles(os.path.join(world.folder, name), driver)
    equal(world.spawn(name=name, labels={"fake.log": files.folder}, log={"driver": driver}, **spec).status, 201, f"{name} runs")
    return files


def live(name, data, stream=1):
    world.engine.ask("POST", "/fake/write", {"id": world.instance(name)["container_id"], "stream": stream, "text": data})


def cursors(console):
    return [one for one in console.control if one["type"] == "cursor"]


def attach(name, query, wanted, what, protocol="v1.attach.gantry"):
    console = Console(f"/v1/instances/{name}/attach?{query}", protocol)
    equal(console.status, 101, f"{what}: attached")
    console.read_until(lambda: len(console.got[OUTPUT]) >= len(wanted) and (cursors(console) or console.protocol == PLAIN))
    equal(console.got[OUTPUT], wanted, f"{what}: the lines")
    return console


# --- at rest -----------------------------------------------------------------------------------------
files = begin("quiet", command=["cat"], stdin_open=True)
for number in range(1000):
    files.line(f"line {number}")
live("quiet", "$ ")
console = attach("quiet", "tail=3", b"line 997\nline 998\nline 999\n$ ", "what waits behind the last line is there too")
equal(cursors(console), [{"type": "cursor", "cursor": "1.1000", "exact": True}], "and the cursor of the last line")
live("quiet", "ls\n")
files.line("$ ls")
ok(console.read_until(lambda: console.got[OUTPUT].endswith(b"$ ls\n")), "on it goes with what is live")
console.leave()
console = attach("quiet", "after=1.999", b"line 999\n$ ls\n", "after a cursor")
equal(cursors(console)[-1]["cursor"], "1.1001", "the cursor is a later one")
console.leave()
console = attach("quiet", "after=1.1001", b"", "after the last one")
console.read_until(lambda: cursors(console))
live("quiet", "more\n")
ok(console.read_until(lambda: console.got[OUTPUT] == b"more\n"), "what is live follows at once")
console.leave()
for path, status in (("tail=0", 400), ("tail=x", 400), ("after=9", 400)):
    equal(Console(f"/v1/instances/quiet/attach?{path}").status, status, path)
files = begin("plain", command=["sleep", "1000"])
for number in range(10):
    files.line(f"line {number}", "stderr" if number % 2 else "stdout")
console = attach("plain", "tail=4", b"line 6\nline 8\n", "two streams, to a plain client of Kubernetes", PLAIN)
console.read_until(lambda: len(console.got[ERRORS]) >= 14)
equal((console.got[ERRORS], console.control), (b"line 7\nline 9\n", []), "which is told what it knows")
console.leave()

# a busy engine writes its log a good while after what it shows
files = begin("late", command=["sleep", "1000"])
first = Console("/v1/instances/late/attach?role=observer")
first.role()
for number in range(20):
    live("late", f"line {number} {'l' * 40}\n")
    files.line(f"line {number} {'l' * 40}")
live("late", "over\n")
first.read_until(lambda: first.got[OUTPUT].endswith(b"over\n"))
since = time.monotonic()
until(lambda: time.monotonic() > since + 0.2 * SLOW, "the process to rest for a while")
wanted = "".join(f"line {number} {'l' * 40}\n" for number in (17, 18, 19)).encode() + b"over\n"
console = attach("late", "tail=3", wanted, "what is not in the log yet is there")
files.line("over")
live("late", "more\n")
ok(console.read_until(lambda: console.got[OUTPUT].endswith(b"more\n")) and console.got[OUTPUT] == wanted + b"more\n", "and does not come twice", console.got[OUTPUT])
equal([one["exact"] for one in cursors(console)], [True], "which is sure")
console.leave(), first.leave()

# --- while it writes ---------------------------------------------------------------------------------
print(f"# SEED={SEED}")


def writer(name, files, draw, stop, wrote, tty):
    """Each line goes to the log and to the console, now the one first and now the other, a moment apart."""
    late_log, late_live, number = [], [], 0
    while not stop.is_set() or late_log or late_live:
        if not stop.is_set():
            stream = 1 if tty else draw.choice((1, 1, 2))
            text = draw.choice((f"line {number}", f"{number} " + "x" * draw.randrange(200), "same"))
            late_log.append((stream, text)), late_live.append((stream, text)), wrote[stream].append(text)
            number += 1
        for late, send in draw.sample(((late_log, lambda s, t: files.line(t, "stderr" if s == 2 else "stdout")), (late_live, lambda s, t: live(name, t + "\n", s))), 2):
            for _ in range(draw.randrange(len(late) + 1)):
                send(*late.pop(0))
        stop.wait(draw.random() * 0.004)


for turn in range(2 if SLOW > 1 else 6):
    draw, name, tty = random.Random(SEED + turn), f"busy{turn}", turn % 2 == 0
    files, stop, wrote = begin(name, command=["sleep", "1000"], **({"tty": True} if tty else {})), threading.Event(), {1: [], 2: []}
    thread = threading.Thread(target=writer, args=(name, files, draw, stop, wrote, tty))
    thread.start()
    until(lambda: len(wrote[1]) > 20, "lines")
    console = Console(f"/v1/instances/{name}/attach?tail=10&role=observer")
    console.read_until(lambda: cursors(console))
    until(lambda: len(wrote[1]) > 60, "more lines")
    stop.set()
    thread.join()
    world.engine.ask("POST", "/fake/exit", {"id": world.instance(name)["container_id"], "code": 0})
    console.rest()
    for stream, channel in ((1, OUTPUT), (2, ERRORS)):
        whole = "".join(text + "\n" for text in wrote[stream]).encode()
        ok(whole.endswith(bytes(console.got[channel])) and (stream == 2 or len(console.got[channel]) > 40),
           f"{name}: stream {stream} is the end of what was written, each line once", console.got[channel][-300:], whole[-300:])
    equal([one["exact"] for one in cursors(console)], [True], f"{name}: joined")

# lines that are all the same tell nothing of their place: it is looked for until the process rests
TICK, COUNT = "tick " * 20, 300
files = begin("same", command=["sleep", "1000"])
first = Console("/v1/instances/same/attach?role=observer")
first.role()
for number in range(COUNT):
    if number == 50:
        cursor = world.log_lines("same")[39]["cursor"]
        console = Console(f"/v1/instances/same/attach?after={cursor}&role=observer")
    files.line(TICK)
    live("same", TICK + "\n")
console.read_until(lambda: cursors(console))
live("same", "end\n")
console.read_until(lambda: console.got[OUTPUT].endswith(b"end\n"))
equal((console.got[OUTPUT].count(b"\n") - 1, cursors(console)[0]["exact"]), (COUNT - 40, True), "a flow of lines that are all the same: each once")
console.leave(), first.leave()

# --- ends --------------------------------------------------------------------------------------------
files = begin("ends", command=["sleep", "1000"])
files.line("first")
other = Console("/v1/instances/ends/attach?role=observer")
other.role()
console = Console("/v1/instances/ends/attach?tail=5")
console.role()
live("ends", "last words")
files.line("last words", newline=False)
world.engine.ask("POST", "/fake/exit", {"id": world.instance("ends")["container_id"], "code": 3})
equal((console.rest().got[OUTPUT], console.closed[0]), (b"first\nlast words", 1000), "a process that ends meanwhile: all of it, once")
files = begin("gone", command=["sleep", "1000"])
files.line("x" * 100)
before = world.descriptors()
for _ in range(20):
    Console("/v1/instances/gone/attach?tail=1").leave()
until(lambda: world.descriptors() <= before, "nothing to be left of those who vanish")
console = Console("/v1/instances/gone/attach?tail=1")
console.role()
equal(world.stop(), 0, "gantryd stops")
equal(console.rest().closed[0], 1001, "who waits is told")
done()
