#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""gantry logs against a server that plays gantryd: lines and frames as they come, and on after a cut."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake"))
from command import *


def line(stream, text, sequence, flags=0, boot=1):
    """A frame of the log."""
    return struct.pack(">BBxxIqqq", stream, flags, len(text), 1767323045000000006, boot, sequence) + text


def log(*frames, piece=None):
    return output(*frames, piece=piece, form="log")


def logs(fake, gantry):
    where = ("GET", f"/v1/instances/{ID}/logs")
    noise = bytes(range(256)) * 20
    all_lines = (line(1, b"one", 1), line(2, b"err", 2), line(0, b"", 0), line(1, noise, 3), line(1, b"a", 4, 1), line(1, b"b", 5),
                 line(0, b'{"gap":{"why":"it went","lines":7}}', 12), line(0, b'{"gap":{"why":"so did others"}}', 12), line(1, b"end", 13, 2))
    for piece in (None, 1, 7, 100):
        fake.answers[where] = log(*all_lines, piece=piece)
        result = gantry("logs", ID, raw=True)
        equal((result.status, result.out == b"one\n" + noise + b"\nab\nend", result.err),
             (0, True, f"err\ngantry: {ID}: 7 lines are missing here: it went\ngantry: {ID}: lines are missing here: so did others\n".encode()),
             f"a log arrives to the byte on its streams, in pieces of {piece or 'any'} size")
    at, later = "2026-01-02T03:04:05.000000006Z", "2026-01-02T03:04:06.000000000Z"
    for fields, told in (({"why": "it went", "lines": 7, "from": at, "to": later}, f"7 lines are missing here: it went (from {at} to {later})"),
                         ({"why": "it went", "lines": 1, "from": at, "to": at}, f"1 line is missing here: it went (at {at})"),
                         ({"why": "it went", "to": later}, f"lines are missing here: it went (until {later})"),
                         ({"why": "the rest went", "from": at}, f"lines are missing here: the rest went (since {at})"),
                         ({"why": "one is damaged", "lines": 0, "to": at}, f"one is damaged (until {at})")):
        fake.answers[where] = log(line(0, json.dumps({"gap": fields}).encode(), 12))
        check(gantry("logs", ID), 0, "", f"gantry: {ID}: {told}\n", f"a gap with {', '.join(fields)}")
    many = b"".join(b"line %d\n" % n for n in range(9000))
    for piece in (None, 7, 16384):
        fake.answers[where] = log(line(1, b"a", 1), line(1, many, 9001, 8), line(2, b"e\nf\n", 9003, 8), line(1, b"end", 9004), piece=piece)
        result = gantry("logs", ID, raw=True)
        equal((result.status, result.out == b"a\n" + many + b"end\n", result.err), (0, True, b"e\nf\n"),
              f"frames of many lines, in pieces of {piece or 'any'} size")
    fake.take()
    fake.answers[where] = log(line(1, b"a", 4, 1), line(1, b"b", 5), line(2, b"c", 6))
    time = "2026-01-02T03:04:05.000000006Z "
    check(gantry("logs", "-t", ID), 0, f"{time}ab\n", f"{time}c\n", "-t: the time once a line")
    equal(fake.take()[-1].query, "format=frames&timestamps=true", "for which each comes in a frame of its own")
    gantry("logs", "-f", "-n", "5", "--stream", "stderr", "--grep", "a b", "--since", "2026-01-02T03:04:05Z", "--until", "soon", "--after", "1.3", ID)
    equal(fake.take()[-1].query, "format=frames&follow=true&since=2026-01-02T03%3A04%3A05Z&until=soon&stream=stderr&grep=a%20b&after=1.3&tail=5",
         "what was asked for is asked for")
    gantry("logs", "--since", "10m", ID)
    has(fake.take()[-1].query, "since=20", "a span is a time so long ago")

    def cut(handler, _):
        handler.stream("application/vnd.gantry.log")
        handler.chunk(line(1, b"one", 1) + line(1, b"two", 2, boot=3)[:20])
        handler.cut()
    fake.answers[where] = [cut, log(line(1, b"two", 2, boot=3))]
    check(gantry("logs", "-n", "2", ID), 0, "one\ntwo\n", "", "one that was cut goes on after the last line")
    equal([r.query for r in fake.take()], ["format=frames&tail=2", "format=frames&after=1.1"], "by its cursor")

    def cut_amid_many(handler, _):
        handler.stream("application/vnd.gantry.log")
        handler.chunk(line(1, b"1\n2\n", 2, 8) + line(1, b"3\n4\n", 4, 8)[:-2])
        handler.cut()
    fake.answers[where] = [cut_amid_many, log(line(1, b"3\n4\n", 4, 8))]
    check(gantry("logs", ID), 0, "1\n2\n3\n4\n", "", "one that was cut amid a frame of many lines goes on before that")
    equal([r.query for r in fake.take()], ["format=frames", "format=frames&after=1.2"], "by the cursor of the last whole one")
    fake.answers[where] = [cut, (410, problem(410, "no more"))]
    check(gantry("logs", ID), 1, "one\n", f"gantry: {ID}: no more\n", "or tells what it met")
    fake.answers[where] = log(b"\x03" + bytes(31))
    check(gantry("logs", ID), 6, "", f"gantry: {ID}: gantryd answers in a form that is not known here\n", "another form")
    fake.answers[where] = log(*[line(1, b"y" * 100, n) for n in range(1, 5000)])
    process = gantry.start("logs", ID)
    process.stdout.close()
    process.stderr.close()
    equal(process.wait(LIMIT), -signal.SIGPIPE, "a reader that left: SIGPIPE")
    with open("/dev/full", "w") as full:
        result = gantry("logs", ID, stdout=full)
    equal((result.status, result.err), (1, f"gantry: {ID}: the log cannot be written: No space left on device\n"), "a full disk")

    def objects(handler, _):
        handler.stream("application/x-ndjson")
        handler.chunk(b'{"cursor":"1.1","text":"x"}\n\n{"cursor":"1.2","text":"y"}\n')
        handler.end()
    fake.answers[where] = objects
    check(gantry("--json", "logs", ID), 0, '{"cursor":"1.1","text":"x"}\n{"cursor":"1.2","text":"y"}\n', "", "--json: as it came")
    fake.take()


run_parts(logs)
