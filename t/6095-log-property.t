#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Any interleaving of write, rotate, end and start of the process, kill of gantryd, and a reader that leaves and
comes back with its cursor: each line once, in order and as it was written, or a gap in its place that counts what is
missing where it says a number. So it is of files, and of an engine's log endpoint, whose connections break and which drops
what it has. LOG_SEED=N and LOG_STEPS=N choose another run; the seed is in the name of each test."""
import base64
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from daemon import *
from logfiles import PART, LogFiles

SEEDS, FAR_SEEDS = [[int(os.environ["LOG_SEED"])]] * 2 if "LOG_SEED" in os.environ else [[1, 5, 11, 27, 39, 44], [2, 3, 7]]
STEPS = int(os.environ.get("LOG_STEPS", 60))
world = World(contract=False).start()


class Log:
    """The writer, and what a reader must see."""

    KINDS = {"line": 6, "lines": 6, "mixed": 3, "flood": 1, "boot": 1, "kill": 1, "leave": 3, "read": 8}

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.name = f"p{seed}"
        folder = os.path.join(world.folder, self.name)
        driver = self.random.choice(["local", "json-file"])
        self.files = LogFiles(folder, driver, size=self.random.choice([20_000, 100_000]),
                              files=self.random.choice([2, 3, 5]), compress=self.random.random() < 0.5)
        self.what = f"{driver}, {self.files.files} files of {self.files.size}{', compressed' if self.files.compress else ''}"
        self.written = []  # (stream, text, ended by a newline), in the order of their ends
        assert world.spawn(name=self.name, labels={"fake.log": folder}, log={"driver": driver, "files": self.files.files}).status == 201

    def text(self):
        size = self.random.choice([0, 20, 20, 20, 200, 5000, PART - 1, PART, PART + 1, 40_000])
        letters = "abcé\"\\" if self.files.driver == "local" else "abc\"\\"  # json-file breaks what the cut breaks
        number = len(self.written)  # at both ends, so that an end alone is known
        return f"{number} {self.random.choice(letters) * size} {number}".encode()

    def line(self, newline=True):
        stream, text = self.random.choice(["stdout", "stderr"]), self.text()
        self.files.line(text, stream, newline)
        self.written.append((stream, text, newline))

    def mixed(self):
        """A long line of one stream, and short ones of the other between its parts."""
        ns, text = self.files.now(), f"{len(self.written)} long {'l' * 40_000} long {len(self.written)}".encode()
        pieces = [text[at:at + PART] for at in range(0, len(text), PART)]
        self.files.parts += 1
        for number, piece in enumerate(pieces, 1):
            self.files.put(self.files.message("stdout", piece, ns, number, number == len(pieces)))
            if number < len(pieces):
                between = f"between {len(self.written)}".encode()
                self.files.line(between, "stderr")
                self.written.append(("stderr", between, True))
        self.written.append(("stdout", text, True))

    def boot(self):
        if self.random.random() < 0.7:
            self.line(newline=False)
        id = world.instance(self.name)["container_id"]
        world.engine.ask("POST", "/fake/exit", {"id": id, "code": 0})
        until(lambda: world.state(self.name) == "stopped", "the end")
        assert world.post(f"/v1/instances/{self.name}/start?wait={LIMIT}").status == 200


class FarLog(Log):
    """One that is read from the engine's endpoint."""

    KINDS = {"line": 6, "lines": 6, "drop": 1, "cut": 1, "boot": 1, "kill": 1, "leave": 3, "read": 8}

    def __init__(self, seed):
        self.random, self.name, self.what, self.written = random.Random(seed), f"far{seed}", "from the endpoint", []
        assert world.spawn(name=self.name).status == 201
        self.id = world.instance(self.name)["container_id"]
        self.line()
        assert world.stream(f"/v1/instances/{self.name}/logs").rest()  # of what the engine dropped before anybody had read nobody knows

    def line(self, newline=True):
        stream, size = self.random.choice([1, 2]), self.random.choice([0, 20, 20, 200, 5000])
        text = f"{len(self.written)} {'x' * size} {len(self.written)}"
        assert world.engine.ask("POST", "/fake/write", {"id": self.id, "stream": stream, "text": text + "\n"}).status == 200
        self.written.append((("stdout", "stderr")[stream - 1], text.encode(), True))

    def drop(self):
        """All that is there; with the next line one is told of it."""
        world.engine.ask("POST", "/fake/drop-log", {"id": self.id})
        self.line()

    def cut(self):
        world.engine.ask("POST", "/fake/restart", {"down_ms": self.random.choice([0, 50])})
        until(lambda: os.path.exists(world.engine.socket), "the engine to be back")
        until(lambda: world.get("/v1/health").json["status"] == "ok" and world.state(self.name) in ("running", "stopped"), "the node to be up")


class Reader:
    """Follows; comes back with its cursor. found: what it saw."""

    def __init__(self, log):
        self.log, self.stream, self.cursor, self.found = log, None, None, []

    def leave(self):
        if self.stream:
            self.stream.close()
        self.stream = None

    def has(self, line):
        """Or its end, where its first parts were dropped."""
        return self.found and self.found[-1][1] == line[0] and line[1].endswith(self.found[-1][2])

    def read(self):
        """All that there is now, and sometimes what comes next."""
        query = f"?after={self.cursor}" if self.cursor else "?"
        if not self.stream:
            self.stream = world.stream(f"/v1/instances/{self.log.name}/logs{query}&follow=true")
            assert self.stream.status == 200, self.stream.head
        last = self.log.written[-1] if self.log.written else None
        while last and not self.has(last):
            line = self.stream.json()
            if line is None:  # the process had just ended: a new stream
                self.leave()
                return
            self.cursor = line["cursor"]
            number = int(self.cursor.split(".")[1])
            if "gap" in line:
                self.found.append((number, None, line["gap"].get("lines"), line["gap"]["why"]))
            else:
                text = line["text"].encode() if "text" in line else base64.b64decode(line["data"])
                self.found.append((number, line["stream"], text, not line.get("no_newline", False)))



def judge(written, found):
    """What is wrong with what a reader saw; None.

    The first line of each stream behind a gap may be the end of one whose beginning is in the gap. Behind one that is not
    counted the first whole line tells where the log goes on.
    """
    place = {line: at for at, line in enumerate(written)}
    at, since, number, lost, ends, fresh = 0, 0, 0, False, [], set()
    for sequence, stream, text, newline in found:
        if stream is None:
            if sequence < number:
                return f"a gap went back from {number} to {sequence}"
            since = since if lost else at
            number, lost, fresh = sequence, True, {"stdout", "stderr"}
            if text is not None:
                at += text  # counted
            continue
        if sequence != number + 1:
            return f"line {sequence} comes after {number}"
        number, line = sequence, (stream, text, newline)
        if lost and line not in place and stream in fresh:  # one of each stream, behind each gap
            ends.append(line)
            fresh -= {stream}
            at += 1
            continue
        if lost:
            if place.get(line, -1) < at:
                return f"{line!r:.80} behind a gap is not one of those after line {at}"
            for end in ends:
                if not any(w[0] == end[0] and w[2] == end[2] and w[1].endswith(end[1]) for w in written[since:place[line]]):
                    return f"{end!r:.80} behind a gap is the end of no line"
            at, lost, ends = place[line], False, []
        cut = stream in fresh and at < len(written) and written[at][0] == stream and written[at][1].endswith(text)
        fresh -= {stream}
        if not cut and (at >= len(written) or written[at] != line):
            return f"number {number} is {line!r:.80}, and not {written[at] if at < len(written) else None!r:.80}"
        at += 1
    return None if at == len(written) else f"it ends after {at} of {len(written)}"


# the judge is judged first
W = [("stdout", "a", True), ("stdout", "b", True), ("stdout", "c", True)]
L = [(1, *W[0]), (2, *W[1]), (3, *W[2])]
ok(judge(W, L) is None and judge(W, [L[0], (2, None, 1, ""), L[2]]) is None and
   judge(W, [L[0], (9, None, None, ""), (10, *W[2])]) is None, "the judge lets pass what is right")
ok(all(judge(W, wrong) for wrong in ([L[0], L[2]], L[:2], [L[0], L[0], *L[1:]], [L[1], L[0], L[2]], [L[0], (2, None, 2, ""), (3, *W[2])],
                                     [L[0], (2, "stderr", "b", True), L[2]], [*L[:2], (3, "stdout", "d", True)])), "and nothing that is wrong")

for log in (kind(number) for kind, numbers in ((Log, SEEDS), (FarLog, FAR_SEEDS)) for number in numbers):
    seed = log.name
    readers = [Reader(log), Reader(log)]
    kinds = {}
    for _ in range(STEPS):
        kind = log.random.choices(list(log.KINDS), list(log.KINDS.values()))[0]
        kinds[kind] = kinds.get(kind, 0) + 1
        if kind == "line":
            log.line()
        elif kind == "lines":
            for _ in range(log.random.randrange(30)):
                log.line()
        elif kind == "mixed":
            log.mixed()
        elif kind == "flood":
            for _ in range(200):
                log.line()
        elif kind in ("boot", "drop", "cut"):
            getattr(log, kind)()
        elif kind == "kill":
            world.kill()
            world.start()
            for reader in readers:
                reader.leave()
        elif kind == "leave":
            log.random.choice(readers).leave()
        else:
            log.random.choice(readers).read()
    log.line()
    for number, reader in enumerate(readers):
        reader.read()
        while not reader.stream:
            reader.read()
        wrong = judge(log.written, reader.found)
        gaps = [entry for entry in reader.found if entry[1] is None]
        ok(wrong is None, f"{seed}, reader {number}: {log.what}; {len(log.written)} lines, {len(gaps)} gaps; {kinds}", wrong or "", *gaps)
        if wrong and "LOG_SEED" in os.environ:
            for entry in reader.found:
                print("#", entry[0], entry[1], repr(entry[2])[:40], entry[3])
        reader.leave()
    fresh = Reader(log)
    fresh.read()
    wrong = judge(log.written, fresh.found)
    ok(wrong is None, f"{seed}: a reader that comes last", wrong or "")
    fresh.leave()
    world.delete(f"/v1/instances/{log.name}?force=true&wait={LIMIT}")
done()
