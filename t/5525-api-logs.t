#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Logs by the API, from files that are written here as the engine's drivers write them: forms, filters, cursors,
followers that are quick and slow, rotation, damage, and what was dropped unread."""
import base64
import itertools
import os
import shutil
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *
from logfiles import LogFiles

world = World().start()
made = 0


def begin(driver="json-file", **options):
    """A running instance and the writer of its log."""
    global made
    made += 1
    name = f"log{made}"
    folder = os.path.join(world.folder, name)
    files = LogFiles(folder, driver, **options)
    spawned = world.spawn(name=name, labels={"fake.log": folder},
                          log={"driver": driver, "files": files.files})
    equal(spawned.status, 201, f"{name} runs")
    return name, files


def path(name, **query):
    text = "&".join(f"{key}={value}" for key, value in query.items())
    return f"/v1/instances/{name}/logs" + (f"?{text}" if text else "")


lines = world.log_lines


def texts(found):
    return [line.get("text", line.get("gap", {}).get("why") and "GAP") for line in found]


def numbers(found):
    return [int(line["cursor"].split(".")[1]) for line in found]


def take(stream, count):
    """The next lines of a stream."""
    return [stream.json() for _ in range(count)]


def container(name):
    return world.instance(name)["container_id"]


def end(name, code=0):
    world.engine.ask("POST", "/fake/exit", {"id": container(name), "code": code})


# forms
for driver in ("json-file", "local"):
    name, files = begin(driver)
    equal(lines(name), [], f"{driver}: nothing was printed")
    files.line("hello")
    files.line(b"a\0b\r\xff\xe2\x82", "stderr")
    files.line("é" * 9000)  # a character over the cut at 16 KiB
    files.line("")
    found = lines(name)
    lossy = {"lossy_source": True} if driver == "json-file" else {}
    equal([(line["cursor"], line["stream"]) for line in found],
          [("1.1", "stdout"), ("1.2", "stderr"), ("1.3", "stdout"), ("1.4", "stdout")], "cursors and streams")
    equal({k: v for k, v in found[0].items() if k != "time"}, {"cursor": "1.1", "stream": "stdout", "text": "hello", **lossy}, "a line")
    if driver == "local":
        equal(base64.b64decode(found[1]["data"]), b"a\0b\r\xff\xe2\x82", "what is no UTF-8 comes as base64, each byte")
        equal(found[2]["text"], "é" * 9000, "a character over the cut is whole")
    else:
        equal(found[1]["text"], "a\0b\r\ufffd\ufffd", "the driver has replaced what is no UTF-8, and the line says so")
    raw = world.get(path(name, format="raw", stream="stdout"))
    equal((raw.headers["Content-Type"], raw.body[:8], raw.body[-2:]), ("application/octet-stream", b"hello\n" + found[2]["text"].encode()[:2], b"\n\n"), "raw")
    stamped = world.get(path(name, format="raw", timestamps="true", tail=1))
    equal(stamped.body.decode(), found[3]["time"] + " \n", "raw with its time")
    framed = world.get(path(name, format="frames", stream="stderr"))
    head = struct.unpack(">BBxxIqqq", framed.body[:32])
    equal((framed.headers["Content-Type"], head[0], head[2], head[4:], framed.body[32:34]),
          ("application/vnd.gantry.log", 2, len(framed.body) - 32, (1, 2), b"a\0"), "frames")
    equal(ask(world.socket, "HEAD", path(name)).status, 200, "HEAD")
    files.close()


def frames(name, **query):
    """(stream, flags, boot, sequence, data) of each frame."""
    body, found = world.get(path(name, format="frames", **query)).body, []
    while body:
        stream, flags, length, _, boot, sequence = struct.unpack(">BBxxIqqq", body[:32])
        found.append((stream, flags, boot, sequence, body[32:32 + length]))
        body = body[32 + length:]
    return found


# many lines in a frame, where they are of one stream and whole
for driver in ("json-file", "local"):
    name, files = begin(driver)
    lossy = 4 if driver == "json-file" else 0
    one, two = [[f'{part} "{number}"' for number in range(count)] for part, count in (("first", 9000), ("then", 300))]
    for text in one:
        files.line(text)
    files.line("an error", "stderr")
    for text in two:
        files.line(text)
    files.line("x" * 20000)  # was joined
    files.line("the end", newline=False)
    found = frames(name)
    joined = {stream: b"".join(data if flags & (8 | 2) else data + b"\n" for s, flags, _, _, data in found if s == stream) for stream in (1, 2)}
    printed = "\n".join([*one, *two, "x" * 20000, "the end"]).encode()
    equal((joined[1] == printed, joined[2]), (True, b"an error\n"), f"{driver}: frames of many lines have every byte")
    equal((len(found) < 1000, max(len(data) for *_, data in found) <= 65536, found[-1][1]), (True, True, lossy | 2),
          "they are few, and none too large; a line without its newline is one of its own")
    equal((found[-1][2:4], [sequence for stream, flags, _, sequence, data in found if stream == 2]), ((1, 9303), [9001]), "their cursor is the last line's")
    cursor = next(sequence for _, flags, _, sequence, _ in found if flags & 8)
    equal(frames(name, after=f"1.{cursor}")[0][4].split(b"\n")[0].decode(), one[cursor], "behind which the next one comes")
    stamped = frames(name, timestamps="true")
    equal((len(stamped), {flags for _, flags, *_ in stamped}), (9303, {lossy, lossy | 2}), "each line in one of its own, where its time is wanted")
    raw = world.get(path(name, format="raw", stream="stdout")).body
    equal(raw == printed, True, "raw")
    equal([data for *_, data in frames(name, grep="%22299%22")], [b'first "299"\n', b'then "299"\n'], "what is not wanted is not among them")
    files.close()

# lines of more than 1 MiB come in parts
MIB = 1 << 20
for driver in ("local", "json-file"):
    name, files = begin(driver)
    long = b"".join(b"%07d " % number for number in range(5 * MIB // 16))  # 2.5 MiB
    files.line("before")
    files.line(long)
    files.line("after", "stderr")
    found = lines(name)
    equal([(line["cursor"], len(line["text"]), line.get("partial", False)) for line in found],
          [("1.1", 6, False), ("1.2", MIB, True), ("1.3", MIB, True), ("1.4", MIB // 2, False), ("1.5", 5, False)],
          f"{driver}: each part of a line of 2.5 MiB but the last says that it goes on")
    equal("".join(line["text"] for line in found[1:4]).encode() == long, True, "together they are the line")
    equal([line["cursor"] for line in lines(name, after="1.2")], ["1.3", "1.4", "1.5"], "a cursor between them is good")
    equal(world.get(path(name, format="raw", stream="stdout")).body == b"before\n" + long + b"\n", True, "raw: no newline between parts")
    equal([(flags & 3, len(data)) for _, flags, _, _, data in frames(name, stream="stdout", after="1.1")], [(1, MIB), (1, MIB), (0, MIB // 2)], "frames")
    files.close()

# filters
name, files = begin()
for number in range(1, 1001):
    files.line(f"line {number}", "stderr" if number % 10 == 0 else "stdout", ns=1_700_000_000_000_000_000 + number * 1_000_000_000)
equal(len(lines(name)), 1000, "all")
equal(numbers(lines(name, tail=3)), [998, 999, 1000], "tail")
equal(lines(name, tail=0), [], "a tail of none")
equal(len(lines(name, tail=5000)), 1000, "a tail of more than there are")
equal(numbers(lines(name, stream="stderr", tail=2)), [990, 1000], "a tail of one stream")
equal(numbers(lines(name, grep="line%2077")), [77, *range(770, 780)], "grep")
equal(numbers(lines(name, grep="line%2077", tail=2)), [778, 779], "grep and tail")
equal(numbers(lines(name, since="2023-11-14T22:29:59Z")), list(range(999, 1001)), "since")
equal(numbers(lines(name, until="2023-11-14T22:13:22.5Z")), [1, 2], "until")
equal(numbers(lines(name, after="1.990")), list(range(991, 1001)), "after")
equal(numbers(lines(name, after=".999")), [1000], "after a sequence alone")
equal(texts(lines(name, after="1.5000")), ["GAP"], "a cursor that is not reached is told")
for query in ("tail=-1", "tail=x", "since=yesterday", "until=1", "stream=stdin", "after=7", "after=1.x", "after=-1.2", "format=xml",
              "follow=yes", "grep=" + "x" * 1025):
    equal(world.get(path(name) + "?" + query).status, 400, f"{query[:20]}: 400")
equal(world.get(path("nobody")).status, 404, "no such instance: 404")

# following: over a restart, to the end
name, files = begin("local")
files.line("first")
follower = world.stream(path(name, follow="true"))
late = world.stream(path(name, follow="true", tail=0))
equal(follower.json()["text"], "first", "what was there")
files.line("second")
equal(follower.json()["cursor"], "1.2", "and what comes")
equal(late.json()["cursor"], "1.2", "also to one that wanted nothing of before")
files.line("x" * 16384, newline=False)
end(name)
until(lambda: world.state(name) == "stopped", "the end")
found = follower.json()
equal((len(found["text"]), found.get("no_newline"), found["cursor"]), (16384, True, "1.3"), "the end of the process ends a line")
equal((follower.json(), follower.ended, follower.cut), (None, True, False), "and the stream, where nobody starts it again")
equal(len(lines(name)), 3, "the line without newline is among them")
equal(numbers(lines(name, tail=1)), [3], "also for a tail")
equal(world.post(f"/v1/instances/{name}/start?wait={LIMIT}").status, 200, "started again")
files.line("again")
equal([line["cursor"] for line in lines(name)], ["1.1", "1.2", "1.3", "2.4"], "of the next boot, numbered on")
follower = world.stream(path(name, follow="true", after="1.3"))
equal(follower.json()["text"], "again", "after a cursor of the boot before")
answer = world.post(f"/v1/instances/{name}/restart?wait={LIMIT}", {"grace": 0})
files.line("third")
equal(follower.json()["cursor"], "3.5", "a restart does not end a follower")
index = os.path.join(world.folder, "logs", world.instance(name)["id"])
ok(os.path.exists(index), "something is remembered of its log")
world.delete(f"/v1/instances/{name}?force=true&wait={LIMIT}")
equal((follower.json(), follower.ended), (None, True), "a removal does")
equal([line["cursor"] for line in lines(name)], ["1.1", "1.2", "1.3", "2.4", "3.5"], "its lines are there still")

# rotation while it is followed, compressed and not
for driver, compress in (("local", True), ("json-file", False)):
    name, files = begin(driver, size=20_000, files=3, compress=compress)
    follower = world.stream(path(name, follow="true"))
    for number in range(1, 2001):
        files.line(f"line {number} " + "y" * 60)
        if number % 50 == 0:
            found = take(follower, 50)
            if number % 500 == 0:
                equal(numbers(found), list(range(number - 49, number + 1)), f"{driver}: up to line {number}")
    ok(os.path.exists(files.path + (".2.gz" if compress else ".2")), "it was rotated")
    files.line("last")
    equal(follower.json()["cursor"], "1.2001", "each line once, numbered over the files")
    follower.close()
    found = lines(name)
    equal((texts(found)[0], texts(found)[-1], numbers(found)[-1]), ("GAP", "last", 2001), "what was dropped since is told to the next reader")
    equal((found[0]["gap"]["lines"], numbers(found)[1]), (numbers(found)[0], numbers(found)[0] + 1), "and counted: somebody had read it")
    ok(found[0]["gap"]["from"] < found[0]["gap"]["to"], "with its time span")
    cursor = found[len(found) // 2]["cursor"]
    before = found[len(found) // 2 + 1:]
    equal(lines(name, after=cursor), before, "after a cursor over files")
    world.kill()
    files.line("while it was down")
    world.start()
    equal(lines(name, after=cursor), before + lines(name, tail=1), "and after gantryd was killed: the same numbers")
    for number in range(1500):
        files.line("nobody reads this " + "z" * 60)
    found = lines(name, after=cursor)
    equal((texts(found)[0], "lines" in found[0]["gap"]), ("GAP", False), "what was dropped unread cannot be counted")
    has(found[0]["gap"]["why"], "nobody knows how many", "and the gap says so")
    ok(numbers(found)[0] == 1_000_000_000 and numbers(found)[1:] == list(range(1_000_000_001, 1_000_000_000 + len(found))),
       "the numbers jump, and none comes twice")
    files.close()

# a file that is cut short in its place, as with one file only
name, files = begin("json-file", size=10_000, files=1)
follower = world.stream(path(name, follow="true"))
files.line("one")
equal(follower.json()["text"], "one", "before")
files.rotate()
files.line("two")
found = take(follower, 2)
equal((texts(found), numbers(found)), (["GAP", "two"], [1_000_000_000, 1_000_000_001]), "a file that begins anew may have cost lines: a gap")
follower.close()

# damage
name, files = begin("json-file")
files.line("one")
files.raw(b'{"log":"torn by a cra')
follower = world.stream(path(name, follow="true"))
equal(texts(take(follower, 1)), ["one"], "half a line waits")
files.raw(b'sh\\n","stream":"stdout","time":"2026-01-02T03:04:05Z"}\n')
equal(texts(take(follower, 1)), ["torn by a crash"], "for its other half")
files.raw(b'{"log":"never finish')
files.line("two")
files.raw(b"\0\0\0\0garbage\n\n")
files.line("three")
found = take(follower, 4)
equal((texts(found), [f["cursor"] for f in found]), (["GAP", "two", "GAP", "three"], ["1.2", "1.3", "1.3", "1.4"]), "what is damaged is told, and no line behind it is lost")
follower.close()
equal(texts(lines(name)), ["one", "torn by a crash", "GAP", "two", "GAP", "three"], "by a new reader, too")
equal(texts(lines(name, tail=2)), ["GAP", "two", "GAP", "three"], "a tail counts lines; what is missing in front of one is told with it")
files.close()
name, files = begin("local", size=8000, files=4, compress=True)
for number in range(1, 121):
    files.line(f"{number} " + os.urandom(60).hex())
    if number == 110:
        files.raw(b"\0\0\0\x30 cut off")
whole = lines(name)
equal([line.get("text", "GAP").split()[0] for line in whole[-11:]], ["GAP", *map(str, range(111, 121))], "local: a damaged message is told, and no line behind it is lost")
DAMAGED = "a message in the log is damaged"


def harm(name, packed, whole, rest, what):
    """Reads the log with a compressed file of it damaged in each way; rest: so many of its last lines are behind that."""
    with open(packed, "rb") as file:
        right = file.read()
    for how, wrong in (("is cut", right[:len(right) // 2]), ("is harmed amid it", right[:1000] + b"\xff" * 99 + right[1099:]), ("is harmed at its beginning", right[:12] + b"\xff" * 99 + right[111:]),
                       ("is all zeros", bytes(len(right))), ("is empty", b"")):
        with open(packed, "wb") as file:
            file.write(wrong)
        found = lines(name)
        told = [line for line in found[:-rest] if "gap" in line]
        equal(found[-rest:], whole[-rest:], f"{what} that {how}: all behind it is there, with its numbers")
        equal([line["gap"]["why"] for line in told], [DAMAGED], "the damage is told, as one gap")
        at = found.index(told[0])
        equal(told[0]["gap"].get("lines"), numbers(found)[at + 1] - 1 - (numbers(found)[at - 1] if at else 0), "with the number of lines that are missing")
    with open(packed, "wb") as file:
        file.write(right)


harm(name, files.path + ".2.gz", whole, 60, "a compressed file")
files.close()
name, files = begin("local", size=200_000, files=5, compress=True)
for number in range(1, 19):
    files.line(f"{number} " + os.urandom(20_000).hex())
harm(name, files.path + ".2.gz", lines(name), 4, "one with lines of many messages")
files.close()
for driver, junk, compress in (("json-file", b"x\n", False), ("json-file", b"x" * 99 + b"\n", False), ("local", b"\0\0\0\x30 cut off", True)):
    name, files = begin(driver, size=8000, files=9, compress=compress)
    files.raw(junk)
    for number in range(1, 61):
        files.line(f"{number} " + os.urandom(60).hex())
    equal([line.get("text", "GAP").split()[0] for line in lines(name)], ["GAP", *map(str, range(1, 61))],
          f"{driver}: where the first message of all is damaged the rest of its file is read, {'compressed' if compress else 'or not'}")
    files.close()

# one slow follower: the others and the writer do not wait for it, and it loses nothing that is still there
name, files = begin("local", size=1 << 20, files=3)
slow = world.stream(path(name, follow="true"))
quick = world.stream(path(name, follow="true", format="ndjson"))
for number in range(1, 80_001):
    files.line(f"{number} " + "w" * 100)
    if number % 1000 == 0:
        found = take(quick, 1000)
        if numbers(found) != list(range(number - 999, number + 1)):
            ok(False, f"the quick one has each line once, up to {number}")
ok(True, "the quick one went on")
got, gaps = [], []
while not got or got[-1] < 80_000:
    line = slow.json()
    if "gap" in line:
        gaps.append((got[-1] if got else 0, line["gap"]["lines"], numbers([line])[0]))
    else:
        got += numbers([line])
ok(0 < len(gaps) <= 2, f"the slow one was told of what it lost ({len(gaps)} gaps)")
lost = 80_000 - len(got)
equal(sum(gap[1] for gap in gaps), lost, f"to the line: {lost}")
ok(all(b > a for a, b in zip(got, got[1:])), "and has the rest in order, once")
slow.close()
quick.close()

# one that is behind when the instance is removed goes on with what was kept
name, files = begin("local", size=1 << 20, files=5)
for number in range(1, 30_001):
    files.line(f"{number} " + "s" * 100)
slow = world.stream(path(name, follow="true"))
slow.json()
world.delete(f"/v1/instances/{name}?force=true&wait={LIMIT}")
shutil.rmtree(files.folder)
got = [1, *numbers([json.loads(line) for line in slow.rest()])]
equal((got == list(range(1, 30_001)), slow.ended), (True, True), f"who was behind has every line of a log that was removed ({len(got)})")
slow.close()

# without a word in the settings there is a limit to what a follower is given of a flood
name, files = begin("local")
line, second = b"f" * (1 << 16), 1_700_000_000 * 10**9
for number in range(1, 1201):  # 75 MiB of one second
    files.line(line, ns=second + number)
flooded = world.stream(path(name, follow="true"))
files.line("later", ns=second + 60 * 10**9)
given = []
while not given or given[-1].get("text") != "later":
    given.append(flooded.json())
gaps = [line["gap"] for line in given if "gap" in line]
equal([(gap["lines"] + len(given) - 2, gap["why"]) for gap in gaps], [(1200, "more was printed than a follower is given")],
      f"the rate is limited unless settings say otherwise ({len(given) - 2} of 1200 lines)")
flooded.close()
files.close()

# nothing is left behind
name, files = begin("local")
files.line("x")
def few_log_descriptors():
    folder = f"/proc/{world.daemon.pid}/fd"
    try:
        names = [os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder)]
    except FileNotFoundError:  # one was closed while we looked
        return False
    return sum(".log" in name or "inotify" in name for name in names) <= 2


until(few_log_descriptors, "the readers' files to be closed")
ok(True, "no file is open that nobody reads")
follower = world.stream(path(name, follow="true", tail=1))
follower.json()
equal(world.stop(), 0, "gantryd ends in order while somebody follows")
equal((follower.json(), follower.cut), (None, True), "whose stream is cut, not ended")

# a follower is given so much of what is printed in a second, and told of the rest; who reads what there is has all
world = World(settings='plugins = { stdout = { follow_rate = "100KiB", follow_burst = "300KiB" } }\nkeep_logs = 0').start()
lines = world.log_lines
name, files = begin("local")
follower = world.stream(path(name, follow="true"))
SECOND, WHY = 10**9, "more was printed than a follower is given"
for second in (1, 2, 3):
    for number in range(1000):
        files.line(f"{second} " + "r" * 958, ns=1_700_000_000 * SECOND + second * SECOND + number)  # 1,024 bytes with what a line costs
files.line("then less", ns=1_700_000_010 * SECOND)
found = take(follower, 300 + 1 + 100 + 1 + 100 + 1 + 1)
equal([line.get("text", "GAP")[:4] for line in found], ["1 rr"] * 300 + ["GAP"] + ["2 rr"] * 100 + ["GAP"] + ["3 rr"] * 100 + ["GAP", "then"], "a burst, then the rate")
equal([(line["gap"]["lines"], line["gap"]["why"]) for line in found if "gap" in line], [(700, WHY), (900, WHY), (900, WHY)],
      "what is left out is counted, and told with its reason")
equal((numbers(found)[299:302], numbers(found)[-1]), ([300, 300, 1001], 3001), "numbers go on")
equal(found[300]["gap"]["from"][-13:-1], "21.000000300", "with the time from which")
for number in range(1000):
    files.line("last " + "r" * 955, ns=1_700_000_011 * SECOND + number)
found = take(follower, 301)
equal((texts(found)[-1], found[-1]["gap"]["lines"]), ("GAP", 700), "a gap at the end is told where nothing comes behind it")
equal(len(lines(name)), 4001, "who does not follow has every line")
equal(numbers(lines(name, after="1.300", tail=2701))[0], 1301, "also those that were left out")
late = world.stream(path(name, follow="true"))
equal([line.get("text", "GAP")[:4] for line in take(late, 302)], ["1 rr"] * 300 + ["GAP", "2 rr"], "another follower is given the same, later")
late.close()
found = frames(name, follow="true", until="2023-11-14T22:13:30.5Z")
parts = itertools.groupby([frame for frame in found if frame[4]], key=lambda frame: frame[0])
equal([sum(data.count(b"\n") for *_, data in part) if stream else [json.loads(data)["gap"]["lines"] for *_, data in part] for stream, part in parts],
      [300, [700], 100, [900], 100, [900], 1], "and one whose lines come many in a frame")
ok(len(found) < 20, f"which are few ({len(found)})")
world.post(f"/v1/instances/{name}/stop?wait={LIMIT}")
until(lambda: world.state(name) == "stopped", "the end")
equal((follower.json(), follower.ended), (None, True), "a follower ends")
name, files = begin("local", size=1 << 20, files=5)
for number in range(1, 30_001):
    files.line(f"{number} " + "s" * 100)
slow = world.stream(path(name))
slow.json()
world.delete(f"/v1/instances/{name}?force=true&wait={LIMIT}")
shutil.rmtree(files.folder)
rest = [json.loads(line) for line in slow.rest()]
equal((rest[-1].get("gap", {}).get("why"), numbers(rest[:-1]) == list(range(2, len(rest) + 1)), slow.ended),
      ("the rest of the log has gone with its container", True, True), f"where nothing is kept, who was behind is told ({len(rest)})")
equal(world.stop(), 0, "gantryd ends in order")
done()
